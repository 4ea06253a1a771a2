-- Every wait of a script ends though its peer says nothing more: the server is
-- a process that is stopped under it, or the connection stalls, open as it is.
-- A wait without a timeout ends by unanswered pings.
-- Runs alone: it bounds the time that waits take, closely where figures are asked
-- for, with some seconds for a busy machine otherwise.

local boxd = require "boxd"
local calls = require "spec.support.calls"
local process = require "spec.support.process"
local program = require "spec.support.program"

local KEEPALIVE, TIMEOUT = 1, 1
local LATE = os.getenv "BOXD_FIGURES" and 1 or 5
local BOUND = KEEPALIVE + 1 + LATE -- the ping, its answer, and the rest

-- Each begins before the server stops, and waits then: function(s), where `s`
-- has a Compute `c`, a Box `box`, the server's `address`, and two paths: a large
-- file `large`, and `new`. Its error: TimeoutError where it has a time.
local WAITS = {
  { "a unary call", "TimeoutError", function(s)
    s.box:start { timeout = TIMEOUT }
  end },
  { "a unary call without a time of its own", "ConnectionError", function(s)
    s.box:start()
  end },
  { "a call by name", "TimeoutError", function(s)
    s.c:call("ListVms", {}, { timeout = TIMEOUT })
  end },
  { "whoami by an exchange", "TimeoutError", function(s)
    local c <close> = boxd.Compute { api_url = s.address, api_key = "bxk_x",
      exchange_url = "http://" .. s.address .. "/hold" }
    c:whoami { timeout = TIMEOUT }
  end },
  { "exec with a time", "TimeoutError", function(s)
    s.box:exec("x", { timeout = TIMEOUT })
  end },
  { "exec", "ConnectionError", function(s) s.box:exec("x") end },
  { "exec with much stdin", "ConnectionError", function(s)
    s.box:exec("x", { stdin = ("x"):rep(8 << 20) })
  end },
  { "wait", "ConnectionError", function(s)
    s.box:exec("x", { stream = true }):wait()
  end },
  { "wait with a time", "TimeoutError", function(s)
    s.box:exec("x", { stream = true }):wait { timeout = TIMEOUT }
  end },
  { "read_stdout", "ConnectionError", function(s)
    local p = s.box:exec("x", { stream = true })
    while p:read_stdout() do end
  end },
  { "read_stderr", "ConnectionError", function(s)
    s.box:exec("x", { stream = true }):read_stderr()
  end },
  { "lines", "ConnectionError", function(s)
    for _ in s.box:exec("x", { stream = true }):lines() do end
  end },
  { "chunks", "ConnectionError", function(s)
    for _ in s.box:exec("x", { stream = true }):chunks() do end
  end },
  { "write", "ConnectionError", function(s)
    local p = s.box:exec("x", { stream = true })
    while true do p:write(("x"):rep(1 << 20)) end
  end },
  { "stream_logs", "ConnectionError", function(s)
    for _ in s.box:stream_logs { follow = true } do end
  end },
  { "a stream by name", "ConnectionError", function(s)
    for _ in s.c:stream("StreamLogs", { vm_id = "there" }) do end
  end },
  { "upload", "ConnectionError", function(s)
    s.box:upload(s.large, "/large")
  end },
  { "upload with a time", "TimeoutError", function(s)
    s.box:upload(s.large, "/large", { timeout = TIMEOUT })
  end },
  { "download", "ConnectionError", function(s)
    s.box:download("/large", s.new)
  end },
  { "read_file", "TimeoutError", function(s)
    s.box:read_file("/large", { timeout = TIMEOUT })
  end },
  { "write_file", "TimeoutError", function(s)
    s.box:write_file(("x"):rep(8 << 20), "/large", { timeout = TIMEOUT })
  end },
  { "wait_until_ready", "TimeoutError", function(s)
    s.box:wait_until_ready { timeout = TIMEOUT }
  end },
  { "http.request", "TimeoutError", function(s)
    boxd.http.request { url = "http://" .. s.address .. "/hold",
      timeout = TIMEOUT }
  end },
  { "join", "TimeoutError", function(s)
    local t = boxd.spawn(pcall, s.box.exec, s.box, "x")
    t:join { timeout = TIMEOUT }
  end },
  { "gather", "ConnectionError", function(s)
    boxd.gather { function() s.box:exec("x") end,
      function() s.box:exec("x") end }
  end },
  { "with_timeout", "TimeoutError", function(s)
    boxd.with_timeout(TIMEOUT, s.box.exec, s.box, "x")
  end },
}

