-- boxd.spawn, run, sleep, with_timeout and what Tasks do. Nothing here needs a
-- network: what waits is a sleep.

local boxd = require "boxd"
local program = require "spec.support.program"
local calls = require "spec.support.calls"
local raised = require "spec.support.raised"

local failure, is_cancelled = raised.of, raised.is_cancelled

local function is_timeout(e)
  assert.is_true(boxd.is_error(e, boxd.TimeoutError), tostring(e))
end

local function closing(f) return setmetatable({}, { __close = f }) end

-- The texts that warn() is given while f runs.
local function warnings(code)
  local result = program.lua { "-W", "-e", code }
  assert.equal(0, result.status, result.err)
  return result.err
end

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
local RAISED_AGAIN = [[
  local start, caught = boxd.now(), 0
  local ok, e = pcall(boxd.with_timeout, 0.01, function()
    if not pcall(boxd.sleep, 60) then caught = caught + 1 end
    boxd.sleep(60)
  end)
  local took = boxd.now() - start
  print(caught, e.class, took > 9.5 and took < 30)]]
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
local abandoned, raised_again, cancelled_again

setup(function()
  abandoned = program.begin_lua { "-W", "-e", ABANDONED }
  raised_again = program.begin_lua { "-e", RAISED_AGAIN }
  cancelled_again = program.begin_lua { "-e", CANCELLED_AGAIN }
end)

