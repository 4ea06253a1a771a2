-- Idle boxes suspend or hibernate themselves, or be
-- destroyed, if that was asked for; and the end of those that have a day for
-- it, used or not. A box is used while a command, a transfer or a connection
-- of a client is under way in it; its own activity does not count. Idle
-- times go on over a restart: records keep when they were used last, with a
-- timeout to the moment.

local boxd = require "boxd"
local serve = require "boxd.serve"
local log = require "boxd.local.log"
local status = require "boxd.local.status"

local AGAIN = 5 -- seconds, after what was due has failed
local KEEP = 60 -- between two notes of last use, where no timeout needs them
local LOOK = 60 -- at the clock of this machine, which may be set

local idle = {}
idle.__index = idle

function idle.new(service)
  return setmetatable({ service = service, active = {}, last = {}, used_at = {},
    changed = serve.signal() }, idle)
end

local function has_timeout(record)
  return record.auto_suspend > 0 or record.auto_destroy > 0
    or record.auto_hibernate > 0
end

-- What a record keeps of its use, for the next service.
function idle:marks(record)
  return { used_at = self.used_at[record.id] or record.used_at,
    in_use = self.active[record.id] ~= nil }
end

-- A full disk must not block the box that could clear it.
local function keep(self, record, fields)
  self.service.store:note("boxes", record, fields, true)
end

local function note(self, record)
  local timed = has_timeout(record)
  self.last[record.id], self.used_at[record.id] = boxd.now(), os.time()
  if not timed and os.time() - (record.used_at or 0) < KEEP then return end
  if not record.new and self.service.boxes.records[record.id] then
    keep(self, record, self:marks(record))
  end
  if timed then self:look() end
end

-- When a client was connected last; 0: never.
function idle:show(record, out)
  local at = self.active[record.id] and os.time() or self.used_at[record.id]
  out.last_connected_ms = (at or record.used_at or 0) * 1000
end

-- A box is in use until the result is closed.
function idle:use(record)
  local id = record.id
  self.active[id] = (self.active[id] or 0) + 1
  if self.active[id] == 1 then note(self, record) end
  return setmetatable({}, { __close = function(_, e)
    local n = self.active[id] -- nil: the box is gone
    if n then self.active[id] = n > 1 and n - 1 or nil end
    if n == 1 then note(self, record) end
    if e then self.service.boxes.ends:explain(record, e) end
  end })
end

-- A box that a client starts, wakes or resumes is idle from here on.
function idle:woken(record)
  self.last[record.id] = boxd.now()
  if not has_timeout(record) then return end
  keep(self, record, { woken_at = os.time() })
  self:look()
end

-- For a box of before: when it was used last, on this service's clock.
function idle:prepare(record)
  local ago = 0
  if not record.in_use then
    local last = math.max(record.used_at or 0, record.woken_at or 0,
      record.created_at)
    ago = math.max(0, os.time() - last)
  end
  self.last[record.id] = boxd.now() - ago
end

function idle:up() self:look() end

function idle:gone(record)
  self.active[record.id], self.last[record.id] = nil, nil
  self.used_at[record.id] = nil
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
  log("an idle box: %s", message)
  return boxd.now() + AGAIN
end

-- When each of the ends of idleness comes, on our clock.
local at = {}

function at.suspend(self, record)
  if record.status ~= "running" then return nil end
  return due(self, record, record.auto_suspend)
end

function at.hibernate(self, record)
  if record.status ~= "running" and record.status ~= "suspended" then
    return nil
  end
  return due(self, record, record.auto_hibernate)
end

-- By idleness, or by the calendar.
function at.destroy(self, record)
  local idle_at = due(self, record, record.auto_destroy) or math.huge
  if not record.delete_at or record.new then return idle_at end
  return math.min(idle_at, boxd.now() + record.delete_at - os.time())
end

local ORDER = { "destroy", "hibernate", "suspend" } -- the first that is due

-- Acts on one box when due; returns the time of its next action.
local function look_at(self, record, now)
  local next, all = math.huge, self.service.boxes
  for _, what in ipairs(ORDER) do
    local time = at[what](self, record)
    if time and time <= now then
      return act(all[what], all, record, function()
        local again = at[what](self, record)
        return not again or again > boxd.now()
      end)
    end
    next = math.min(next, time or next)
  end
  return record.delete_at and math.min(next, now + LOOK) or next
end

-- Acts on all due boxes; returns the time of the next action.
local function sweep(self)
  local now, next = boxd.now(), math.huge
  for _, record in ipairs(self.service.boxes:list()) do
    next = math.min(next, look_at(self, record, now))
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
