-- Coroutines that wait by hooks, and how they end.

local loops = require "spec.support.loops"
local program = require "spec.support.program"

local server, folder
setup(function()
  server = loops.serve()
  folder = program.run { "mktemp", "-d" }.out:gsub("\n", "")
  assert(os.execute(("cc -shared -fPIC -pthread $(pkg-config --cflags %s) "
    .. "-o %s/host.so spec/support/host.c"):format(program.lua5, folder)))
end)
teardown(function()
  server:stop()
  os.execute("rm -rf " .. folder)
end)

local function run(code)
  return loops.run(server, "own", ([[
    package.cpath = %q .. package.cpath
    local host = require "host"
  ]]):format(folder .. "/?.so;") .. code)
end

describe("a coroutine that waits by hooks", function()
  it("ends its wait when it is closed, its variables with it", function()
    assert.equal("1\ttrue\tclosed\t0\n", run [[
      boxd.hooks(HOOKS)
      box = compute.box:get "vm-1"
      local said
      local co = start(function()
        local x <close> = setmetatable({},
          { __close = function() said = "closed" end })
        box:exec "hold"
      end)
      local before, ok = boxd.pending(), coroutine.close(co)
      settle()
      print(before, ok, said, boxd.pending())]])
  end)

  it("goes on though nothing else holds it", function()
    assert.equal("true\n", run [[
      boxd.hooks(HOOKS)
      local done
      start(function()
        boxd.sleep(0.05)
        done = true
      end)
      collectgarbage()
      collectgarbage()
      serve(idle)
      print(done)]])
  end)

  it("leaves nothing when its scheduler forgets it", function()
    assert.equal("20\t0\n", run [[
      boxd.hooks { park = coroutine.yield, wake = function() end }
      for _ = 1, 20 do start(function() boxd.sleep(0.01) end) end
      local before = boxd.pending()
      serve(function()
        collectgarbage()
        return idle()
      end)
      print(before, boxd.pending())]])
  end)

  it("leaves nothing when it fails", function()
    assert.equal("false\toops\t0\n", run [[
      boxd.hooks(HOOKS)
      start(function()
        boxd.sleep(0.01)
        error("oops", 0)
      end)
      local ok, e = true, nil
      while ok do ok, e = pcall(boxd.step, 1) end
      print(ok, e, boxd.pending())]])
  end)

  it("goes back to its wait when it is resumed before its time", function()
    assert.equal("suspended\ttrue\n", run [[
      boxd.hooks(HOOKS)
      local began, took = now(), nil
      local co = start(function()
        boxd.sleep(0.2)
        took = now() - began
      end)
      for _ = 1, 3 do resume(co) end
      local status = coroutine.status(co)
      serve(idle)
      print(status, took >= 0.2)]])
  end)

  it("has the time of its own with_timeout, not of another's", function()
    assert.equal("true\ttrue\n", run [[
      boxd.hooks(HOOKS)
      local class, other
      start(function()
        local _, e = pcall(boxd.with_timeout, 0.05, boxd.sleep, 10)
        class = boxd.is_error(e, boxd.TimeoutError)
      end)
      start(function() other = pcall(boxd.sleep, 0.2) end)
      serve(idle)
      print(class, other)]])
  end)

  it("is one of many: memory does not grow with the waits", function()
    local kib = tonumber(run [[
      boxd.hooks(HOOKS)
      local function round(n)
        start(function() for _ = 1, n do boxd.sleep(0) end end)
        serve(idle)
        collectgarbage()
        collectgarbage()
        return collectgarbage "count"
      end
      round(100)
      local before = round(100)
      print(round(20000) - before)]])
    assert.is_true(kib < 100, kib)
  end)
end)

describe("a task", function()
  it("fails when it yields values to boxd, and closes its variables", function()
    assert.equal("false\ttrue\tclosed\t0\n", run [[
      local said
      local task = boxd.spawn(function()
        local x <close> = setmetatable({},
          { __close = function() said = "closed" end })
        coroutine.yield("socket", 1)
      end)
      local ok, e = pcall(task.join, task)
      print(ok, e:find "yielded values to boxd" ~= nil, said, boxd.pending())]])
  end)

  it("gives the others a turn by a yield without values", function()
    assert.equal("ab\n", run [[
      local said = ""
      boxd.gather { function()
        coroutine.yield()
        said = said .. "b"
      end, function() said = said .. "a" end }
      print(said)]])
  end)
end)

describe("with pollfd open", function()
  it("a forked child gets errors, and leaves its parent alone", function()
    assert.equal("0\tfalse\t0\tvm-1\n", run [[
      boxd.hooks(HOOKS)
      box = compute.box:get "vm-1"
      local task = boxd.spawn(function() boxd.sleep(0.5) end)
      local status = host.fork(function()
        for _, fn in ipairs { boxd.pollfd, boxd.step,
          function() compute.box:get "vm-1" end } do
          local ok, e = pcall(fn)
          assert(not ok and tostring(e):find "forked", e)
        end
        task:cancel()
        assert(boxd.pending() == 1)
      end)
      local woken = readable(0.05)
      serve(idle)
      print(status, woken, boxd.pending(), compute.box:get("vm-1").id)]])
  end)

  it("two states in two threads go on side by side", function()
    assert.equal("300 300\n", run [[
      local code = ("local port = %q\n"):format(arg[1]) .. [=[
        local boxd = require "boxd"
        local c = boxd.Compute { api_url = "http://127.0.0.1:" .. port,
          token = "t" }
        boxd.pollfd()
        local n = 0
        boxd.hooks { park = coroutine.yield, wake = function(co)
          assert(coroutine.resume(co))
        end }
        for _ = 1, 10 do
          assert(coroutine.resume(coroutine.create(function()
            for _ = 1, 30 do
              c.box:get "vm-1"
              n = n + 1
            end
          end)))
        end
        while boxd.pending() > 0 do boxd.step(1) end
        return n .. ""]=]
      print(table.concat({ host.threads(code, code) }, " "))]])
  end)

  it("states end, and leave no thread and no descriptor", function()
    local left = run [[
      local function count(what)
        local pipe = io.popen("ls /proc/$PPID/" .. what .. " | wc -l")
        local n = pipe:read "n"
        pipe:close()
        return n
      end
      local code = ("local port = %q\n"):format(arg[1]) .. [=[
        local boxd = require "boxd"
        local c = boxd.Compute { api_url = "http://127.0.0.1:" .. port,
          token = "t" }
        boxd.pollfd()
        boxd.hooks { park = coroutine.yield, wake = function() end }
        local function start(fn)
          assert(coroutine.resume(coroutine.create(fn)))
        end
        start(function() c.box:get "vm-1" end)
        start(function() boxd.sleep(1000) end)
        boxd.step(1)
        return "done"]=]
      assert(host.run(code) == "done")
      local fds, threads = count "fd", count "task"
      for _ = 1, 50 do assert(host.run(code) == "done") end
      print(count "fd" - fds, count "task" - threads)]]
    local fds, threads = left:match "(%S+)%s+(%S+)"
    assert.is_true(tonumber(fds) <= 4 and tonumber(threads) <= 4, left)
  end)
end)
