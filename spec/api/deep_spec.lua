-- Waits that stand deep on the C stack, in callbacks of callbacks: no task ends
-- by them, and each gets its turn again.

local boxd = require "boxd"
local calls = require "spec.support.calls"

-- Calls fn inside n callbacks of gsub, where a wait can't yield.
local function deep(n, fn)
  if n == 0 then return fn() end
  return (("x"):gsub(".", function() deep(n - 1, fn) end))
end

-- Tasks that count their ends and those of their <close>.
local function counting(count, work)
  local counts, tasks = { closed = 0, ended = 0 }, {}
  for i = 1, count do
    tasks[i] = boxd.spawn(function()
      local _ <close> = setmetatable({}, { __close = function()
        counts.closed = counts.closed + 1
      end })
      work()
      counts.ended = counts.ended + 1
    end)
  end
  function counts.join()
    for _, t in ipairs(tasks) do t:join() end
    assert.same({ count, count }, { counts.closed, counts.ended })
  end
  return counts
end

describe("a deep wait", function()
  after_each(calls.settled)

  it("of forty tasks in six callbacks each ends none of them", function()
    counting(40, function()
      boxd.sleep(0.01)
      deep(6, function() boxd.sleep(0.01) end)
      boxd.sleep(0.01)
    end).join()
  end)

  it("in an error handler at a stack overflow ends no task", function()
    local function c_overflow() return (("x"):gsub(".", c_overflow)) end
    local function lua_overflow() return 1 + lua_overflow() end
    for _, overflow in ipairs { c_overflow, lua_overflow } do
      local counts = counting(20, function()
        for _ = 1, 5 do boxd.sleep(0.002) end
      end)
      local waited
      xpcall(overflow, function() waited = pcall(boxd.sleep, 0.05) end)
      assert.is_boolean(waited)
      counts.join()
    end
  end)

  it("in map, in five protected calls each, gives all results", function()
    local function protected(n, fn, ...)
      if n == 0 then return fn(...) end
      return select(2, pcall(protected, n - 1, fn, ...))
    end
    local results = protected(5, boxd.map, { 1, 2, 3, 4, 5, 6, 7, 8 },
      function(i)
        return protected(5, function()
          deep(5, function()
            boxd.map({ 1, 2, 3, 4 }, function() boxd.sleep(0.002) end)
          end)
          return i
        end)
      end)
    assert.same({ 1, 2, 3, 4, 5, 6, 7, 8, n = 8 }, results)
  end)

  it("in a hundred coroutines inside one another ends no task", function()
    local counts = counting(20, function() boxd.sleep(0.02) end)
    local function nest(n)
      if n == 0 then return boxd.sleep(0.05) end
      return coroutine.wrap(nest)(n - 1)
    end
    pcall(nest, 150)
    counts.join()
  end)
end)
