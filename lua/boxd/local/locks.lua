-- Locks by name: one task at a time, the others in the order they came.

local serve = require "boxd.serve"

local locks = {}
locks.__index = locks

function locks.new() return setmetatable({ queues = {} }, locks) end

local function hand_on(self, key)
  local next = table.remove(self.queues[key], 1)
  if not next then
    self.queues[key] = nil
    return
  end
  next.granted = true
  next.signal:fire()
end

-- A task that is cancelled while it waits leaves the queue, or hands on the
-- lock it has been granted already.
local function give_up(self, key, turn)
  if turn.taken then return end
  if turn.granted then return hand_on(self, key) end
  for i, other in ipairs(self.queues[key]) do
    if other == turn then table.remove(self.queues[key], i) break end
  end
end

local function wait(self, key)
  local turn = { signal = serve.signal() }
  table.insert(self.queues[key], turn)
  local _unless_taken <close> = setmetatable({}, {
    __close = function() give_up(self, key, turn) end,
  })
  turn.signal:wait()
  turn.taken = true
end

local held = {}
held.__index = held

function held:free()
  if self.key then hand_on(self.locks, self.key) end
  self.key = nil
end

held.__close = held.free

-- The same lock for another task; this one is free of it.
function held:hand_over()
  local other = setmetatable({ locks = self.locks, key = self.key }, held)
  self.key = nil
  return other
end

-- Takes the lock; closing the result frees it.
function locks:take(key)
  if self.queues[key] then
    wait(self, key)
  else
    self.queues[key] = {}
  end
  return setmetatable({ locks = self, key = key }, held)
end

function locks:held(key) return self.queues[key] ~= nil end

return locks
