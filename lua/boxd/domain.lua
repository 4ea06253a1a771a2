-- c.domain: a domain of one's own that leads to a box.

local core = require "boxd.core"
local box = require "boxd.box"
local check = require "boxd.check"
local resource = require "boxd.resource"
core.internal()

local call, compute_of = resource.call, resource.compute

local service = {}

-- c.domain:bind(domain, box_or_name_or_id)
function service:bind(domain, target, opts)
  check.string(1, "bind", domain)
  opts = check.options(3, "bind", opts, { "timeout" })
  local compute = compute_of(self)
  local vm_id = box.resolve(compute.box, 2, "bind", target, opts)
  call(compute, "BindDomain", { domain = domain, vm_id = vm_id }, opts)
end

service.list = resource.lister("ListDomains", "domains")

-- c.domain:unbind(domain)
function service:unbind(domain, opts)
  check.string(1, "unbind", domain)
  opts = check.options(2, "unbind", opts, { "timeout" })
  call(compute_of(self), "UnbindDomain", { domain = domain }, opts)
end

return { service = resource.service("Domains", service) }
