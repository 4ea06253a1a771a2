-- What boxes do when nobody uses them: suspend themselves, or be destroyed, if
-- that was asked for. A box is used while a command, a transfer or a connection
-- of a client is under way in it. Idle times go on over a restart: records with
-- a timeout keep when they were used last.

local boxd = require "boxd"
local serve = require "boxd.serve"
local status = require "boxd.local.status"

local AGAIN = 5 -- seconds, after what was due has failed

local idle = {}
idle.__index = idle

function idle.new(service)
  return setmetatable({ service = service, active = {}, last = {},
    changed = serve.signal() }, idle)
end

local function has_timeout(record)
  return record.auto_suspend > 0 or record.auto_destroy > 0
end

local function note(self, record)
  self.last[record.id] = boxd.now()
  if not has_timeout(record) then return end
  if not record.new and self.service.boxes.records[record.id] then
    self.service.store:update("boxes", record,
      { used_at = os.time(), in_use = self.active[record.id] ~= nil }, true)
  end
  self:look()
end

-- A box is used from here on, until what is returned is closed.
function idle:use(record)
  local id = record.id
  self.active[id] = (self.active[id] or 0) + 1
  if self.active[id] == 1 then note(self, record) end
  return setmetatable({}, { __close = function()
    self.active[id] = self.active[id] > 1 and self.active[id] - 1 or nil
    if not self.active[id] then note(self, record) end
  end })
end

-- For a box of before: when it was used last, on this service's clock.
function idle:prepare(record)
  local ago = 0
  if not record.in_use then
    ago = math.max(0, os.time() - (record.used_at or record.created_at))
  end
  self.last[record.id] = boxd.now() - ago
end

function idle:up() self:look() end

function idle:gone(record)
  self.active[record.id], self.last[record.id] = nil, nil
end

-- Timeouts have changed: look again.
function idle:look()
  self.fresh = false
  self.changed:fire()
end

-- When a timeout of a record is over; nil: there is none.
local function due(self, record, seconds)
  if seconds == 0 or record.new or self.active[record.id] then return nil end
  return (self.last[record.id] or boxd.now()) + seconds
end

-- Does it; returns when to look again.
local function act(...)
  local ok, e = pcall(...)
  if ok then return boxd.now() end
  local _, message = status.of(e)
  io.stderr:write("boxdlua --serve: an idle box: ", message, "\n")
  return boxd.now() + AGAIN
end

local function suspend_at(self, record)
  if record.status ~= "running" then return nil end
  return due(self, record, record.auto_suspend)
end

-- Does what is due; returns when something is next.
local function sweep(self)
  local now, next, all = boxd.now(), math.huge, self.service.boxes
  for _, record in ipairs(all:list()) do
    local destroy = due(self, record, record.auto_destroy)
    local suspend = suspend_at(self, record)
    if destroy and destroy <= now then
      next = math.min(next, act(all.destroy, all, record))
    elseif suspend and suspend <= now then
      next = math.min(next, act(all.suspend, all, record, function()
        local at = suspend_at(self, record)
        return not at or at > boxd.now()
      end))
    else
      next = math.min(next, destroy or next, suspend or next)
    end
  end
  return next
end

function idle:run()
  while true do
    self.fresh = true
    local next = sweep(self)
    if self.fresh then
      self.changed:wait(next < math.huge and math.max(0, next - boxd.now())
        or nil)
    end
  end
end

return idle