describe("boxd.spawn", function()
  after_each(calls.settled)

  it("starts at once and gives its results to join, again and again",
    function()
      local seen
      local t = boxd.spawn(function(...) seen = select("#", ...) return ... end,
        1, nil, "x", nil)
      assert.equal(4, seen)
      assert.equal("done", t.status)
      assert.same(table.pack(1, nil, "x", nil), table.pack(t:join()))
      assert.same(table.pack(1, nil, "x", nil), table.pack(t:join()))
      assert.matches("^boxd.Task %d+ %(done%)$", tostring(t))
    end)

  it("hands on the error, whatever value it is", function()
    for _, value in ipairs { "text", 42, { "table" }, false } do
      local t = boxd.spawn(function() boxd.sleep(0) error(value, 0) end)
      assert.equal("running", t.status)
      assert.equal(value, failure(t.join, t))
      assert.equal("failed", t.status)
      assert.equal(value, failure(t.join, t))
    end
    local t = boxd.spawn(error)
    -- Lua 5.5 has no error that is nil.
    assert.equal(select(2, pcall(error)), failure(t.join, t))
  end)

  it("lets others run while one waits, in the order of their times", function()
    local seen = {}
    local tasks, start = {}, boxd.now() + 0.05
    for i, pause in ipairs { 0.03, 0.01, 0.02 } do
      tasks[i] = boxd.spawn(function()
        boxd.sleep(math.max(0, start + pause - boxd.now()))
        seen[#seen + 1] = i
      end)
    end
    for _, t in ipairs(tasks) do t:join() end
    assert.same({ 2, 3, 1 }, seen)
  end)

  it("can be joined by many, in and out of tasks", function()
    local t = boxd.spawn(function() boxd.sleep(0.01) return "x" end)
    local joins = {}
    for i = 1, 10 do joins[i] = boxd.spawn(t.join, t) end
    assert.equal("x", t:join())
    for i = 1, 10 do assert.equal("x", joins[i]:join()) end
  end)

  it("keeps its results when its coroutine is resumed or closed", function()
    local co
    local function ended(fn)
      local t = boxd.spawn(function()
        co = coroutine.running()
        boxd.sleep(0)
        return fn()
      end)
      calls.eventually(function() return t.status ~= "running" end)
      local ok, e = coroutine.resume(co, "x", "y")
      assert.is_false(ok)
      assert.equal("cannot resume dead coroutine", e)
      assert.is_true(coroutine.close(co))
      return t
    end
    assert.same({ "a", nil, "c", n = 3 },
      table.pack(ended(function() return "a", nil, "c" end):join()))
    assert.equal(print, ended(function() return print end):join())
    assert.equal(0, select("#", ended(function() end):join()))
    local failed = ended(function() error("oops", 0) end)
    assert.equal("oops", failure(failed.join, failed))
    assert.equal("oops", failure(failed.join, failed))
  end)

  it("has failed when its coroutine is closed", function()
    local co
    local t = boxd.spawn(function()
      co = coroutine.running()
      boxd.sleep(0.01)
    end)
    assert.is_true(coroutine.close(co))
    assert.equal("cannot resume dead coroutine", failure(t.join, t))
    assert.equal("failed", t.status)
  end)

  it("takes a time for a join, which ends nothing", function()
    local go
    local t = boxd.spawn(function() repeat boxd.sleep(0.001) until go end)
    is_timeout(failure(t.join, t, { timeout = 0.005 }))
    is_timeout(failure(boxd.spawn(t.join, t, { timeout = 0.005 }).join,
      boxd.spawn(t.join, t, { timeout = 0.005 })))
    assert.equal("running", t.status)
    go = true
    t:join { timeout = 5 }
    assert.equal("done", t.status)
    assert.matches("unknown option 'timout'",
      failure(t.join, t, { timout = 1 }).message)
    for _, none in ipairs { 0, -1, 0 / 0 } do
      assert.matches("timeout must be a positive number",
        failure(t.join, t, { timeout = none }).message)
    end
  end)

  it("refuses a join that could never end", function()
    local t
    t = boxd.spawn(function() boxd.sleep(0) return failure(t.join, t) end)
    assert.matches("can't join itself", t:join())
    local a, b
    a = boxd.spawn(function() boxd.sleep(0) return b:join() end)
    b = boxd.spawn(function() boxd.sleep(0.01) return failure(a.join, a) end)
    assert.matches("can't join itself", a:join())
    -- From a callback, to a task below it on the C stack.
    local low
    low = boxd.spawn(function()
      boxd.sleep(0)
      local message
      ("x"):gsub(".", function()
        local high = boxd.spawn(function()
          return select(2, pcall(string.gsub, "x", ".", function()
            low:join()
          end))
        end)
        message = high:join()
      end)
      return message
    end)
    assert.matches("inside it", low:join())
  end)

  it("gives others a turn at coroutine.yield and at sleep(0)", function()
    for _, pause in ipairs { coroutine.yield, function() boxd.sleep(0) end } do
      local seen = {}
      local function work(name)
        for _ = 1, 3 do
          seen[#seen + 1] = name
          pause()
        end
      end
      local a, b = boxd.spawn(work, "a"), boxd.spawn(work, "b")
      a:join()
      b:join()
      assert.equal("ababab", table.concat(seen))
    end
  end)

  it("refuses other values than functions, and negative times", function()
    assert.matches("bad argument #1 to 'boxd.spawn' %(function expected",
      failure(boxd.spawn, 1))
    assert.matches("bad argument #1 to 'boxd.sleep'", failure(boxd.sleep, -1))
    assert.matches("bad argument #1 to 'boxd.sleep'", failure(boxd.sleep, "x"))
    assert.matches("bad argument #1 to 'boxd.sleep'", failure(boxd.sleep, 0 / 0))
    assert.matches("bad argument #1 to 'boxd.with_timeout'",
      failure(boxd.with_timeout, 0, print))
    assert.matches("bad argument #2 to 'boxd.with_timeout'",
      failure(boxd.with_timeout, 1))
    assert.matches("bad argument #1 to 'boxd.run'", failure(boxd.run))
  end)

  it("warns of a failed task without a join", function()
    assert.matches("was not joined: .*oops", warnings [[
      boxd.spawn(function() boxd.sleep(0) error "oops" end)
      boxd.sleep(0.01)]])
    assert.equal("", warnings [[
      local t = boxd.spawn(function() error "oops" end)
      pcall(t.join, t)
      t = boxd.spawn(boxd.sleep, 60)
      t:cancel()]])
  end)

  it("warns of one whose error has no text, too", function()
    for _, fails in ipairs { "function() error 'no' end",
      "function() return {} end" } do
      assert.matches("^Lua warning: boxd: a task failed and was not joined: an "
        .. "error whose __tostring fails\n$", warnings(([[
        boxd.spawn(error, setmetatable({}, { __tostring = %s }))]])
        :format(fails)))
    end
  end)

  it("that a hook of debug keeps from starting is none", function()
    local before, hooked = boxd.pending(), 0
    for n = 1, 40 do
      local entered, armed = 0, true
      local function stop()
        entered = entered + 1
        if armed and entered == n then error("stopped", 0) end
      end
      local ok, e = pcall(function()
        debug.sethook(stop, "c")
        return (boxd.spawn(boxd.sleep, 0))
      end)
      armed = false
      debug.sethook()
      if ok then e:join() else hooked = hooked + 1 end
    end
    assert.is_true(hooked > 3, hooked)
    calls.eventually(function() return boxd.pending() == before end)
  end)

  it("goes deep: a task that spawns one that spawns one", function()
    local function nest(n)
      if n == 0 then return 0 end
      return boxd.spawn(nest, n - 1):join() + 1
    end
    assert.equal(500, nest(500))
  end)
end)

describe("boxd.sleep", function()
  it("lasts as long as it says, and no less", function()
    local start = boxd.now()
    boxd.sleep(0.02)
    local took = boxd.now() - start
    assert.is_true(took >= 0.02 and took < 0.2, took)
  end)

  it("of 0 looks at the network too, outside tasks", function()
    local s <close> = calls.start { Whoami = function(call)
      call:recv()
      call:send {}
      call:finish()
    end }
    local t = boxd.spawn(s.compute.whoami, s.compute)
    local ends = boxd.now() + 5
    while t.status == "running" and boxd.now() < ends do boxd.sleep(0) end
    assert.equal("done", t.status)
  end)
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
      local start = boxd.now()
      local e = failure(boxd.with_timeout, 0.02, boxd.sleep, 60)
      is_timeout(e)
      assert.matches("with_timeout %(0.02 s%)", e.message)
      local took = boxd.now() - start
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
      assert.is_true(boxd.now() - start < 1)
      local silent <close> = calls.start { GetVm = function(call)
        call:wait_cancelled()
      end }
      start = boxd.now()
      is_timeout(failure(boxd.with_timeout, 0.05, silent.box.wait_until_ready,
        silent.box))
      assert.is_true(boxd.now() - start < 1)
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

describe("boxd.run", function()
  after_each(calls.settled)

  it("returns the results, or raises the error, of its function", function()
    assert.same(table.pack(1, nil), table.pack(boxd.run(function(...)
      boxd.sleep(0)
      return ...
    end, 1, nil)))
    assert.equal("x", failure(boxd.run, function() boxd.sleep(0) error("x", 0)
    end))
    assert.equal("nested", boxd.run(boxd.run, boxd.run, function()
      return "nested"
    end))
  end)

  it("cancels what its function left, and waits for that", function()
    local closed = 0
    local function linger()
      local _ <close> = closing(function()
        boxd.sleep(0.005)
        closed = closed + 1
      end)
      boxd.sleep(60)
    end
    local go
    local other = boxd.spawn(function() repeat boxd.sleep(0.001) until go end)
    for _, f in ipairs { function() end, function() error "x" end } do
      closed = 0
      pcall(boxd.run, function()
        boxd.spawn(linger)
        boxd.spawn(function() boxd.spawn(linger) boxd.sleep(60) end)
        f()
      end)
      assert.equal(2, closed)
    end
    assert.equal("running", other.status)
    go = true
    other:join()
    assert.equal("done", other.status)
  end)

  it("leaves alone what others spawn meanwhile", function()
    local theirs
    local sibling = boxd.spawn(function()
      boxd.sleep(0.005)
      theirs = boxd.spawn(function() boxd.sleep(0.03) return "whole" end)
    end)
    boxd.spawn(boxd.run, function() boxd.sleep(0.015) end):join()
    sibling:join()
    assert.equal("whole", theirs:join())
  end)

  it("is cancelled whole", function()
    local closed = 0
    local t = boxd.spawn(boxd.run, function()
      local _ <close> = closing(function() closed = closed + 1 end)
      boxd.spawn(function()
        local _ <close> = closing(function() closed = closed + 1 end)
        boxd.sleep(60)
      end)
      boxd.sleep(60)
    end)
    t:cancel()
    is_cancelled(failure(t.join, t))
    assert.equal(2, closed)
    is_timeout(failure(boxd.with_timeout, 0.01, boxd.run, boxd.sleep, 60))
  end)
end)
