-- Streams, tasks and their ends against the embedded service: real commands in
-- a real box. spec/api/exec_*_spec.lua have the same against scripted servers.

local boxd = require "boxd"
local failure = require("spec.support.raised").with_class
local least = require "spec.support.least"
local memory = require "spec.support.memory"
local process = require "spec.support.process"
local program = require "spec.support.program"
local support = require "spec.support.service"
local terminal = require "spec.support.terminal"

local MIB = 1 << 20

describe("a command of the embedded service", function()
  local service, compute = support.of_block()
  local box

  setup(function() box = compute.box:create "x" end)

  local function runs(pattern)
    return box:exec("pgrep", "-f", pattern).success
  end

  local function gone(pattern)
    support.eventually(function() return not runs(pattern) end)
  end

  -- A relay to the service, at `api_url`.
  local function start_relay()
    local relay = process.start { "/usr/bin/python3", "spec/support/relay.py",
      service.api_url:match ":(%d+)" }
    relay.api_url = "http://127.0.0.1:" .. relay:line()
    return relay
  end

  -- In and out of a task.
  local function both(f)
    f()
    boxd.spawn(f):join()
  end

  it("is live: each line comes before the next is made", function()
    both(function()
      local p = box:sh([[for i in 1 2 3; do echo $i; read go; done]],
        { stream = true })
      local n = 0
      for line in p:lines() do
        n = n + 1
        assert.equal(tostring(n), line)
        p:write "go\n" -- without it there is no next one
      end
      assert.equal(3, n)
      assert.equal(0, p:wait())
    end)
  end)

  it("stands still while its output is not read", function()
    local p = box:sh("for i in $(seq 200); do head -c 1M /dev/zero; "
      .. "echo $i > /tmp/made; done", { stream = true })
    p:read_stdout()
    local made = -1
    support.eventually(function()
      local before = made
      boxd.sleep(0.15)
      local there, text = pcall(box.read_file, box, "/tmp/made")
      made = there and tonumber(text) or 0 -- not there, or being written
      return made > 0 and made == before
    end, 20)
    assert.is_true(made < 64, made)
    local got = 0
    for data in p:iter_stdout() do got = got + #data end
    assert.is_true(got > 190 * MIB, got)
    assert.equal(0, p:wait())
  end)

  it("ends unread in bounded memory", function()
    local before = memory.resident()
    local p = box:sh("head -c 200M /dev/zero; exit 3", { stream = true })
    assert.equal(3, p:wait())
    assert.is_true(p.dropped >= (200 - 17) * MIB, p.dropped)
    local bound = os.getenv "ASAN_OPTIONS" and 200 or 64
    assert.is_true(memory.resident() - before < bound * MIB)
  end)

  it("whose stderr is unread goes on", function()
    local p = box:sh("for i in 1 2 3 4; do head -c 8M /dev/zero >&2; echo $i; "
      .. "done", { stream = true })
    local lines = {}
    for line in p:lines() do lines[#lines + 1] = line end
    assert.same({ "1", "2", "3", "4" }, lines)
    local got = 0
    for data in p:iter_stderr() do got = got + #data end
    assert.equal(32 * MIB, got + p.dropped)
    assert.is_true(got <= 16 * MIB)
  end)

  it("has one reader a stream", function()
    local p <close> = box:exec("sleep", "3141", { stream = true })
    local t = boxd.spawn(p.read_stdout, p)
    assert.matches("busy", failure("BoxdError", p.read_stdout, p).message)
    t:cancel()
    failure("CancelledError", t.join, t)
  end)

  it("dies with its task, and its siblings live", function()
    local doomed = boxd.spawn(box.exec, box, "sleep", "2718")
    local sibling = boxd.spawn(box.sh, box, "sleep 0.5; echo alive")
    support.eventually(function() return runs "[s]leep 2718" end)
    doomed:cancel()
    failure("CancelledError", doomed.join, doomed)
    gone "[s]leep 2718"
    assert.equal("alive\n", sibling:join().stdout)
  end)

  it("dies at the sooner of two with_timeout", function()
    local began = boxd.now()
    failure("TimeoutError", boxd.with_timeout, 20, boxd.with_timeout, 0.3,
      box.exec, box, "sleep", "1618")
    assert.is_true(boxd.now() - began < 15)
    gone "[s]leep 1618"
  end)

  it("dies when it is unreferenced", function()
    box:exec("sleep", "1414", { stream = true })
    support.eventually(function()
      collectgarbage()
      return not runs "[s]leep 1414"
    end)
  end)

  it("raises in each waiter when the client is closed", function()
    local c = service:connect()
    local other = c.box:get(box.id)
    local p = other:exec("sleep", "1732", { stream = true })
    local tasks = { boxd.spawn(p.wait, p), boxd.spawn(p.read_stdout, p),
      boxd.spawn(p.read_stderr, p), boxd.spawn(other.exec, other, "sleep",
        "1732") }
    support.eventually(function() return runs "[s]leep 1732" end)
    c:close()
    for _, t in ipairs(tasks) do failure("CancelledError", t.join, t) end
    gone "[s]leep 1732"
  end)

  it("is read by generators in many tasks at once", function()
    local tasks = {}
    for i = 1, 30 do
      tasks[i] = boxd.spawn(function()
        local p = box:sh("for i in 1 2 3; do echo $i; done", { stream = true })
        local sum = 0
        for n in coroutine.wrap(function()
          for line in p:lines() do coroutine.yield(tonumber(line)) end
        end) do sum = sum + n end
        return sum
      end)
    end
    for i = 1, 30 do assert.equal(6, tasks[i]:join()) end
  end)

  it("comes whole byte by byte, and dies with its connection", function()
    local relay = start_relay()
    finally(function() relay:stop "KILL" end)
    local c <close> = service:connect { api_key = service.api_key,
      api_url = relay.api_url }
    local other = c.box:get(box.id)
    local p = other:sh("seq 5000; echo end; exec sleep 1777",
      { stream = true })
    local n, lines = 0, p:lines()
    for line in lines do
      if line == "end" then break end
      n = n + 1
      assert.equal(tostring(n), line)
    end
    assert.equal(5000, n)
    p = other:sh("echo last; exec sleep 1778", { stream = true })
    support.eventually(function() return runs "[s]leep 1778" end)
    boxd.with_timeout(5, function()
      local waiting = boxd.spawn(p.read_stderr, p)
      assert.equal("last\n", p:read_stdout())
      os.execute("kill -USR1 " .. relay.pid)
      failure("ConnectionError", p.read_stdout, p)
      failure("ConnectionError", p.wait, p)
      failure("ConnectionError", waiting.join, waiting)
      failure("ConnectionError", lines)
    end)
    gone "[s]leep 1777"
    gone "[s]leep 1778"
  end)

  -- Plays a script on a terminal, which must be as it was after it.
  local function on_terminal(code, env, steps)
    local args = { "sh", "-c", [[b=$(stty -g); "$0" -e "$1"; echo status $?;
      [ "$(stty -g)" = "$b" ] && echo restored]], program.boxdlua, code,
      env = { BOXD_API_URL = service.api_url, BOXD_API_KEY = service.api_key,
        BOXD_EXCHANGE_URL = service.exchange_url, TERM = "xterm" } }
    for name, value in pairs(env) do args.env[name] = value end
    return terminal.play(args, steps)
  end

  it("is used on a terminal, which is restored", function()
    on_terminal([[
      local c <close> = boxd.Compute{}
      os.exit(boxd.attach(c.box:get("x"):exec("sh", { interactive = true })))]],
      {}, {
      { "send", "sh -c 'echo sl''eeps; exec sleep 60'\n" },
      { "expect", "sleeps\n" }, { "send", "\3" },
      { "send", "echo af''ter $?\n" }, { "expect", "after 130" },
      { "size", 120, 40 },
      { "send", "until [ \"$(stty size)\" = '40 120' ]; do sleep 0.05; done; "
        .. "echo fol''lowed\n" },
      { "expect", "followed" },
      { "send", "exit 5\n" }, { "expect", "status 5\nrestored" }, { "end" } })
  end)

  it("whose connection breaks under a terminal leaves that restored", function()
    local relay = start_relay()
    finally(function() relay:stop "KILL" end)
    local out = on_terminal([[
      local c <close> = boxd.Compute {}
      local relayed <close> = boxd.Compute { api_url = os.getenv "RELAYED" }
      boxd.spawn(function()
        c.box:get("x"):sh "until [ -e /tmp/cut ]; do sleep 0.05; done"
        os.execute("kill -USR1 " .. os.getenv "RELAY")
      end)
      boxd.attach(relayed.box:get("x"):exec("sh", { interactive = true }))]],
      { RELAYED = relay.api_url, RELAY = tostring(relay.pid) }, {
      { "send", "touch /tmp/cut\n" },
      { "expect", "status 1\nrestored" }, { "end" } })
    assert.matches("ConnectionError", out)
  end)

  -- A script with a temporary box and a command in it, that gets a signal after
  -- 0.2 s and has 0.4 s to leave.
  local LATE = 0.6
  local SCRIPT = [[
    local c = boxd.Compute{}
    local b <close> = c.box:temporary("tmp")
    local p = b:sh("echo up; sleep 1234", { stream = true })
    assert(p:read_stdout() == "up\n")
    local began = boxd.now()
    os.execute("(sleep 0.2; kill -%s $PPID) >/dev/null 2>&1 &")
    local ok, e = pcall(p.wait, p)
    io.write(boxd.now() - began, " ", e.class)
    error(e, 0)]]

  local kill = "os.execute '(sleep 0.1; kill -%s $PPID) >/dev/null 2>&1 &'"
    .. " boxd.sleep(60)"

  -- Ways to leave a script; none closes the box itself.
  for code, status in pairs {
    [""] = 0, ["os.exit(3)"] = 3, ["error 'x'"] = 1,
    ["boxd.spawn(os.exit, 4) boxd.sleep(60)"] = 4,
    [kill:format "INT"] = 130,
    [kill:format "TERM"] = 143,
  } do
    it("has no temporary box left after: " .. code, function()
      local result = program.lua { "-e", [[
        local c = boxd.Compute{}
        B = c.box:temporary "left"
        P = B:exec("sleep", "1499", { stream = true })
        io.write(B.name) ]] .. code, env = {
        BOXD_API_URL = service.api_url, BOXD_API_KEY = service.api_key,
        BOXD_EXCHANGE_URL = service.exchange_url } }
      assert.equal("left", result.out, result.err)
      assert.equal(status, result.status, result.err)
      for _, b in ipairs(compute.box:list()) do
        assert.not_equal("left", b.name)
      end
    end)
  end

  for name, status in pairs { INT = 130, TERM = 143 } do
    it("is left on SIG" .. name .. " in time, its temporary destroyed", function()
      local took = least(LATE, function()
        local result = program.lua { "-e", SCRIPT:format(name), env = {
          BOXD_API_URL = service.api_url, BOXD_API_KEY = service.api_key,
          BOXD_EXCHANGE_URL = service.exchange_url } }
        assert.equal(status, result.status)
        local seconds = result.out:match "^(%S+) CancelledError$"
        return tonumber(seconds) or error(result.out .. result.err)
      end)
      assert.is_true(took < LATE, took)
      for _, b in ipairs(compute.box:list()) do
        assert.not_equal("tmp", b.name)
      end
    end)
  end
end)
