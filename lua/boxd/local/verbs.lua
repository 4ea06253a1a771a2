-- What clients ask of a box's life: the methods of boxes (boxes.lua) that start,
-- stop and hold one. Each takes the box for itself.

local boxd = require "boxd"
local status = require "boxd.local.status"

local fail = status.fail

local verbs = {}

local function refuse(self, record, verb)
  self.ends:check(record)
  fail("FAILED_PRECONDITION", "box '%s' is %s: it can't be %s", record.name,
    record.status, verb)
end

-- Microseconds that fn took, at least 1.
local function microseconds(fn)
  local began = boxd.now()
  fn()
  return math.max(1, math.floor((boxd.now() - began) * 1e6))
end

local function unfreeze(self, record)
  if not self.live[record.id] then refuse(self, record, "resumed: it has died") end
  return microseconds(function()
    local ok, message, errno = self.spawner:resume(self.live[record.id])
    if not ok then
      self.ends:fail(record, errno, "the box can't be resumed", message)
    end
    self:note(record, { status = "running" })
    self:tell("woken", record)
  end)
end

local function is_held(record)
  return record.status == "suspended" or record.status == "hibernated"
end

function verbs:start(record)
  local _lock <close> = self:lock(record)
  local up = self.live[record.id]
  if up and record.status == "running" then return end
  if up and is_held(record) then return unfreeze(self, record) end
  local _phase <close> = self:phase(record, "starting")
  self:wake_up(record)
end

function verbs:stop(record)
  local _lock <close> = self:lock(record)
  if record.status == "stopped" then return end
  self:take_down(record)
  self:note(record, { status = "stopped" })
end

-- Of a box that is taken.
function verbs:restart(record)
  local _phase <close> = self:phase(record, "rebooting")
  self:take_down(record)
  self:wake_up(record)
end

function verbs:reboot(record)
  local _lock <close> = self:lock(record)
  if record.status ~= "running" and record.status ~= "suspended" then
    refuse(self, record, "rebooted: start it")
  end
  self:restart(record)
end

-- The handle of one that can be held.
local function check_up(self, record, verb)
  if record.status ~= "running" then refuse(self, record, verb) end
  local handle = self.live[record.id]
  if not handle then refuse(self, record, verb .. ": it has died") end
  return handle
end

-- unless(record): reconsidered once the box is taken.
function verbs:suspend(record, unless)
  local _lock <close> = self:lock(record)
  if record.status == "suspended" then return 1 end
  if unless and unless(record) then return end
  local handle = check_up(self, record, "suspended")
  return microseconds(function()
    self:freeze(record, handle)
    self:note(record, { status = "suspended" })
  end)
end

function verbs:resume(record)
  local _lock <close> = self:lock(record)
  if record.status == "running" then return 1 end
  if record.status ~= "suspended" then refuse(self, record, "resumed: start it") end
  return unfreeze(self, record)
end

-- Its processes stay, frozen, for as long as the service lives. unless: as for
-- suspend.
function verbs:hibernate(record, unless)
  local _lock <close> = self:lock(record)
  if record.status == "hibernated" then return end
  if unless and unless(record) then return end
  if record.status ~= "suspended" then
    self:freeze(record, check_up(self, record, "hibernated"))
  end
  self:note(record, { status = "hibernated" })
end

-- One that hibernated under a service of before starts from its files.
function verbs:wake(record)
  local _lock <close> = self:lock(record)
  if record.status == "running" then return end
  if not is_held(record) then refuse(self, record, "woken: start it") end
  if record.status == "suspended" or self.live[record.id] then
    return unfreeze(self, record)
  end
  self:wake_up(record)
end

return verbs
