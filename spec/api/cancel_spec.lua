-- task:cancel: where a task ends by it, and how it may clean up.

local boxd = require "boxd"
local calls = require "spec.support.calls"
local program = require "spec.support.program"
local raised = require "spec.support.raised"

local failure, is_cancelled = raised.of, raised.is_cancelled

local function closing(f) return setmetatable({}, { __close = f }) end

-- Specs of 10 s begin with the file, each in a process of its own.
local ABANDONED = [[
  local t = boxd.spawn(function()
    while true do pcall(boxd.sleep, 60) end
  end)
  t:cancel()
  local start = boxd.now()
  local ok, e = pcall(t.join, t)
  assert(not ok and e.class == "CancelledError")
  local took = boxd.now() - start
  assert(took > 9.5 and took < 30, took)
  assert(t.status == "cancelled")]]
local CANCELLED_AGAIN = [[
  local t = boxd.spawn(function()
    boxd.sleep(0)
    table.sort({ 1, 2 }, function()
      pcall(boxd.sleep, 60)
      boxd.sleep(60)
    end)
  end)
  local start = boxd.now()
  boxd.spawn(function() boxd.sleep(0.05) t:cancel() end)
  local ok, e = pcall(t.join, t)
  local took = boxd.now() - start
  print(e.class, t.status, took > 9.5 and took < 30)]]
local abandoned, cancelled_again

setup(function()
  abandoned = program.begin_lua { "-W", "-e", ABANDONED }
  cancelled_again = program.begin_lua { "-e", CANCELLED_AGAIN }
end)

describe("cancelling", function()
  after_each(calls.settled)

  it("raises once at the pending wait; handlers may wait", function()
    local seen = {}
    local t = boxd.spawn(function()
      local _ <close> = closing(function()
        boxd.sleep(0.005)
        seen[#seen + 1] = "closed"
      end)
      local e = failure(boxd.sleep, 60)
      is_cancelled(e)
      boxd.sleep(0.005)
      seen[#seen + 1] = "handled"
      error(e, 0)
    end)
    t:cancel()
    t:cancel()
    is_cancelled(failure(t.join, t))
    assert.same({ "handled", "closed" }, seen)
    assert.equal("cancelled", t.status)
  end)

  it("leaves a task that catches it done, one that fails then failed",
    function()
      local t = boxd.spawn(function() pcall(boxd.sleep, 60) return "kept" end)
      t:cancel()
      assert.equal("kept", t:join())
      assert.equal("done", t.status)
      t = boxd.spawn(function() pcall(boxd.sleep, 60) error("other", 0) end)
      t:cancel()
      assert.equal("other", failure(t.join, t))
      assert.equal("failed", t.status)
    end)

  it("ends a task that has not started, which never runs", function()
    local ran, t = false, nil
    local function nest(n)
      if n > 0 then return boxd.spawn(nest, n - 1) end
      t = boxd.spawn(function() ran = true end)
      t:cancel()
    end
    nest(16)
    assert.equal("running", t.status)
    is_cancelled(failure(t.join, t))
    assert.equal("cancelled", t.status)
    assert.is_false(ran)
  end)

  it("of a task by itself comes at its next wait", function()
    local t
    t = boxd.spawn(function()
      boxd.sleep(0)
      t:cancel()
      boxd.sleep(0)
      return "not reached"
    end)
    is_cancelled(failure(t.join, t))
  end)

  it("reaches through a generator, running its <close>", function()
    local closed = 0
    local t = boxd.spawn(function()
      local generate = coroutine.wrap(function()
        local _ <close> = closing(function() closed = closed + 1 end)
        coroutine.yield(1)
        boxd.sleep(60)
      end)
      generate()
      generate()
    end)
    t:cancel()
    is_cancelled(failure(t.join, t))
    assert.equal(1, closed)
  end)

  it("of a joiner leaves the joined one alone", function()
    local joined = boxd.spawn(function() boxd.sleep(0.02) return "x" end)
    local joiner = boxd.spawn(joined.join, joined)
    joiner:cancel()
    is_cancelled(failure(joiner.join, joiner))
    assert.equal("x", joined:join())
  end)

  it("in a callback of a task, where it blocks, works too", function()
    local t = boxd.spawn(function()
      boxd.sleep(0);
      ("x"):gsub(".", function() boxd.sleep(60) end)
    end)
    boxd.spawn(function() boxd.sleep(0.01) t:cancel() end)
    is_cancelled(failure(t.join, t))
  end)

  it("gives up on a task that does not end within 10 s, with a warning",
    function()
      local result = abandoned()
      assert.equal(0, result.status, result.err)
      assert.matches("abandoned", result.err)
    end)

  it("cancels again after 10 s what waits in a callback", function()
    local result = cancelled_again()
    assert.equal("CancelledError\tcancelled\ttrue\n", result.out, result.err)
  end)
end)
