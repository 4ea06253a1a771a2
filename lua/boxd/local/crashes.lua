-- Boxes that die by themselves, as when a program in one ends the box's first
-- process: they have failed, and policy "always" starts them again.

local boxd = require "boxd"

-- Seconds before one starts again, doubling up to the last while it does not
-- last LONG.
local FIRST, LAST, LONG = 0.25, 30, 60

local crashes = {}
crashes.__index = crashes

function crashes.new(service)
  return setmetatable({ service = service, known = {} }, crashes)
end

-- Until it runs, or another call has changed it.
local function start_again(self, record)
  local all = self.service.boxes
  local known = self.known[record.id] or { delay = FIRST, at = 0 }
  if boxd.now() - known.at > LONG then known.delay = FIRST end
  self.known[record.id] = known
  repeat
    boxd.sleep(known.delay)
    known.delay, known.at = math.min(known.delay * 2, LAST), boxd.now()
    local _lock <close> = all:lock(record)
    if record.status ~= "failed" then return end
    local ok, e = pcall(all.bring_up, all, record)
    if not ok then all.say(record, "did not start again", e) end
  until ok
end

local function on_death(self, record)
  local all = self.service.boxes
  do
    local _lock <close> = all:lock(record)
    if all.live[record.id] or record.status == "stopped"
      or record.status == "hibernated" then
      return
    end
    all:note(record, { status = "failed" })
  end
  if record.restart_policy == "always" then start_again(self, record) end
end

-- It may be destroyed meanwhile.
local function follow(self, record)
  local ok, e = pcall(on_death, self, record)
  if not ok and self.service.boxes.records[record.id] then
    self.service.boxes.say(record, "has died", e)
  end
end

-- Returns when the spawner is lost, or stopped.
function crashes:watch()
  for handle in function() return self.service.spawner:gone() end do
    local record = self.service.boxes:lose(handle)
    if record then boxd.spawn(follow, self, record) end
  end
end

function crashes:gone(record) self.known[record.id] = nil end

return crashes
