-- boxd in cqueues. Requiring it installs the hooks: calls in the coroutines of a
-- controller wait by cqueues from then on, as its own sockets do.

local cqueues, condition = require "cqueues", require "cqueues.condition"
local boxd = require "boxd"

local conditions = setmetatable({}, { __mode = "k" }) -- by coroutine
local pumps = setmetatable({}, { __mode = "k" }) -- by controller: its condition

boxd.pollfd()

-- In each controller one coroutine waits for boxd, while anything is pending.
local function pump(cq, changed)
  while boxd.pending() > 0 do
    cqueues.poll(boxd, changed)
    boxd.step()
  end
  pumps[cq] = nil
end

local function attach(cq)
  if pumps[cq] or boxd.pending() == 0 then return end
  pumps[cq] = condition.new()
  cq:wrap(pump, cq, pumps[cq])
end

local function attach_running()
  local cq = cqueues.running()
  if cq then attach(cq) end
end

boxd.hooks {
  can_park = function()
    local _, yields = cqueues.running()
    return yields
  end,
  park = function(co)
    local ready = conditions[co]
    if not ready then
      ready = condition.new()
      conditions[co] = ready
    end
    attach_running()
    ready:wait()
  end,
  wake = function(co) conditions[co]:signal() end,
  watch = function(on)
    if on then return attach_running() end
    for _, changed in pairs(pumps) do changed:signal() end
  end,
}

return { attach = attach }
