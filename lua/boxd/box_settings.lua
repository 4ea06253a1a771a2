-- Box methods on what today's service can change of a box after it is made.

local core = require "boxd.core"
local boxd = require "boxd"
local check = require "boxd.check"
local kinds = require "boxd.kinds"
local method = require "boxd.method"
local resource = require "boxd.resource"
local spec = require "boxd.spec"
core.internal()

-- Sets a field of the box to what the request, or else the reply, says.
local function sets(field, from)
  return function(box, reply, request)
    local v = request[from]
    if reply[from] ~= nil then v = reply[from] end
    box[field] = v
  end
end

local function status(name)
  return function(box) box.status = name end
end

local settings = method.add({}, {
  hibernate = { "HibernateVm", vm = "vm_id", after = status "hibernated" },
  wake = { "WakeVm", vm = "vm_id", after = status "running" },
  share = { "ShareVm", vm = "vm_id" },
  unshare = { "UnshareVm", vm = "vm_id" },
  rename = { "RenameVm", { "new_name", kinds.text }, vm = "vm_id",
    after = function(box, reply, request)
      box.name = reply.name or request.new_name
    end },
  -- Seconds without anybody there; 0 turns it off.
  set_auto_suspend_timeout = { "SetAutoSuspendTimeout",
    { "timeout_secs", kinds.count }, vm = "vm_id",
    after = sets("auto_suspend_timeout_secs", "timeout_secs") },
  set_auto_hibernate_timeout = { "SetAutoHibernateTimeout",
    { "timeout_secs", kinds.count }, vm = "vm_id",
    after = sets("auto_hibernate_timeout_secs", "timeout_secs") },
  -- Whole lists, in the place of what was set; what is in force now.
  set_networks = { "SetVmNetworks", { "networks", kinds.texts }, vm = "vm_id",
    reply = "networks", after = sets("networks", "networks") },
  set_egress = { "SetVmEgressAllow", { "entries", kinds.texts }, vm = "vm",
    reply = "entries", after = sets("egress_allow", "entries") },
  set_idle_ignore_outbound = { "SetIdleIgnoreOutbound",
    { "enabled", kinds.switch }, vm = "vm_id",
    after = sets("idle_ignore_outbound", "enabled") },
  -- box:usage{ since=, until_time=, org= }: Unix seconds; default: its life.
  usage = { "GetVmUsage", vm = "vm_id", reply = true, options = {
    since = { "since", kinds.long }, until_time = { "until", kinds.long },
    org = { "org", kinds.text } } },
  -- box:expose(port, { protocol="tcp" }): "tcp", "udp" or "both" ->
  -- { vm_name, vm_id, dns, public_port, vm_port, protocol }
  expose = { "ExposePort", { "vm_port", kinds.port }, vm = "vm", reply = true,
    options = { protocol = { "protocol", kinds.text } } },
  unexpose = { "UnexposePort", { "vm_port", kinds.port }, vm = "vm",
    reply = "forward" },
  exposed_ports = { "ListExposedPorts", vm = "vm", reply = "forwards" },
})

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
  self.bot_protection, self.bot_protection_mode = wanted ~= "off", wanted
end

-- box:resize{ vcpu=, memory="8G" } -> { vcpu, memory_bytes, rebooted }: either
-- names a size, the other follows.
function settings:resize(opts)
  local compute = resource.compute(self)
  opts = check.options(1, "resize", opts, { "vcpu", "memory", "timeout" })
  local request = { vm_id = self.id,
    vcpu = method.option("resize", opts, "vcpu", kinds.count),
    memory_bytes = method.option("resize", opts, "memory", check.size) }
  if not request.vcpu and not request.memory_bytes then
    check.invalid("resize: vcpu or memory expected; either names a size")
  end
  local reply = resource.call(compute, "ResizeVm", request, opts)
  self.vcpu, self.memory_bytes = reply.vcpu, reply.memory_bytes
  return reply
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
  self.delete_at = method.seconds(reply, { delete_at_ms = "at" }).at
  self.delete_after_cron = request.delete_after_cron
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
  self.labels = resource.call(compute, "UpdateVmLabels", request,
    opts).labels
  return self.labels
end

-- box:update_spec(patch, { dry_run=, reboot=, retry_packages=, expected_spec= })
-- -> the reply: { changes, reboot_required, spec, applied, rebooted, ... }
function settings:update_spec(patch, opts)
  local compute = resource.compute(self)
  if type(patch) ~= "table" then check.fail(1, "update_spec", "table", patch) end
  opts = check.options(2, "update_spec", opts, { "dry_run", "reboot",
    "retry_packages", "expected_spec", "timeout" })
  local request = { vm = self.id, patch = boxd.json.encode(spec.patch(patch)) }
  for _, name in ipairs { "dry_run", "reboot", "retry_packages" } do
    request[name] = check.field("update_spec", opts, name, "boolean")
  end
  if check.field("update_spec", opts, "expected_spec", "table") then
    request.expected_spec = boxd.json.encode(spec.document(opts.expected_spec))
  end
  local reply = resource.call(compute, "UpdateMachineSpec", request, opts)
  if reply.applied then self.spec = reply.spec end
  return reply
end

return settings
