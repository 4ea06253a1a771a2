-- boxd.spawn, run, sleep, and Tasks. Nothing here needs a network: each wait is a
-- sleep.

local boxd = require "boxd"
local calls = require "spec.support.calls"
local least = require "spec.support.least"
local program = require "spec.support.program"
local raised = require "spec.support.raised"

local failure = raised.of
local is_cancelled, is_timeout = raised.is_cancelled, raised.is_timeout

local function closing(f) return setmetatable({}, { __close = f }) end

-- The texts that warn() is given while f runs.
local function warnings(code)
  local result = program.lua { "-W", "-e", code }
  assert.equal(0, result.status, result.err)
  return result.err
end

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
    local took = least(0.2, function()
      local start = boxd.now()
      boxd.sleep(0.02)
      return boxd.now() - start
    end)
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
