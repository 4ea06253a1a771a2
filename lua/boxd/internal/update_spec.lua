-- box:update_spec.

local core = require "boxd.core"
local boxd = require "boxd"
local check = require "boxd.internal.check"
local resource = require "boxd.internal.resource"
local spec = require "boxd.spec"
core.internal()

local TRIES = 8 -- of a change of the spec that others change, too
local PAUSE = 0.2 -- seconds, at most, before the second

local methods = {}

-- The fields of a box that its spec decides, by their names in the spec.
local OF_SPEC = { labels = "labels", networks = "networks",
  isolated = "isolated", egress = "egress_allow" }

-- One UpdateMachineSpec; the box's fields are then as the spec that came of it.
local function send_patch(self, patch, expected, flags, opts)
  local request = { vm = self.id, patch = boxd.json.encode(spec.patch(patch)),
    expected_spec = expected and boxd.json.encode(spec.document(expected)) }
  for name, value in pairs(flags) do request[name] = value end
  local reply = resource.call(self, "UpdateMachineSpec", request, opts)
  if reply.applied and reply.spec then
    core.set(self, "spec", reply.spec)
    for name, field in pairs(OF_SPEC) do
      core.set(self, field, reply.spec[name])
    end
  end
  return reply
end

-- A map's new keys, and null for those that it has no more.
local function map_patch(before, after)
  local out = {}
  for key, v in pairs(after) do out[key] = v end
  for key in pairs(before) do
    if out[key] == nil then out[key] = boxd.json.null end
  end
  return out
end

-- What turns one spec into the other.
local function difference(before, after)
  local patch = {}
  for name, value in pairs(after) do
    if not spec.same(before[name], value) then
      patch[name] = spec.is_map(name) and before[name]
        and map_patch(before[name], value) or value
    end
  end
  for name in pairs(before) do
    if after[name] == nil then patch[name] = boxd.json.null end
  end
  return patch
end

-- The box's spec as the service has it now.
local function read_spec(self, opts)
  local reply = resource.call(self, "GetVm", { vm_id = self.id }, opts)
  return spec.spec(reply.spec or {})
end

-- Reads the spec, has fn change it, writes it unless another change came first:
-- then it begins again, with a pause that grows.
local function change_spec(self, fn, flags, opts)
  for try = 1, TRIES do
    local before = read_spec(self, opts)
    local copy = spec.open(before)
    local after = fn(copy)
    if after == nil then after = copy end
    local patch = difference(before, spec.spec(after))
    local ok, reply = pcall(send_patch, self, patch, before, flags, opts)
    if ok then return reply end
    if not boxd.is_error(reply) or reply.code ~= "ABORTED" or try == TRIES then
      error(reply, 0)
    end
    boxd.sleep(math.random() * PAUSE * try)
  end
end

-- box:update_spec(patch or function(spec), { dry_run=, reboot=,
-- retry_packages=, expected_spec= }) -> the reply: { changes, reboot_required,
-- spec, applied, rebooted, ... }. The function changes the spec that it is given,
-- or returns another.
function methods:update_spec(patch, opts)
  if type(patch) ~= "table" and type(patch) ~= "function" then
    check.fail(1, "update_spec", "table or function", patch)
  end
  opts = check.options(2, "update_spec", opts, { "dry_run", "reboot",
    "retry_packages", "expected_spec", "timeout" })
  local flags = {}
  for _, name in ipairs { "dry_run", "reboot", "retry_packages" } do
    flags[name] = check.field("update_spec", opts, name, "boolean")
  end
  local expected = check.field("update_spec", opts, "expected_spec", "table")
  if type(patch) == "table" then
    return send_patch(self, patch, expected, flags, opts)
  end
  if expected then
    check.invalid("update_spec: expected_spec does not go with a function, "
      .. "which is given the spec that is expected")
  end
  return change_spec(self, patch, flags, resource.within(opts, opts.timeout))
end

return methods
