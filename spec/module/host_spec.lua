-- boxd.so as a guest: what the host program keeps.

local process = require "spec.support.process"
local program = require "spec.support.program"

-- AddressSanitizer holds freed memory back, and takes its time.
local SANITIZED = os.getenv "ASAN_OPTIONS" ~= nil
local FIGURES = os.getenv "BOXD_FIGURES" -- make faults: a thousand of each
local ROUNDS = SANITIZED and 100 or FIGURES and 1000 or 250

-- What the scripts below begin with.
local BEGIN = "local rounds = " .. ROUNDS .. [[

local host, boxd = require "host", require "boxd"
local lines = io.lines(arg[1])
local url, exchange, key = lines(), lines(), lines()
local function connect()
  return boxd.Compute{ api_url = url, exchange_url = exchange, api_key = key }
end
local function count(path)
  local pipe = io.popen("ls /proc/$PPID/" .. path .. " | wc -l")
  local n = pipe:read "n"
  pipe:close()
  return n
end
local function kib(name)
  for line in io.lines "/proc/self/status" do
    local value = line:match("^" .. name .. ":%s+(%d+)")
    if value then return tonumber(value) end
  end
end
-- Of every thread, the main one first: its signals blocked, ignored, caught.
-- Those from 32 on are the C library's own. Read by ourselves, as popen blocks
-- signals until its program runs.
local function signals()
  local list = {}
  local pipe = io.popen "ls /proc/$PPID/task"
  for tid in pipe:lines() do
    local one, f = {}, io.open("/proc/self/task/" .. tid .. "/status")
    local text = f and f:read "a" or "" -- "": it has ended meanwhile
    if f then f:close() end
    for name, set in text:gmatch "(Sig[BIC]%a+):%s+(%x+)" do
      one[name] = tonumber(set, 16) & 0x7fffffff
    end
    local main = text:match "Tgid:%s+(%d+)" == tid
    if next(one) then table.insert(list, main and 1 or #list + 1, one) end
  end
  pipe:close()
  return list
end
local function failure(fn, ...)
  local ok, e = pcall(fn, ...)
  assert(not ok, "it did not fail")
  return tostring(e)
end
]]

-- Leftovers, as a script prints them: descriptors, threads, KiB. For `make
-- faults`: the figures of the table in scripts/torture/README.md.
local function left(what, text)
  local fds, threads, memory = text:match "(%S+)%s+(%S+)%s+(%S+)"
  if FIGURES then
    print(("\n%d %s: %+d descriptors, %+d threads, %+d KiB"):format(ROUNDS, what,
      fds, threads, memory))
  end
  return tonumber(fds), tonumber(threads), tonumber(memory)
end

describe("boxd.so", function()
  local server, folder

  setup(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir -m 700 " .. folder))
    server = process.start { "sh", "-c", 'exec "$@" 2>/dev/null', "sh",
      program.boxdlua, "--serve", "--limits", "none", "--listen", "127.0.0.1:0",
      "--state", folder .. "/state" }
    local f <close> = assert(io.open(folder .. "/key", "w"))
    for _ = 1, 3 do f:write(server:line():match "=(.*)", "\n") end
    assert(os.execute(("cc -shared -fPIC $(pkg-config --cflags %s) -o "
      .. "%s/host.so spec/support/host.c"):format(program.lua5, folder)))
  end)

  teardown(function()
    if server then server:stop() end
    os.execute("rm -rf " .. folder)
  end)

  -- The output of a script run by program.lua5.
  local function run(code)
    local path = folder .. "/script.lua"
    local f <close> = assert(io.open(path, "w"))
    f:write(BEGIN, code)
    f:flush()
    local result = program.run { program.lua5, path, folder .. "/key",
      env = { LUA_CPATH = folder .. "/?.so;" .. os.getenv "LUA_CPATH" } }
    assert.equal("", result.err)
    assert.equal(0, result.status, result.out)
    return result.out
  end

  it("stays in the process once it is loaded", function()
    local dynamic = program.run { "readelf", "-d",
      package.searchpath("boxd", package.cpath) }
    assert.matches("NODELETE", dynamic.out)
  end)

  it("ends its waits in time while the host handles a signal often", function()
    assert.equal("in time\n", run [[
      host.tick(0.005)
      local began = boxd.now()
      for _ = 1, 5 do boxd.sleep(0.02) end
      boxd.sleep(0.25)
      pcall(boxd.with_timeout, 0.1, boxd.sleep, 60)
      local took = boxd.now() - began
      host.tick(0)
      print(took < 20 and "in time" or took)]])
  end)

  it("may be loaded twice, by one state and by two", function()
    assert.equal("local local local 2 local\n", run [[
      local first = connect()
      local before = first:whoami().user_id
      for name in pairs(package.loaded) do
        if name:find "^boxd" then package.loaded[name] = nil end
      end
      boxd = require "boxd"
      local second = connect()
      local code = ("arg = { [1] = %q }\n"):format(arg[1]) .. [=[
        local boxd = require "boxd"
        local lines = io.lines(arg[1])
        local c = boxd.Compute{ api_url = lines(), exchange_url = lines(),
          api_key = lines() }
        local task = boxd.spawn(function() return c:whoami().user_id end)
        return task:join()]=]
      local n = 0
      for _ = 1, 2 do
        if host.run(code) == "local" then n = n + 1 end
      end
      print(before, second:whoami().user_id, first:whoami().user_id, n,
        host.run(code))]]:gsub("\t", " "))
  end)

  it("works in the host's coroutines", function()
    assert.equal("local 3\n", run [[
      local c = connect()
      local generate = coroutine.wrap(function()
        for _ = 1, 3 do coroutine.yield(c:whoami().user_id) end
      end)
      local last, n = nil, 0
      for user in generate do last, n = user, n + 1 end
      print(last .. " " .. n)]])
  end)

  it("leaves nothing of many clients", function()
    local text = run [[
      local function cycle(n)
        for _ = 1, n do
          local c <close> = connect()
          assert(c:whoami().user_id == "local")
        end
        collectgarbage()
        collectgarbage()
      end
      cycle(100)
      local fds, threads, memory = count "fd", count "task", kib "VmRSS"
      cycle(rounds)
      print(count "fd" - fds, count "task" - threads, kib "VmRSS" - memory)]]
    local fds, threads, memory = left("clients", text)
    assert.truthy(fds <= 4, text)
    assert.truthy(threads <= 4, text)
    assert.truthy(SANITIZED or memory < 4 * ROUNDS, text) -- KiB
  end)

  it("leaves nothing of many states", function()
    local text = run [[
      local code = ("arg = { [1] = %q }\n"):format(arg[1]) .. [=[
        local boxd = require "boxd"
        local lines = io.lines(arg[1])
        local c = boxd.Compute{ api_url = lines(), exchange_url = lines(),
          api_key = lines() }
        boxd.spawn(boxd.sleep, 60)
        return c:whoami().user_id]=]
      local function cycle(n)
        for _ = 1, n do assert(host.run(code) == "local") end
      end
      cycle(100)
      local fds, threads, memory = count "fd", count "task", kib "VmRSS"
      cycle(rounds)
      print(count "fd" - fds, count "task" - threads, kib "VmRSS" - memory)]]
    local fds, threads, memory = left("states", text)
    assert.truthy(fds <= 4, text)
    assert.truthy(threads <= 4, text)
    assert.truthy(SANITIZED or memory < 8 * ROUNDS, text)
  end)

  it("leaves the host's signals as they were, and takes none of them",
    function()
      assert.equal("same\n", run [[
        local before = signals()
        local c = boxd.Compute{ api_url = url:gsub("127.0.0.1", "localhost"),
          exchange_url = exchange, api_key = key }
        boxd.spawn(boxd.sleep, 60)
        boxd.spawn(c.whoami, c):join()
        boxd.http.request { url = exchange }
        local after = signals()
        assert(#before == 1 and #after > 1, #after)
        for name, set in pairs(before[1]) do
          assert(after[1][name] == set, name)
        end
        -- SIGILL, SIGABRT, SIGBUS, SIGFPE and SIGSEGV stay with the thread that raised
        -- them; SIGKILL and SIGSTOP are never blocked.
        local own = 1 << 3 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 10
        local all = 0x7fffffff & ~(own | 1 << 8 | 1 << 18)
        for i = 2, #after do
          assert(after[i].SigBlk & all == all, ("%x"):format(after[i].SigBlk))
        end
        print "same"]])
    end)

  it("refuses calls in a forked child, and its parent goes on", function()
    assert.equal("0\n0\n0\nlocal\n42\n", run [[
      local c = connect()
      c:whoami()
      local slow = boxd.spawn(function()
        boxd.sleep(0.2)
        return 42
      end)
      local pending = boxd.spawn(c.stream, c, "StreamLogs", { vm_id = "x" })
      local request = boxd.spawn(boxd.http.request, { url = exchange })
      local function refused(...)
        assert(failure(...):find "forked from one that uses boxd")
      end
      -- Calls, old and new.
      print(host.fork(function()
        refused(c.whoami, c)
        refused(c.call, c, "GetVm", { vm_id = "x" })
        refused(boxd.http.request, { url = exchange })
        local other = connect()
        refused(other.whoami, other)
        refused(boxd.sleep, 0.01)
      end))
      -- Objects closed and collected there.
      print(host.fork(function()
        c:close()
        c, pending, request, slow = nil, nil, nil, nil
        collectgarbage()
        collectgarbage()
      end))
      -- The end of the state.
      print(host.fork(function() os.exit(0, true) end))
      print(c:whoami().user_id)
      print(slow:join())]])
  end)
end)
