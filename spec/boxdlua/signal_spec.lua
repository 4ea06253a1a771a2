-- SIGINT, SIGTERM and SIGHUP in boxdlua: src/boxdlua/signal.c. The script under
-- test has the signal sent to itself after 0.1 s.

local program = require "spec.support.program"

-- send(signal [, seconds]) and mark(name), a variable whose <close> waits and
-- prints.
local before = [[
local function send(signal, seconds)
  os.execute(("(sleep %s; kill -%s $PPID) >/dev/null 2>&1 &"):format(
    seconds or 0.1, signal))
end
local function mark(name)
  return setmetatable({}, { __close = function()
    boxd.sleep(0.01)
    print(name .. " closed")
  end })
end
local start = boxd.now()
-- A busy machine is late by itself; what is waited for takes longer still.
local function soon()
  local took = boxd.now() - start
  assert(took >= 0.1 and took < 5, took)
end
]]

local function run(code)
  return program.lua { "-e", before .. code }
end

local function ended(status, out, result)
  assert.equal(out, result.out, result.err)
  assert.equal(status, result.status, result.err)
  return result
end

local function ends(status, out, code) return ended(status, out, run(code)) end

local STATUS = { INT = 130, TERM = 143, HUP = 129 }

-- What a script may be doing.
local BLOCKED = {
  sleeping = "boxd.sleep(60)",
  ["in a generator"] = "coroutine.wrap(function() boxd.sleep(60) end)()",
  joining = "boxd.spawn(boxd.sleep, 60):join()",
  running = "boxd.run(boxd.sleep, 60)",
  gathering = "boxd.gather{function() boxd.sleep(60) end}",
  ["in a callback"] = "('x'):gsub('.', function() boxd.sleep(60) end)",
  ["in a callback of a task"] = [[boxd.run(function()
    ('x'):gsub('.', function() boxd.sleep(60) end) end)]],
  computing = "while true do end",
  ["computing in a resumed coroutine"] = [[while true do
    coroutine.resume(coroutine.create(function()
      for _ = 1, 1e6 do end end)) end]],
  ["computing in a resumed coroutine of a task"] = [[boxd.run(function()
    while true do coroutine.resume(coroutine.create(function()
      for _ = 1, 1e6 do end end)) end end)]],
  ["waiting in a resumed coroutine"] = [[while true do
    coroutine.resume(coroutine.create(boxd.sleep), 60) end]],
  ["computing in a coroutine"] =
    "coroutine.wrap(function() while true do end end)()",
  ["computing in a task"] = "boxd.run(function() while true do end end)",
  ["computing in a generator in a task"] = [[boxd.run(function()
    coroutine.wrap(function() while true do end end)() end)]],
  ["reading stdin"] = "local f = io.popen('sleep 6') f:read() boxd.sleep(1)",
}

local slow -- it takes 10 s: it begins with the file

setup(function()
  slow = program.begin_lua { "-e", before .. [[
    send "INT"
    pcall(boxd.sleep, 60)
    local ok, e = pcall(boxd.sleep, 60)
    local took = boxd.now() - start
    assert(e.class == "CancelledError" and took > 9.5 and took < 30, took)
    print "again"]] }
end)

describe("a signal", function()
  for what, code in pairs(BLOCKED) do
    it("raises in a script that is " .. what, function()
      local result = ends(130, "CancelledError\tinterrupted (SIGINT)\n"
        .. "main closed\n", ([[
        local x <close> = mark "main"
        send "INT"
        local ok, e = pcall(function() %s end)
        soon()
        print(e.class, e.message)
        error(e, 0)]]):format(code))
      assert.matches("^[^\n]*CancelledError: interrupted %(SIGINT%)\n$",
        result.err)
    end)
  end

  for name, status in pairs(STATUS) do
    it("has the status that belongs to SIG" .. name, function()
      ends(status, "main closed\n", ([[
        local x <close> = mark "main"
        send "%s"
        boxd.sleep(60)]]):format(name))
      ends(status, "", ([[send "%s" pcall(boxd.sleep, 60)]]):format(name))
    end)
  end

  it("ends tasks, whose <close> may wait too", function()
    ends(143, "main closed\ntask closed\n", [[
      local x <close> = mark "main"
      boxd.spawn(function()
        local y <close> = mark "task"
        boxd.sleep(60)
      end)
      send "TERM"
      boxd.sleep(60)]])
  end)

  it("interrupts a call and leaves the client usable", function()
    ends(130, "CancelledError\nanswered\n", [[
      local serve = require "boxd.serve"
      local server <close> = serve.listen()
      boxd.spawn(function()
        for call in function() return server:accept() end do
          call:recv()
          if call.rpc == "GetConfig" then
            call:send {}
            call:finish()
          end
        end
      end)
      local c <close> = boxd.Compute{ api_url = "http://" .. server.address,
        token = "t" }
      send "INT"
      local ok, e = pcall(c.whoami, c)
      soon()
      print(e.class)
      c:config()
      print "answered"]])
  end)

  it("ends at once when it is the second one", function()
    for _, code in ipairs { "while true do pcall(boxd.sleep, 60) end",
      "while true do pcall(function() while true do end end) end",
      [[local x <close> = setmetatable({}, { __close = function()
          boxd.sleep(60) end }) boxd.sleep(60)]] } do
      ends(143, "", 'send "INT" send("TERM", 0.3) ' .. code)
    end
  end)

  it("ends at once when it is the second one of those in the end", function()
    ends(130, "end\n", [[
      boxd.spawn(function() while true do pcall(boxd.sleep, 60) end end)
      send "INT" send("INT", 0.4)
      print "end"
      io.stdout:flush()]])
  end)

  it("counts once when it comes twice at once", function()
    ends(143, "main closed\n", [[
      local x <close> = mark "main"
      os.execute "(sleep 0.1; kill -TERM $PPID; kill -TERM $PPID) &"
      boxd.sleep(60)]])
  end)

  it("that comes in the end lets the end go on", function()
    ends(130, "end\ntask closed\n", [[
      boxd.spawn(function()
        local x <close> = mark "task"
        local y <close> = setmetatable({}, { __close = function()
          boxd.sleep(0.3)
        end })
        boxd.sleep(60)
      end)
      send "INT"
      print "end"]])
  end)

  it("gives way to os.exit", function()
    ends(7, "", [[send "INT" pcall(boxd.sleep, 60) os.exit(7)]])
  end)

  it("raises again after 10 s of handlers", function()
    ended(130, "again\n", slow())
  end)
end)

