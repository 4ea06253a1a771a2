-- c.domain: a domain of one's own that leads to a box. The 0.1 contract binds
-- domains, today's has custom domains: what the service knows is used.

local core = require "boxd.core"
local box = require "boxd.box"
local check = require "boxd.internal.check"
local resource = require "boxd.internal.resource"
core.internal()

local call, compute_of = resource.call, resource.compute

local service = {}

-- Per Compute: the names of the RPCs that its service was found to have.
local ERAS = {
  { bind = "BindDomain", list = "ListDomains", unbind = "UnbindDomain" },
  { bind = "AddCustomDomain", list = "ListCustomDomains",
    unbind = "RemoveCustomDomain" },
}
local known = setmetatable({}, { __mode = "k" })

-- One call, of the contract that the service knows.
local function either(self, name, request, opts)
  local compute = compute_of(self)
  opts = resource.within(opts, opts.timeout or compute.timeout)
  local first = known[compute] or 1
  for _, era in ipairs { first, 3 - first } do
    local ok, reply = pcall(call, compute, ERAS[era][name], request, opts)
    local answered = ok or reply.grpc_code and reply.code ~= "UNIMPLEMENTED"
    if answered then known[compute] = era end
    if ok then return reply end
    if answered or era ~= first or not reply.grpc_code then error(reply, 0) end
  end
end

-- c.domain:bind(domain, box_or_name_or_id) -> { domain, vm_id, vm_name, status }
-- of a custom domain; nothing where 0.1 binds it
function service:bind(domain, target, opts)
  check.string(1, "bind", domain)
  opts = check.options(3, "bind", opts, { "timeout" })
  local compute = compute_of(self)
  opts = resource.within(opts, opts.timeout or compute.timeout)
  local vm_id = box.resolve(compute.box, 2, "bind", target, opts)
  local reply = either(self, "bind", { domain = domain, vm_id = vm_id }, opts)
  return reply.domain
end

function service:list(opts)
  opts = check.options(1, "list", opts, { "timeout" })
  return either(self, "list", {}, opts).domains
end

-- c.domain:unbind(domain)
function service:unbind(domain, opts)
  check.string(1, "unbind", domain)
  opts = check.options(2, "unbind", opts, { "timeout" })
  either(self, "unbind", { domain = domain }, opts)
end

core.methods("boxd.Domains", service)
