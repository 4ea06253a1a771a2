-- boxd.gather and boxd.map.

local boxd = require "boxd"
local calls = require "spec.support.calls"
local raised = require "spec.support.raised"

local failure, is_cancelled = raised.of, raised.is_cancelled

-- A function that sleeps, counting how many do at once in `state`.
local function slow(state, seconds)
  return function()
    state.now = (state.now or 0) + 1
    state.most = math.max(state.most or 0, state.now)
    local _ <close> = setmetatable({}, { __close = function()
      state.now = state.now - 1
    end })
    boxd.sleep(seconds or 0.005)
    state.whole = (state.whole or 0) + 1
  end
end

describe("boxd.gather", function()
  after_each(calls.settled)

  it("gives first results in the order of the list", function()
    local t = boxd.spawn(function() boxd.sleep(0.01) return "task", 2 end)
    local results = boxd.gather {
      function() boxd.sleep(0.02) return "slow", "lost" end,
      t,
      function() return "quick" end,
    }
    assert.same({ "slow", "task", "quick", n = 3 }, results)
    assert.same({ n = 0 }, boxd.gather {})
  end)

  it("keeps holes where the list carries n", function()
    assert.same({ nil, 1, nil, n = 4 }, boxd.gather { nil, function() return 1
    end, function() return nil end, n = 4 })
  end)

  it("runs at most `limit` functions at once", function()
    local state, list = {}, { limit = 3 }
    for i = 1, 10 do list[i] = slow(state) end
    boxd.gather(list)
    assert.equal(3, state.most)
    assert.equal(10, state.whole)
    for _, limit in ipairs { 0, 1.5, "x" } do
      assert.matches("limit is an integer from 1 on",
        failure(boxd.gather, { limit = limit }).message)
    end
  end)

  it("cancels the rest at the first error, Tasks given too, and raises it",
    function()
      local state = {}
      local t = boxd.spawn(slow(state, 60))
      local start = boxd.now()
      assert.equal("first", failure(boxd.gather, { slow(state, 60), t,
        function() boxd.sleep(0.01) error("first", 0) end, slow(state, 60) }))
      assert.is_true(boxd.now() - start < 20)
      assert.equal(0, state.now)
      assert.is_nil(state.whole)
      is_cancelled(failure(t.join, t))
    end)

  it("sees the error of a Task given at once, whatever the limit", function()
    local state = {}
    local t = boxd.spawn(function() boxd.sleep(0.01) error("task", 0) end)
    assert.equal("task", failure(boxd.gather,
      { slow(state, 60), slow(state, 60), t, limit = 1 }))
    assert.equal(0, state.now)
    assert.equal(1, state.most)
  end)

  it("starts nothing after an error that came at once", function()
    local ran = false
    assert.equal("x", failure(boxd.gather, { function() error("x", 0) end,
      function() ran = true end }))
    assert.is_false(ran)
  end)

  it("is cancelled whole, in a task and by with_timeout", function()
    local state = {}
    local given = boxd.spawn(slow(state, 60))
    local t = boxd.spawn(boxd.gather, { slow(state, 60), given,
      slow(state, 60) })
    boxd.sleep(0)
    assert.equal(3, state.now)
    t:cancel()
    is_cancelled(failure(t.join, t))
    assert.equal(0, state.now)
    local e = failure(boxd.with_timeout, 0.01, boxd.gather, { slow(state, 60) })
    assert.equal("TimeoutError", e.class)
    assert.equal(0, state.now)
  end)

  it("refuses values that are neither function nor Task", function()
    assert.matches("bad argument #2 to 'gather' %(function or Task expected, "
      .. "got number", failure(boxd.gather, { print, 1 }))
    assert.matches("bad argument #1 to 'gather' %(function or Task expected",
      failure(boxd.gather, { io.stdout }))
    assert.matches("table expected, got n", failure(boxd.gather))
    assert.matches("did you mean 'limit'",
      failure(boxd.gather, { print, limits = 1 }).message)
  end)
end)

