-- boxd in a loop that is the script's own: pollfd, step, timeout, pending, hooks.

local loops = require "spec.support.loops"
local program = require "spec.support.program"

local server
setup(function() server = loops.serve() end)
teardown(function() server:stop() end)

local function run(code) return loops.run(server, "own", code) end

describe("the descriptor", function()
  it("is the same each time, and readable for the events r", function()
    assert.equal("true\tinteger\tr\n", run
      "print(boxd.pollfd() == fd, math.type(fd), boxd.events())")
  end)

  it("is readable when a task can go on, and not before or after", function()
    assert.equal("false false true false\n", run [[
      local seen = { readable() }
      local task = boxd.spawn(function() boxd.sleep(0.2) end)
      seen[2] = readable(0.05)
      seen[3] = readable(5)
      while boxd.step() > 0 do readable(0.1) end
      seen[4] = readable(0.05)
      for i = 1, 4 do seen[i] = tostring(seen[i]) end
      print(table.concat(seen, " "))
      task:join()]])
  end)

  it("is not readable after a call in place, but for what ends late of it", function()
    -- A call of one request is one batch. A stream's request is sent by a batch of
    -- its own, which may end after all the others, and takes one step then.
    assert.matches("^0\t[01]\n$", run [[
      local function late()
        local steps = 0
        while readable(0.05) do
          steps = steps + 1
          boxd.step()
        end
        return steps
      end
      box = compute.box:get "vm-1"
      local first = late()
      box:exec("chunks", "100", "64")
      print(first, late())]])
  end)

  it("is readable at once when a task is cancelled outside a step", function()
    assert.equal("false\ttrue\tcancelled\n", run [[
      local task = boxd.spawn(function() boxd.sleep(100) end)
      local before = readable(0.02)
      task:cancel()
      local after = readable(0)
      boxd.step()
      print(before, after, task.status)]])
  end)

  -- A process of which no more is read ahead.
  local FULL = [[
    box = compute.box:get "vm-1"
    local process = box:exec("chunks", "1000", "1024", { stream = true })
    settle()
  ]]

  it("is readable when a read makes room for a chunk that has arrived",
    function()
      assert.equal("true\t0.0\n", run(FULL .. [[
        process:read_stdout()
        print(readable(5), boxd.timeout())
        os.exit(true, true)]]))
    end)

  it("is readable after a step that had no time for that chunk", function()
    assert.equal("1022976\n", run(FULL .. [[
      local rest = 0
      local task = boxd.spawn(function()
        boxd.sleep(0.05)
        process:read_stdout()
        local busy = now() + 0.05
        while now() < busy do end
        for data in process:iter_stdout() do rest = rest + #data end
      end)
      serve(function() return task.status == "done" end)
      print(rest)]]))
  end)

  it("is not readable at the time of a timer that was stopped", function()
    assert.equal("false\tfalse\n", run [[
      local task = boxd.spawn(function() boxd.sleep(0.1) end)
      task:cancel()
      boxd.step()
      print(readable(0.3), (pcall(task.join, task)))]])
  end)

  it("wakes an idle program not once in a second", function()
    assert.equal("0\n", run [[
      boxd.hooks(HOOKS)
      box = compute.box:get "vm-1"
      start(function()
        local p = box:exec("hold", { stream = true })
        p:read_stdout()
        p:read_stdout()
      end)
      local task = boxd.spawn(function() boxd.sleep(1000) end)
      settle() -- until the chunk is there
      local wakes, ends = 0, now() + 1
      while now() < ends do
        if readable(ends - now()) then
          wakes = wakes + 1
          boxd.step()
        end
      end
      print(wakes)
      os.exit(true, true)]])
  end)
end)

describe("boxd.step", function()
  it("returns how many wait, and waits itself when it is asked to", function()
    assert.equal("1 1 0 true\n", run [[
      local task = boxd.spawn(function() boxd.sleep(1) end)
      local a = boxd.step()
      local b = boxd.step(0.1)
      local began = now()
      local c = boxd.step(30)
      print(("%d %d %d %s"):format(a, b, c, now() - began < 20))]])
  end)

  it("is bounded while tasks never rest", function()
    assert.equal("true\n", run [[
      local task = boxd.spawn(function() while true do boxd.sleep(0) end end)
      local began = now()
      boxd.step()
      print(now() - began < 20)
      task:cancel()
      boxd.step()]])
  end)

  it("may be called in a step", function()
    assert.equal("1\n", run [[
      boxd.hooks(HOOKS)
      local n
      start(function()
        boxd.sleep(0.01)
        local task = boxd.spawn(function() boxd.sleep(100) end)
        n = boxd.step()
        task:cancel()
        boxd.step()
      end)
      serve(idle)
      print(n)]])
  end)

  it("refuses times that are none", function()
    assert.matches("negative.*number expected", run [[
      print(select(2, pcall(boxd.step, -1)))
      print(select(2, pcall(boxd.step, {})))]])
  end)
end)

it("boxd.timeout is the time to the next timer, 0 with work at hand", function()
  assert.equal("nil\ttrue\t0.0\n", run [[
    local none = boxd.timeout()
    local task = boxd.spawn(function() boxd.sleep(5) end)
    local some = boxd.timeout()
    task:cancel()
    print(none, some > 4 and some <= 5, boxd.timeout() * 1.0)
    boxd.step()]])
end)

