-- Box methods that bring a box to a state, whatever its state is and while it
-- changes.

local core = require "boxd.core"
local boxd = require "boxd"
local check = require "boxd.internal.check"
local poll = require "boxd.internal.poll"
local resource = require "boxd.internal.resource"
core.internal()

local SYNC_SECONDS = 10
local CHANGE_SECONDS = 60 -- of the call that reboots a box

local lifecycle = {}

local function name_of(box) return box.name or box.id end

-- Raises where a box has ended for good.
local function refuse_ended(box, what)
  local status = box.status
  if status == "failed" or status == "destroyed" or status == "destroying" then
    core.raise("BoxdError", ("box %s is %s: it can't be brought %s"):format(
      name_of(box), status, what))
  end
end

-- Calls f; true and its results, or false and an error that may pass. Raises
-- others.
local function try(passes, f, ...)
  local ok, result, more = pcall(f, ...)
  if not ok and not passes(result) then error(result, 0) end
  return ok, result, more
end

--- Reads the box again: true, or false and why not.
function lifecycle.look(box, left)
  return try(poll.is_lost, box.refresh, box, poll.one(left))
end

--- The box, if its shell answers; or false and why not.
function lifecycle.answers(box, left)
  local ok, result = try(poll.is_starting, core.exec, box, "true",
    poll.command(left))
  if not ok then return false, result end
  if result.success then return box end
  return false, ("its shell answers %q with exit code %d"):format("true",
    result.exit_code)
end

-- What brings a box of a status up. A box of any other changes by itself.
local UP = { stopped = "StartVm", suspended = "ResumeVm",
  hibernated = "WakeVm" }

-- One step towards a box that answers, by its status as last seen: the box, or
-- false and why it is not up.
local function step_up(box, left)
  refuse_ended(box, "up")
  if box.status == "running" then return lifecycle.answers(box, left) end
  local rpc = UP[box.status]
  if not rpc then return false, "it is " .. tostring(box.status) end
  local _, e = try(poll.is_passing, resource.call, box, rpc,
    { vm_id = box.id }, poll.one(left))
  return false, boxd.is_error(e) and e or "it was " .. box.status
end

--- Brings the box up. fresh: its fields have just been read.
function lifecycle.bring_up(box, timeout, fresh)
  return poll.wait({ timeout = timeout, name = name_of(box),
    late = ("box %s was not up"):format(name_of(box)) },
    function(left)
      local looked, e = fresh, nil
      if not fresh then looked, e = lifecycle.look(box, left) end
      fresh = false
      if not looked then return false, e end
      return step_up(box, left)
    end)
end

local methods = {}

-- box:up{ timeout=90 } -> the box: it runs and answers a command.
function methods:up(opts)
  opts = check.options(1, "up", opts, { "timeout" })
  return lifecycle.bring_up(self, opts.timeout or 90)
end

-- A stop is a power cut: written data is safe after a sync. It wakes a box
-- that sleeps, whose memory has such data, too.
local function sync(box, left)
  local seconds = math.min(left, SYNC_SECONDS)
  local ok, result = pcall(core.exec, box, "sync", poll.command(seconds))
  if ok and result.success then return end
  if not ok and not (boxd.is_error(result) and result.method) then
    error(result, 0)
  end
  warn(("boxd: box %s is stopped without its files synced: %s"):format(
    name_of(box), ok and result.stderr or result.message))
end

local SYNCED = { running = true, suspended = true, hibernated = true }

-- One step towards a stopped box. state.synced: it has been.
local function step_down(box, state, left)
  refuse_ended(box, "down")
  if box.status == "stopped" then return box end
  if not SYNCED[box.status] then return false, "it is " .. box.status end
  if not state.synced then
    state.synced = true
    sync(box, left)
  end
  local ok, e = try(poll.is_passing, resource.call, box, "StopVm",
    { vm_id = box.id }, poll.one(left))
  return false, ok and "it was told to stop" or e
end

-- box:down{ timeout=60 } -> the box: files synced, then stopped.
function methods:down(opts)
  opts = check.options(1, "down", opts, { "timeout" })
  local state = {}
  return poll.wait({ timeout = opts.timeout or 60, name = name_of(self),
    late = ("box %s was not down"):format(name_of(self)) },
    function(left)
      local looked, e = lifecycle.look(self, left)
      if not looked then return false, e end
      return step_down(self, state, left)
    end)
end

-- What a boot has of its own: the kernel's id, and when the box's first process
-- began, which tells boots apart where boxes share a kernel.
local BOOT = [[timeout 10 sync
cat /proc/sys/kernel/random/boot_id && cut -d ' ' -f 22 /proc/1/stat]]

-- The boot, its files synced; or nil and why not.
local function boot_of(box, left)
  local ok, result = try(poll.is_starting, core.exec, box, "sh", "-c", BOOT,
    poll.command(left))
  if ok and result.success then return result.stdout end
  return nil, ok and result.stderr or result
end

-- Waits for a boot other than that one.
local function wait_for_boot(box, before, what, ends)
  poll.wait({ timeout = math.max(ends - boxd.now(), 0.001),
    name = name_of(box),
    late = ("box %s was not up again after its %s"):format(name_of(box), what) },
    function(left)
      local looked, e = lifecycle.look(box, left)
      if not looked then return false, e end
      refuse_ended(box, "up")
      if box.status ~= "running" then return false, "it is " .. box.status end
      local boot, why = boot_of(box, left)
      return boot and boot ~= before, why or "it has not gone down yet"
    end)
end

--- Calls change(seconds) -> a result, and whether the box reboots for it; then waits
--- for the new boot. The answer of a change may be lost: then the boot says whether
--- it was made. A stopped box has no boot before. Returns the
--- result.
function lifecycle.through_boot(box, what, timeout, change)
  local ends = boxd.now() + timeout
  local before, why = boot_of(box, timeout)
  if not before and not boxd.is_error(why, boxd.ConflictError) then
    if boxd.is_error(why) then error(why, 0) end
    core.raise("BoxdError", ("%s: can't read the boot of box %s: %s"):format(
      what, name_of(box), why))
  end
  local ok, result, boots = try(poll.is_lost, change,
    math.min(math.max(ends - boxd.now(), 0.001), CHANGE_SECONDS))
  if not ok or boots then wait_for_boot(box, before, what, ends) end
  return ok and result or nil
end

-- box:reboot{ wait=true }
function methods:reboot(opts)
  lifecycle.through_boot(self, "reboot", opts.timeout or 90, function(left)
    self:reboot { timeout = left }
    return nil, true
  end)
end

-- box:resize{ vcpu=, memory=, wait=true } -> { vcpu, memory_bytes, rebooted }
function methods:resize(opts)
  return lifecycle.through_boot(self, "resize", opts.timeout or 120,
    function(left)
      local reply = self:resize { vcpu = opts.vcpu, memory = opts.memory_bytes,
        timeout = left }
      return reply, reply.rebooted
    end) or { vcpu = self.vcpu, memory_bytes = self.memory_bytes,
      rebooted = true }
end

lifecycle.methods = methods
return lifecycle