local function signal(name, helper)
  assert(os.execute(("kill -%s %d"):format(name, helper.pid)))
end

-- A server that silence(s) makes silent: by itself, or by the way to it.
local function server(by_relay)
  local s = { new = os.tmpname(), large = program.file(("x"):rep(64 << 20)) }
  s.helper = process.start { program.boxdlua, "spec/support/holder.lua" }
  s.address = s.helper:line()
  if by_relay then
    s.relay = process.start { "/usr/bin/python3", "spec/support/relay.py",
      s.address:match ":(%d+)$" }
    s.address = "127.0.0.1:" .. s.relay:line()
  end
  s.c = boxd.Compute { api_url = s.address, token = "t", max_retries = 0,
    keepalive = KEEPALIVE }
  s.box = require "boxd.box".new(s.c,
    { vm_id = "there", name = "there", status = "running" })
  return setmetatable(s, { __close = function()
    s.c:close()
    s.helper:stop("KILL")
    if s.relay then s.relay:stop("KILL") end
    os.remove(s.large)
    os.remove(s.new)
  end })
end

local function silence(s)
  if s.relay then signal("USR2", s.relay) else signal("STOP", s.helper) end
end

-- Both connections are there: for calls and for streams.
local function connect(s)
  assert.equal("there", s.c.box:get("there").id)
  assert.equal("begun\n", s.box:exec("x", { stream = true }):read_stdout())
end

-- All of the waits at once, each in a task.
local function all_end(s)
  connect(s)
  local tasks, began, slowest = {}, boxd.now(), 0
  for i, row in ipairs(WAITS) do
    tasks[i] = boxd.spawn(function()
      local ok, e = pcall(row[3], s)
      slowest = math.max(slowest, boxd.now() - began)
      assert.is_false(ok, row[1])
      assert.is_true(boxd.is_error(e), row[1] .. ": " .. tostring(e))
      assert.equal(row[2], e.class, row[1] .. ": " .. tostring(e))
    end)
  end
  boxd.sleep(0.3) -- all have begun, and what was asked for is on its way
  silence(s)
  for _, task in ipairs(tasks) do task:join() end
  if os.getenv "BOXD_FIGURES" then
    print(("\n%d waits under a silent server: the last ended after %.2f s")
      :format(#WAITS, slowest))
  end
  assert.is_true(slowest < BOUND, slowest)
end

describe("a wait under a server that is stopped", function()
  after_each(calls.settled)

  it("ends with an error of its class in its time, in a task", function()
    local s <close> = server()
    all_end(s)
  end)

  it("does not hold up closing the client, or the end of a script", function()
    local s <close> = server()
    connect(s)
    local pending = boxd.spawn(pcall, s.box.exec, s.box, "x")
    silence(s)
    local began = boxd.now()
    s.c:close()
    assert.is_false((pending:join()))
    assert.is_true(boxd.now() - began < 5)
    began = boxd.now()
    local result = program.lua { "-e", ([[
      local c = boxd.Compute { api_url = %q, token = "t" }
      boxd.spawn(function() c:whoami() end)
      boxd.sleep(0.05)]]):format(s.address) }
    assert.equal(0, result.status, result.err)
    assert.is_true(boxd.now() - began < 10)
  end)
end)

describe("a wait under a connection that stalls", function()
  after_each(calls.settled)

  it("ends with an error of its class in its time, in a task", function()
    local s <close> = server(true)
    all_end(s)
  end)
end)