describe("a signal to boxdlua", function()
  local function interrupted(code)
    local path = program.file([[
      os.execute "(sleep 0.3; kill -INT $PPID) >/dev/null 2>&1 &"
      boxd.pollfd()
    ]] .. code)
    finally(function() os.remove(path) end)
    return program.run { "timeout", "15", program.boxdlua, path,
      env = { LUA_CPATH = ";;" } }
  end

  it("is raised by boxd.step", function()
    assert.matches("CancelledError: interrupted %(SIGINT%)",
      interrupted "print(select(2, pcall(boxd.step, 60)))".out)
  end)

  it("ends a loop of luv's", function()
    if loops.lacks "luv" then return pending(loops.lacks "luv") end
    local result = interrupted [[
      local uv, go = require "luv", require "boxd.loop.luv".go
      go(boxd.sleep, 60)
      uv.run()]]
    assert.matches("Uncaught Error", result.err) -- luv's words
    assert.not_equal(0, result.status)
    assert.not_equal(124, result.status)
  end)
end)

describe("hooks", function()
  it("let a plain coroutine yield in a streaming exec", function()
    assert.equal("suspended\t3\n", run [[
      boxd.hooks(HOOKS)
      box = compute.box:get "vm-1"
      local lines = 0
      local co = start(function()
        local p = box:exec("beat", "3", "0.05", { stream = true })
        for _ in p:lines() do lines = lines + 1 end
      end)
      local status = coroutine.status(co)
      serve(idle)
      print(status, lines)]])
  end)

  it("say when something waits, and when nothing does", function()
    assert.equal("true false true false\n", run [[
      local said = {}
      boxd.hooks { park = coroutine.yield, wake = resume,
        watch = function(on) said[#said + 1] = tostring(on) end }
      start(function() boxd.sleep(0.01) end)
      serve(idle)
      boxd.spawn(function() boxd.sleep(0.01) end)
      serve(idle)
      print(table.concat(said, " "))]])
  end)

  it("wait in place where they can't park", function()
    assert.equal("dead\tdead\n", run [[
      boxd.hooks { park = coroutine.yield, wake = resume,
        can_park = function() return false end }
      print(coroutine.status(start(function() boxd.sleep(0.01) end)),
        coroutine.status(start(function() compute.box:get "vm-1" end)))]])
  end)

  it("may park without a yield", function()
    assert.equal("vm-1\t0\n", run [[
      boxd.hooks { park = function() boxd.step(1) end, wake = function() end }
      local id
      start(function() id = compute.box:get("vm-1").id end)
      print(id, boxd.pending())]])
  end)

  it("raise in the coroutine what park raises", function()
    assert.equal("false\tparked badly\t0\n", run [[
      boxd.hooks { park = function() error("parked badly", 0) end,
        wake = resume }
      local ok, e
      start(function() ok, e = pcall(boxd.sleep, 100) end)
      print(ok, e, boxd.pending())]])
  end)

  it("raise from step what wake raises, and lose no other turn", function()
    assert.equal("false\twoken badly\ttrue\t0\n", run [[
      local bad, other
      boxd.hooks { park = coroutine.yield, wake = function(co)
        if co == bad then
          bad = nil
          error("woken badly", 0)
        end
        resume(co)
      end }
      bad = coroutine.create(function() boxd.sleep(0.01) end)
      resume(bad)
      start(function()
        boxd.sleep(0.01)
        other = true
      end)
      boxd.sleep(0)
      local ok, e = true, nil
      while ok do ok, e = pcall(boxd.step, 1) end
      serve(function() return other end)
      collectgarbage()
      collectgarbage()
      boxd.step()
      print(ok, e, other, boxd.pending())]])
  end)

  it("warn of a watch that fails", function()
    local result = program.run { program.lua5, "-W", "-e", [[
      local boxd = require "boxd"
      boxd.hooks { park = coroutine.yield, wake = print,
        watch = function() error("no watch", 0) end }
      boxd.spawn(function() boxd.sleep(0.01) end):join()]],
      env = { LUA_CPATH = os.getenv "LUA_CPATH" } }
    assert.equal(0, result.status)
    assert.matches("boxd: the watch hook failed: no watch", result.err)
  end)

  it("are refused without park or wake, or with other fields", function()
    assert.matches("park must be a function, not nil\n"
      .. ".*wake must be a function, not number\n.*unknown option 'parc'"
      .. ".*\n.*table expected", run [[
      for _, hooks in ipairs { {}, { park = print, wake = 1 },
        { parc = print }, 1 } do
        print(select(2, pcall(boxd.hooks, hooks)))
      end]])
  end)

  it("stay while coroutines wait by them", function()
    assert.matches("coroutines wait by the hooks there are.*\ntrue\n$", run [[
      boxd.hooks(HOOKS)
      start(function() boxd.sleep(0.05) end)
      print(select(2, pcall(boxd.hooks, nil)))
      serve(idle)
      print((pcall(boxd.hooks, nil)))]])
  end)
end)
