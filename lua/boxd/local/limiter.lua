-- A bound on how often something may happen in a time, for each of many.

local boxd = require "boxd"

local limiter = {}
limiter.__index = limiter

local MANY = 1024 -- keys that are looked through for old ones

--- At most `count` times in any `seconds`.
function limiter.new(count, seconds)
  return setmetatable({ count = count, seconds = seconds, times = {}, n = 0,
    many = MANY }, limiter)
end

local function drop_old(times, before)
  while times[1] and times[1] <= before do table.remove(times, 1) end
end

local function sweep(self, before)
  for key, times in pairs(self.times) do
    drop_old(times, before)
    if not times[1] then self.times[key], self.n = nil, self.n - 1 end
  end
  self.many = math.max(MANY, self.n * 2)
end

--- nil when it may happen once more for this key, which counts then; else the
--- seconds until it may.
function limiter:take(key)
  local now = boxd.now()
  if self.n >= self.many then sweep(self, now - self.seconds) end
  local times = self.times[key]
  if not times then
    times = {}
    self.times[key], self.n = times, self.n + 1
  end
  drop_old(times, now - self.seconds)
  if #times >= self.count then return times[1] + self.seconds - now end
  times[#times + 1] = now
end

return limiter
