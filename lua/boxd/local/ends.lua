-- Boxes that end while they are used: what calls that are under way then see,
-- and that those which would wait for a client end with their box.

local boxd = require "boxd"
local status = require "boxd.local.status"

local fail = status.fail

local ECONNABORTED = 103

local ends = {}
ends.__index = ends

function ends.new(boxes)
  return setmetatable({ boxes = boxes, destroying = {}, tasks = {} }, ends)
end

-- A box is being destroyed until the result is closed.
function ends:destroy(record)
  self.destroying[record.id] = true
  return setmetatable({}, { __close = function()
    self.destroying[record.id] = nil
  end })
end

function ends:is_destroyed(record)
  return self.destroying[record.id] or not self.boxes.records[record.id]
end

function ends:check(record)
  if self:is_destroyed(record) then
    fail("NOT_FOUND", "no box '%s': it was destroyed", record.name)
  end
end

function ends:gone(record)
  self:check(record)
  fail("UNAVAILABLE", "box '%s' ended while it was used: it was stopped or "
    .. "rebooted, or has died", record.name)
end

-- Raises why a request to the spawner for this box failed; codes: those of the
-- errnos that are the box's business.
function ends:fail(record, errno, what, message, codes)
  if errno == ECONNABORTED then self:gone(record) end
  self:check(record)
  local code = codes and codes[errno]
  if code then fail(code, "%s: %s", what, message) end
  status.unable(errno, "%s: %s", what, message)
end

-- Says it of an error that a call met as its box ended.
function ends:explain(record, e)
  if status.of(e) == "UNAVAILABLE" then self:gone(record) end
end

-- Calls fn(...) in a task, which ends with the sandbox that handle is of.
function ends:within(record, handle, fn, ...)
  local task = boxd.spawn(fn, ...)
  local tasks = self.tasks[handle] or {}
  self.tasks[handle], tasks[task] = tasks, true
  local _undo <close> = setmetatable({}, { __close = function()
    tasks[task] = nil
    if next(tasks) == nil then self.tasks[handle] = nil end
    task:cancel()
  end })
  local ok, result = pcall(task.join, task)
  if ok then return result end
  if self.boxes.by_handle[handle] then error(result, 0) end
  self:gone(record)
end

function ends:ended(handle)
  for task in pairs(self.tasks[handle] or {}) do task:cancel() end
end

return ends