describe("boxd.map", function()
  after_each(calls.settled)

  it("gives results in the order of the list, with index and holes", function()
    local seen = {}
    local results = boxd.map({ 0.02, nil, 0.01, n = 3 }, function(item, i)
      if item then boxd.sleep(item) end
      seen[#seen + 1] = i
      return item and i * 10
    end)
    assert.same({ 10, nil, 30, n = 3 }, results)
    assert.same({ 2, 3, 1 }, seen)
  end)

  it("keeps to its limit", function()
    local state, list = {}, {}
    for i = 1, 12 do list[i] = i end
    boxd.map(list, slow(state), { limit = 4 })
    assert.equal(4, state.most)
    assert.equal(12, state.whole)
  end)

  it("raises the first error and ends the rest", function()
    local state = {}
    local wait = slow(state, 60)
    local e = failure(boxd.map, { 1, 2, 3 }, function(i)
      if i == 2 then boxd.sleep(0.005) error { 2 } end
      wait()
    end)
    assert.same({ 2 }, e)
    assert.equal(0, state.now)
  end)

  it("collects errors by index on request", function()
    local results, errors = boxd.map({ 1, 2, 3, 4 }, function(i)
      boxd.sleep(0)
      if i % 2 == 0 then error("e" .. i, 0) end
      return i
    end, { on_error = "collect", limit = 2 })
    assert.same({ 1, nil, 3, nil, n = 4 }, results)
    assert.same({ [2] = "e2", [4] = "e4" }, errors)
    results, errors = boxd.map({ 1 }, function() error() end,
      { on_error = "collect" })
    assert.same({ n = 1 }, results)
    assert.same({ tostring(select(2, pcall(error))) }, errors)
    local _, none = boxd.map({ 1 }, tostring, { on_error = "collect" })
    assert.same({}, none)
  end)

  it("that collects is cancelled all the same", function()
    local begun = 0
    local t = boxd.spawn(boxd.map, { 1, 2, 3, 4, 5 }, function()
      begun = begun + 1
      boxd.sleep(60)
    end, { on_error = "collect", limit = 2 })
    t:cancel()
    is_cancelled(failure(t.join, t))
    assert.equal(2, begun)
  end)

  it("checks its arguments", function()
    assert.matches("did you mean 'limit'",
      failure(boxd.map, {}, print, { limt = 1 }).message)
    assert.matches('on_error is "raise" or "collect"',
      failure(boxd.map, {}, print, { on_error = "x" }).message)
    assert.matches("bad argument #2 to 'map' %(function expected",
      failure(boxd.map, {}, 1))
    assert.matches("bad argument #1 to 'map' %(table expected",
      failure(boxd.map, 1))
    for _, n in ipairs { -1, 1.5, "2" } do
      assert.matches("map: n, .* is an integer from 0 on",
        failure(boxd.map, { n = n }, print).message)
      assert.matches("gather: n, .* is an integer from 0 on",
        failure(boxd.gather, { n = n }).message)
    end
  end)
end)

describe("a cancelled task that runs gather", function()
  it("gives no warning that it was not joined", function()
    local program = require "spec.support.program"
    local result = program.lua { "-W", "-e", [[
      local function long() boxd.sleep(60) end
      for _, start in ipairs { boxd.gather, boxd.map } do
        local t = boxd.spawn(boxd.run, start, { long, long },
          function(f) f() end)
        t:cancel()
        boxd.sleep(0.01)
        local u = boxd.spawn(boxd.run, function() start({ long }, long) end)
        boxd.sleep(0.01)
        u:cancel()
        pcall(u.join, u)
      end
      for _ = 1, 3 do collectgarbage() end
      print "end"]] }
    assert.equal("end\n", result.out)
    assert.equal("", result.err)
  end)
end)
