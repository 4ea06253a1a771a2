-- boxd.with_timeout: how calls and tasks end by it.

local boxd = require "boxd"
local calls = require "spec.support.calls"
local least = require "spec.support.least"
local program = require "spec.support.program"
local raised = require "spec.support.raised"

local failure = raised.of
local is_cancelled, is_timeout = raised.is_cancelled, raised.is_timeout

local function closing(f) return setmetatable({}, { __close = f }) end

-- A spec of 10 s begins with the file, in a process of its own.
local RAISED_AGAIN = [[
  local start, caught = boxd.now(), 0
  local ok, e = pcall(boxd.with_timeout, 0.01, function()
    if not pcall(boxd.sleep, 60) then caught = caught + 1 end
    boxd.sleep(60)
  end)
  local took = boxd.now() - start
  print(caught, e.class, took > 9.5 and took < 30)]]
local raised_again

setup(function() raised_again = program.begin_lua { "-e", RAISED_AGAIN } end)

describe("boxd.with_timeout", function()
  after_each(calls.settled)

  local function both(f)
    f()
    boxd.spawn(f):join()
    coroutine.wrap(f)()
    boxd.spawn(function() coroutine.wrap(f)() end):join()
  end

  it("returns the results of what ends in time", function()
    both(function()
      assert.same(table.pack(1, nil, 3), table.pack(
        boxd.with_timeout(5, function(...) boxd.sleep(0) return ... end,
          1, nil, 3)))
      assert.equal("x", failure(boxd.with_timeout, 5, error, "x"))
    end)
  end)

  it("ends a function that runs too long, and only that", function()
    both(function()
      local took = least(0.5, function()
        local start = boxd.now()
        local e = failure(boxd.with_timeout, 0.02, boxd.sleep, 60)
        is_timeout(e)
        assert.matches("with_timeout %(0.02 s%)", e.message)
        return boxd.now() - start
      end)
      assert.is_true(took >= 0.019 and took < 0.5, took)
      boxd.sleep(0.001)
    end)
  end)

  it("nests: the sooner of the two counts", function()
    both(function()
      local inner
      local e = failure(boxd.with_timeout, 0.01, function()
        inner = failure(boxd.with_timeout, 60, boxd.sleep, 60)
        error(inner, 0)
      end)
      assert.matches("0.01 s", inner.message)
      assert.equal(inner, e)
      assert.equal("outer goes on", boxd.with_timeout(60, function()
        assert.matches("0.01 s",
          failure(boxd.with_timeout, 0.01, boxd.sleep, 60).message)
        boxd.sleep(0.001)
        return "outer goes on"
      end))
    end)
  end)

  it("raises once when several are over at once", function()
    both(function()
      local failed = 0
      local e = failure(boxd.with_timeout, 0.01, function()
        boxd.with_timeout(0.01, function()
          boxd.with_timeout(0.01, function()
            local _ <close> = closing(function()
              if not pcall(boxd.sleep, 0.005) then failed = failed + 1 end
            end)
            local ends = boxd.now() + 0.02
            while boxd.now() < ends do end
            boxd.sleep(60)
          end)
        end)
      end)
      is_timeout(e)
      assert.equal(0, failed)
    end)
  end)

  it("raises even if the function catches it, but not after the function has ended",
    function()
      both(function()
        is_timeout(failure(boxd.with_timeout, 0.01, function()
          pcall(boxd.sleep, 60)
          return "late"
        end))
        assert.equal("whole", boxd.with_timeout(0.01, function()
          local ends = boxd.now() + 0.02
          while boxd.now() < ends do end
          return "whole"
        end))
      end)
    end)

  it("bounds a join, and distinguishes its own timeout from the task's", function()
    local t = boxd.spawn(boxd.sleep, 60)
    both(function() is_timeout(failure(boxd.with_timeout, 0.01, t.join, t)) end)
    assert.equal("running", t.status)
    t:cancel()
    is_cancelled(failure(t.join, t))
  end)

  it("bounds wait_until_ready, which takes other timeouts for a bad moment",
    function()
      local s <close> = calls.start { GetVm = function(call)
        call:recv()
        call:send { vm_id = "b1", status = "pending" }
        call:finish()
      end }
      local start = boxd.now()
      is_timeout(failure(boxd.with_timeout, 0.05, s.box.wait_until_ready,
        s.box, { poll_interval = 0.01 }))
      assert.is_true(boxd.now() - start < 20)
      local silent <close> = calls.start { GetVm = function(call)
        call:wait_cancelled()
      end }
      start = boxd.now()
      is_timeout(failure(boxd.with_timeout, 0.05, silent.box.wait_until_ready,
        silent.box))
      assert.is_true(boxd.now() - start < 20)
    end)

  it("bounds its own function only, not the caller of a generator that it returns",
    function()
      both(function()
        local function generator()
          return coroutine.create(function()
            boxd.with_timeout(0.01, function()
              coroutine.yield()
              boxd.sleep(60)
            end)
          end)
        end
        local goes_on, closed = generator(), generator()
        coroutine.resume(goes_on)
        coroutine.resume(closed)
        coroutine.close(closed)
        boxd.sleep(0.03)
        local _, e = coroutine.resume(goes_on)
        is_timeout(e)
      end)
    end)

  it("has no force any more when the task has ended that a generator of it "
    .. "began in", function()
      local generator = coroutine.wrap(function()
        boxd.with_timeout(0.01, function()
          coroutine.yield()
          boxd.sleep(0.02)
        end)
        return "whole"
      end)
      boxd.spawn(generator):join()
      collectgarbage()
      collectgarbage()
      boxd.sleep(0.03)
      assert.equal("whole", generator())
    end)

  it("raises again after 10 s of handlers", function()
    local result = raised_again()
    assert.equal("1\tTimeoutError\ttrue\n", result.out, result.err)
  end)
end)
