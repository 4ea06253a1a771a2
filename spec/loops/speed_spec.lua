-- The cost of waiting in another loop, against waiting in place in the same
-- run.
-- Runs alone: it compares times

local loops = require "spec.support.loops"

local server
setup(function() server = loops.serve() end)
teardown(function() server:stop() end)

-- The best of some rounds counts. In place first: pollfd is for good.
local COMPARE = [[
local function best(rounds, work)
  local seconds = 1 / 0
  for _ = 1, rounds do
    local began = now()
    work()
    seconds = math.min(seconds, now() - began)
  end
  return seconds
end
local function compare(rounds, work)
  box = compute.box:get "vm-1"
  work()
  local place = best(rounds, work)
  boxd.pollfd()
  boxd.hooks { park = coroutine.yield, wake = function(co)
    assert(coroutine.resume(co))
  end }
  return place, best(rounds, function()
    assert(coroutine.resume(coroutine.create(work)))
    while boxd.pending() > 0 do boxd.step(1) end
  end)
end
]]

-- A machine that is busy for a moment slows one side: a few tries.
local function within(what, try)
  local said
  for _ = 1, 5 do
    local ok
    ok, said = try()
    if ok then return end
  end
  error(what .. ": " .. said)
end

it("a stream of small chunks comes at 80 % of the speed in place", function()
  within("seconds in place and in a loop", function()
    local place, loop = loops.run(server, nil, COMPARE .. [[
    print(compare(6, function()
      local p <close> = box:exec("chunks", "10000", "64", { stream = true })
      local bytes = 0
      for chunk in p:iter_stdout() do bytes = bytes + #chunk end
      assert(bytes == 10000 * 64)
    end))]]):match "(%S+)%s+(%S+)"
    return tonumber(loop) < tonumber(place) / 0.8, place .. " " .. loop
  end)
end)

-- 15 us by themselves; the rest is for a busy machine.
it("a call takes a little longer than in place", function()
  within("us over", function()
    local place, loop = loops.run(server, nil, COMPARE .. [[
    print(compare(40, function()
      for _ = 1, 50 do compute.box:get "vm-1" end
    end))]]):match "(%S+)%s+(%S+)"
    local over = (tonumber(loop) - tonumber(place)) / 50 * 1e6
    if os.getenv "BOXD_FIGURES" then
      print(("\na call in another loop: %+.1f us"):format(over))
    end
    return over < 60, ("%.1f"):format(over)
  end)
end)
