-- Box methods on what today's service can change of a box after it is made.

local core = require "boxd.core"
local boxd = require "boxd"
local check = require "boxd.internal.check"
local kinds = require "boxd.internal.kinds"
local lifecycle = require "boxd.lifecycle"
local method = require "boxd.internal.method"
local resource = require "boxd.internal.resource"
local spec = require "boxd.spec"
core.internal()

local TRIES = 8 -- of a change of the spec that others change, too
local PAUSE = 0.2 -- seconds, at most, before the second

local settings = {}

local MODES = { [true] = "on", [false] = "off", on = "on", off = "off",
  sleep_only = "sleep_only" }

-- box:set_bot_protection(true | false | "on" | "off" | "sleep_only")
function settings:set_bot_protection(mode, opts)
  local compute = resource.compute(self)
  if type(mode) ~= "boolean" then check.string(1, "set_bot_protection", mode) end
  opts = check.options(2, "set_bot_protection", opts, { "timeout" })
  local wanted = MODES[mode] or check.invalid("set_bot_protection: \"on\", "
    .. "\"sleep_only\" or \"off\" expected, not %s", check.show(mode))
  resource.call(compute, "SetBotProtection", {
    vm_id = self.id, enabled = wanted ~= "off", mode = wanted }, opts)
  core.set(self, "bot_protection", wanted ~= "off")
  core.set(self, "bot_protection_mode", wanted)
end

-- One ResizeVm.
local function resize(self, request, seconds)
  local reply = resource.call(self, "ResizeVm", request, { timeout = seconds })
  core.set(self, "vcpu", reply.vcpu)
  core.set(self, "memory_bytes", reply.memory_bytes)
  return reply
end

-- box:resize{ vcpu=, memory="8G", wait=false } -> { vcpu, memory_bytes, rebooted }:
-- either names a size, the other follows.
function settings:resize(opts)
  resource.compute(self)
  opts = check.options(1, "resize", opts,
    { "vcpu", "memory", "wait", "timeout" })
  local request = { vm_id = self.id,
    vcpu = method.option("resize", opts, "vcpu", kinds.count),
    memory_bytes = method.option("resize", opts, "memory", check.size) }
  if not request.vcpu and not request.memory_bytes then
    check.invalid("resize: vcpu or memory expected; either names a size")
  end
  if not check.field("resize", opts, "wait", "boolean") then
    return resize(self, request, opts.timeout)
  end
  return lifecycle.through_boot(self, "resize", opts.timeout or 120,
    function(left)
      local reply = resize(self, request, left)
      return reply, reply.rebooted
    end) or { vcpu = self.vcpu, memory_bytes = self.memory_bytes,
      rebooted = true }
end

-- The request's fields of "in so many seconds" or { cron = "0 18 * * *" }.
local function deletion(name, when)
  if type(when) ~= "table" then
    if math.type(when) ~= "integer" then check.fail(1, name, "integer", when) end
    return { delete_after_secs = kinds.long(name .. ": seconds", when) }
  end
  core.text.options(when, name, { "cron" })
  return { delete_after_cron = method.option(name, when, "cron", kinds.text)
    or check.invalid("%s: a number of seconds, or { cron = } expected", name) }
end

-- box:set_delete_after(seconds | { cron= }) -> when it will be deleted, in Unix
-- seconds, or nil; 0 takes it back
function settings:set_delete_after(when, opts)
  local compute = resource.compute(self)
  local request = deletion("set_delete_after", when)
  opts = check.options(2, "set_delete_after", opts, { "timeout" })
  request.vm_id = self.id
  local reply = resource.call(compute, "SetDeleteAfter", request, opts)
  local ms = reply.delete_at_ms or 0
  core.set(self, "delete_at", ms ~= 0 and ms // 1000 or nil)
  core.set(self, "delete_after_cron", request.delete_after_cron)
  return self.delete_at
end

-- box:set_labels({ key = value }, { remove = { keys }, replace_all = false }) ->
-- the labels that it has now
function settings:set_labels(labels, opts)
  local compute = resource.compute(self)
  if type(labels) ~= "table" then
    check.fail(1, "set_labels", "table", labels)
  end
  opts = check.options(2, "set_labels", opts,
    { "remove", "replace_all", "timeout" })
  local request = { vm = self.id, set = kinds.map("set_labels", labels),
    remove = method.option("set_labels", opts, "remove", kinds.texts),
    replace_all = check.field("set_labels", opts, "replace_all", "boolean") }
  if request.replace_all and request.remove then
    check.invalid("set_labels: replace_all removes every other label, so that "
      .. "it takes no remove")
  end
  core.set(self, "labels",
    resource.call(compute, "UpdateVmLabels", request, opts).labels)
  return self.labels
end

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
function settings:update_spec(patch, opts)
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

return settings
