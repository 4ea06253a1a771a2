-- How a wait reaches the loop: from generators, callbacks and finalizers, in
-- tasks and out of them.

local boxd = require "boxd"
local calls = require "spec.support.calls"
local failure = require("spec.support.raised").of

-- In the main context, in a task, and in a coroutine in each of them.
local function everywhere(f)
  f("main")
  boxd.spawn(f, "task"):join()
  coroutine.wrap(f)("generator")
  boxd.spawn(function() coroutine.wrap(f)("generator in a task") end):join()
end

local function answer_exec(lines, pause)
  return { Exec = function(call)
    call:recv()
    for i = 1, lines do
      if pause then boxd.sleep(pause) end
      call:send { data = "line " .. i .. "\n" }
    end
    call:send { exit_code = 0 }
    call:finish()
  end }
end

describe("a generator", function()
  after_each(calls.settled)

  it("around lines() never shows our waiting", function()
    local s <close> = calls.start(answer_exec(5, 0.002))
    everywhere(function()
      local p <close> = s.box:exec("x", { stream = true })
      local count = 0
      for a, b in coroutine.wrap(function()
        for line in p:lines() do coroutine.yield(line, #line) end
      end) do
        count = count + 1
        assert.equal("line " .. count, a)
        assert.equal(6, b)
      end
      assert.equal(5, count)
    end)
  end)

  it("in a task lets the others go on", function()
    local ticks = 0
    local ticker = boxd.spawn(function()
      while true do
        boxd.sleep(0.001)
        ticks = ticks + 1
      end
    end)
    boxd.run(function()
      for _ in coroutine.wrap(function()
        for i = 1, 5 do
          boxd.sleep(0.004)
          coroutine.yield(i)
        end
      end) do end
    end)
    ticker:cancel()
    assert.is_true(ticks >= 5, ticks)
  end)

  it("in a generator in a generator waits too", function()
    local function nest(n)
      return coroutine.wrap(function()
        if n == 0 then
          for i = 1, 3 do
            boxd.sleep(0.001)
            coroutine.yield(i)
          end
        else
          for i in nest(n - 1) do coroutine.yield(i) end
        end
      end)
    end
    everywhere(function()
      local sum = 0
      for i in nest(20) do sum = sum + i end
      assert.equal(6, sum)
    end)
  end)

  it("passes errors on, and closes its variables", function()
    everywhere(function()
      local closed = false
      local f = coroutine.wrap(function()
        local _ <close> = setmetatable({}, { __close = function()
          closed = true
        end })
        boxd.sleep(0.001)
        error { "mine" }
      end)
      assert.same({ "mine" }, failure(f))
      assert.is_true(closed)
      assert.matches("cannot resume dead coroutine", failure(f))
      local co = coroutine.create(function()
        boxd.sleep(0.001)
        error("text", 0)
      end)
      assert.same({ false, "text" }, { coroutine.resume(co) })
      assert.equal("dead", coroutine.status(co))
    end)
  end)

  it("that waits is not resumed by another task", function()
    local generate = coroutine.wrap(function()
      boxd.sleep(0.01)
      coroutine.yield "mine"
    end)
    local co = coroutine.create(function() boxd.sleep(0.01) return "mine" end)
    local a, b = boxd.spawn(generate), boxd.spawn(coroutine.resume, co)
    assert.matches("cannot resume non%-suspended", failure(generate, "x"))
    local t = boxd.spawn(coroutine.resume, co, "x", "y")
    assert.same({ false, "cannot resume non-suspended coroutine" },
      { t:join() })
    assert.equal("mine", a:join())
    assert.same({ true, "mine" }, { b:join() })
  end)

  it("that waits and is closed by another ends the wait, whatever it is for",
    function()
      local s <close> = calls.start { Exec = function(call)
        call:wait_cancelled()
      end }
      local silent <close> = calls.start { GetVm = function(call)
        call:wait_cancelled()
      end }
      for name, wait in pairs {
        exec = function() s.box:exec("x") end,
        read = function() s.box:exec("x", { stream = true }):read_stdout() end,
        chunks = function() s.box:exec("x", { stream = true }):chunks()() end,
        wait = function() s.box:exec("x", { stream = true }):wait() end,
        call = function() silent.box:refresh() end,
        http = function()
          boxd.http.request { url = "http://" .. s.server.address .. "/" }
        end,
      } do
        local generator = coroutine.create(wait)
        local t = boxd.spawn(function() return coroutine.resume(generator) end)
        assert.equal("running", t.status, name)
        assert.is_true(coroutine.close(generator))
        generator = nil
        collectgarbage()
        collectgarbage()
        local _, e = t:join { timeout = 10 }
        assert.equal("cannot resume dead coroutine", e, name)
      end
    end)

  it("may wander from task to task between its yields", function()
    local generate = coroutine.wrap(function()
      for i = 1, 3 do
        boxd.sleep(0.001)
        coroutine.yield(i)
      end
    end)
    assert.equal(1, boxd.spawn(generate):join())
    assert.equal(2, generate())
    assert.equal(3, boxd.spawn(generate):join())
  end)

  it("runs in 1,000 tasks at once", function()
    local s <close> = calls.start { Whoami = function(call)
      call:recv()
      call:send {}
      call:finish()
    end }
    local sum, waiting, tasks = 0, 0, {}
    for i = 1, 1000 do
      tasks[i] = boxd.spawn(function()
        for n in coroutine.wrap(function()
          waiting = waiting + 1
          -- One after the other they would never be so many.
          repeat boxd.sleep(0.05) until waiting == 1000
          for n = 1, 3 do
            boxd.sleep(0.001)
            coroutine.yield(n)
          end
        end) do sum = sum + n end
        if i % 10 == 0 then s.compute:whoami() end
      end)
    end
    for _, t in ipairs(tasks) do t:join() end
    assert.equal(6000, sum)
  end)
end)

describe("a callback", function()
  after_each(calls.settled)

  local function double(compute)
    return function(text) return compute:call("GetVm", { vm_id = text }).name
    end
  end

  local function start()
    return calls.start { GetVm = function(call)
      local id = call:recv().vm_id
      boxd.sleep(0.001)
      call:send { vm_id = id, name = id .. id }
      call:finish()
    end }
  end

  it("of gsub and of sort may call the API", function()
    local s <close> = start()
    everywhere(function()
      assert.equal("aabbcc", ("abc"):gsub(".", double(s.compute)))
      local list = { 3, 1, 2 }
      table.sort(list, function(a, b)
        s.compute:call("GetVm", { vm_id = "x" })
        return a < b
      end)
      assert.same({ 1, 2, 3 }, list)
    end)
  end)

  it("and a metamethod, an iterator, a xpcall handler, a __close may too",
    function()
      local s <close> = start()
      everywhere(function()
        local t = setmetatable({}, { __index = function(_, key)
          return s.compute:call("GetVm", { vm_id = key }).name
        end })
        assert.equal("aa", t.a)
        local closed
        do
          local _ <close> = setmetatable({}, { __close = function()
            closed = t.b
          end })
        end
        assert.equal("bb", closed)
        assert.same({ false, "xx" }, { xpcall(error, function(e)
          return t[e]
        end, "x") })
      end)
    end)

  it("may wait in many tasks at once", function()
    local s <close> = start()
    local texts = {}
    for i = 1, 300 do texts[i] = "abc" end
    local results = boxd.map(texts, function(text)
      return (text:gsub(".", double(s.compute)))
    end)
    for i = 1, 300 do assert.equal("aabbcc", results[i]) end
  end)

  it("that joins a task raises when the join could never end", function()
    local function nest(n)
      if n == 0 then return "deep" end
      local result
      ("x"):gsub(".", function() result = boxd.spawn(function()
        boxd.sleep(0)
        return nest(n - 1)
      end):join() end)
      return result
    end
    assert.equal("deep", boxd.spawn(nest, 10):join())
    assert.matches("too many callbacks", failure(function()
      return boxd.spawn(nest, 100):join()
    end))
  end)

  it("that no longer joins a task does not fail when that task joins its own",
    function()
      local other, left
      local own = boxd.spawn(function()
        boxd.sleep(0)
        table.sort({ 1, 2 }, function()
          failure(boxd.with_timeout, 0.005, function() other:join() end)
        end)
        left = true
        boxd.sleep(0.05)
        return "own"
      end)
      other = boxd.spawn(function()
        while not left do boxd.sleep(0.001) end
        return own:join()
      end)
      assert.equal("own", other:join())
    end)

  it("lets other tasks go on while it waits", function()
    local seen = {}
    local t = boxd.spawn(function()
      boxd.sleep(0.005)
      seen[#seen + 1] = "other"
    end);
    ("x"):gsub(".", function() boxd.sleep(0.02) end)
    seen[#seen + 1] = "callback"
    t:join()
    assert.same({ "other", "callback" }, seen)
  end)
end)