describe("SIGPIPE", function()
  it("kills nothing, and raises in the writer", function()
    ends(0, "nil\tBroken pipe\n", [[
      local f = io.popen("exec true", "w")
      boxd.sleep(0.1)
      f:setvbuf "no"
      print((select(1, f:write "x")), (select(2, f:write "x")))]])
  end)

  -- The shell has the status of boxdlua, and what reads its output one line.
  local function piped(code, reader)
    return program.run { "bash", "-c", ([[timeout 10 "$1" -e "$2" %s
      echo "${PIPESTATUS[0]}"]]):format(reader or "| head -n 1"), "bash",
      program.boxdlua, before .. code }
  end

  local PRINTING = {
    ["prints"] = "while true do print 'y' end",
    ["prints in a task"] =
      "boxd.run(function() while true do print 'y' end end)",
    ["writes"] = "while true do io.write 'y\\n' end",
    ["catches errors"] = "while true do pcall(print, 'y') boxd.sleep(0) end",
    ["has written all when nothing reads"] =
      "print 'y' os.execute 'sleep 0.3' io.write 'x'",
    ["sleeps when it has printed"] =
      "print 'y' os.execute 'sleep 0.3' print 'x' boxd.sleep(60)",
  }

  for what, code in pairs(PRINTING) do
    it("ends a script whose output nothing reads, when it " .. what, function()
      local result = piped("local a <close> = setmetatable({}, { __close = "
        .. "function() os.execute 'echo closed >&2' end }) " .. code)
      assert.equal("y\n141\n", result.out)
      assert.equal("closed\n", result.err)
    end)
  end

  it("ends a script whose errors nothing reads", function()
    local result = piped("while true do io.stderr:write 'y\\n' end",
      "2> >(head -n 1 >/dev/null)")
    assert.equal("141\n", result.out)
  end)

  it("changes nothing where it was ignored", function()
    local result = program.run { "bash", "-c", [[trap '' PIPE
      "$1" -e "$2" | true; echo "${PIPESTATUS[0]}"]], "bash", program.boxdlua,
      "os.execute 'sleep 0.2' print(1) print(2) os.exit(5)" }
    assert.equal("5\n", result.out)
    assert.equal("", result.err)
  end)

  it("is not ignored in the programs that the script starts", function()
    -- yes(1) would go on for ever.
    ends(0, "y\n", [[os.execute "timeout 5 yes | head -n 1"]])
    local result = run [[
      os.execute "awk '/^SigIgn:/ { print $2 }' /proc/self/status"]]
    local ignored = tonumber(result.out, 16)
    assert.equal(0, ignored & 1 << 12) -- SIGPIPE is 13
  end)
end)

describe("a signal while gather ends its tasks", function()
  it("is not lost", function()
    ends(130, "3 closed\nCancelledError\n", [[
      local closed = 0
      local function work()
        local x <close> = setmetatable({}, { __close = function()
          boxd.sleep(0.3)
          closed = closed + 1
        end })
        boxd.sleep(60)
      end
      send "INT"
      local ok, e = pcall(boxd.gather, { work, work, work,
        function() boxd.sleep(0.01) error "x" end })
      print(closed .. " closed")
      print(e.class)]])
  end)
end)

describe("boxdlua --serve", function()
  for name in pairs { INT = true, TERM = true } do
    it("ends in order on SIG" .. name, function()
      local dir = os.tmpname()
      os.remove(dir)
      finally(function() os.execute("rm -rf " .. dir) end)
      local result = program.run { "sh", "-c", ([[
        '%s' --serve --listen 127.0.0.1:0 --state %s >%s.out & pid=$!
        for i in $(seq 100); do grep -q KEY %s.out && break; sleep 0.05; done
        rm -f %s.out
        kill -%s $pid
        wait $pid
      ]]):format(program.boxdlua, dir, dir, dir, dir, name) }
      assert.equal(STATUS[name], result.status, result.err)
      assert.not_matches("CancelledError", result.err)
    end)
  end
end)
