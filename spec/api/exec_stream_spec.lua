-- ExecProcess and Stream: live output, backpressure, and how waiting
-- ends. The server is in this process and does what each spec says.

local boxd = require "boxd"
local core = require "boxd.core"
local calls = require "spec.support.calls"
local faulty = require "spec.support.faulty"
local failure = require("spec.support.raised").with_class
local memory = require "spec.support.memory"

local MIB = 1 << 20
-- A server whose Exec is `script`, after the first chunk; its `p` is a process.
local function start(script, opts)
  local s = calls.start { Exec = function(call)
    local first = call:recv()
    script(call, first)
  end }
  opts = opts or {}
  opts.stream = true
  s.p = s.box:exec("x", opts)
  return s
end

local function ok(call, code)
  call:send { exit_code = code or 0 }
  call:finish()
end

local function send(call, data, is_stderr)
  call:send { data = data, is_stderr = is_stderr }
end

-- Every way to take all of a process's output; each returns the output.
local READERS = {
  read_stdout = function(p)
    local got = {}
    return got, function()
      for data in p.read_stdout, p do got[#got + 1] = data end
    end
  end,
  iter_stdout = function(p)
    local got = {}
    return got, function()
      for data in p:iter_stdout() do got[#got + 1] = data end
    end
  end,
  read_stderr = function(p)
    local got = {}
    return got, function()
      for data in p.read_stderr, p do got[#got + 1] = data end
    end
  end,
  iter_stderr = function(p)
    local got = {}
    return got, function()
      for data in p:iter_stderr() do got[#got + 1] = data end
    end
  end,
  chunks = function(p)
    local got = {}
    return got, function()
      for data, stream in p:chunks() do
        if stream == "stdout" then got[#got + 1] = data end
      end
    end
  end,
  lines = function(p)
    local got = {}
    return got, function()
      for line in p:lines() do got[#got + 1] = line .. "\n" end
    end
  end,
}

local function in_and_out_of_tasks(f)
  f(function(g, ...) return g(...) end)
  f(function(g, ...) return boxd.spawn(g, ...):join() end)
end

describe("a process's output", function()
  after_each(calls.settled)

  it("is live: each chunk is there before the next is sent", function()
    in_and_out_of_tasks(function(run)
      local n = 0
      local s <close> = start(function(call)
        for i = 1, 5 do
          send(call, "line " .. i .. "\n")
          calls.eventually(function() return n == i end)
        end
        ok(call)
      end)
      local p = s.p
      run(function()
        for line in p:lines() do
          n = n + 1
          assert.equal("line " .. n, line)
        end
        assert.equal(5, n)
        assert.equal(0, p:wait())
      end)
      assert.equal(1, #s.taken)
    end)
  end)

  it("comes a byte at a time as well as in one piece", function()
    for name, reader in pairs(READERS) do
      local s <close> = start(function(call)
        for c in ("one\ntwo\n"):gmatch "." do
          send(call, c)
          send(call, c, true)
          boxd.sleep(0.001)
        end
        ok(call, 7)
      end)
      local p = s.p
      local got, run = reader(p)
      run()
      assert.equal("one\ntwo\n", table.concat(got), name)
      assert.equal(7, p:wait())
    end
  end)

  it("keeps its order over both streams in chunks()", function()
    local s <close> = start(function(call)
      for i = 1, 20 do send(call, tostring(i), i % 3 == 0) end
      ok(call)
    end)
    local p = s.p
    p:wait()
    local i = 0
    for data, stream in p:chunks() do
      i = i + 1
      assert.equal(tostring(i), data)
      assert.equal(i % 3 == 0 and "stderr" or "stdout", stream)
    end
    assert.equal(20, i)
  end)

  it("has lines of any length and any bytes", function()
    local long = ("x"):rep(3 * MIB)
    local text = "\n\na\0b\r\n" .. long .. "\nlast"
    local s <close> = start(function(call)
      for at = 1, #text, 100000 do send(call, text:sub(at, at + 99999)) end
      ok(call)
    end)
    local p = s.p
    local lines = {}
    for line in p:lines() do lines[#lines + 1] = line end
    assert.equal(5, #lines)
    assert.same({ "", "", "a\0b\r", "last" },
      { lines[1], lines[2], lines[3], lines[5] })
    assert.is_true(lines[4] == long)
  end)

  it("goes on where lines() was left, for every other reader", function()
    for name, rest in pairs {
      read_stdout = function(p) return p:read_stdout() end,
      iter_stdout = function(p) return p:iter_stdout()() end,
      chunks = function(p) return p:chunks()() end,
    } do
      local s <close> = start(function(call)
        send(call, "one\ntwo\npart")
        ok(call)
      end)
      assert.equal("one", s.p:lines()())
      assert.equal("two\npart", rest(s.p), name)
      assert.is_nil(rest(s.p), name)
    end
  end)

  it("that is not read stops the server", function()
    in_and_out_of_tasks(function(run)
      local sent, ended = 0, false
      local s <close> = start(function(call)
        local block = ("x"):rep(64 << 10)
        for _ = 1, 1024 do
          send(call, block)
          sent = sent + #block
        end
        ended = true
        ok(call)
      end)
      local p = s.p
      run(function()
        p:read_stdout()
        local held
        repeat
          held = sent
          boxd.sleep(0.3)
        until held == sent -- it stands still,
        assert.is_false(ended)
        local got = 64 << 10
        for data in p:iter_stdout() do got = got + #data end
        assert.equal(64 * MIB, got) -- and goes on when it is read.
        assert.is_true(ended)
        assert.equal(0, p:wait())
        assert.equal(0, p.dropped)
      end)
    end)
  end)

  it("that is not read stays in gRPC's window, but for 256 KiB", function()
    local peer, addresses = faulty.start()
    finally(function() peer:stop "KILL" end)
    local c <close> = boxd.Compute { token = "t", max_retries = 0,
      api_url = addresses.flow }
    local p = require "boxd.box".new(c, { vm_id = "b1", name = "one" })
      :exec("x", { stream = true })
    local chunk = #p:read_stdout()
    local sent, window, held = 0
    repeat -- until the window is full, and stays so
      boxd.sleep(0.2)
      held = sent
      sent, window = c:whoami().user_id:match "^(%d+) (%d+)$"
      sent, window = tonumber(sent), tonumber(window)
    until sent >= window and sent == held
    -- gRPC (1.51) gives what came before the first read a window of its own. Then
    -- there are the chunk that was read, those read ahead, and one on its way.
    assert.is_true(sent <= 2 * window + (256 << 10) + 2 * (chunk + 16), sent)
  end)

  it("does not wait for an unread stream", function()
    local s <close> = start(function(call)
      local block = ("e"):rep(256 << 10)
      for i = 1, 160 do
        send(call, block, true)
        send(call, i .. "\n")
      end
      ok(call)
    end)
    local p = s.p
    local n = 0
    for line in p:lines() do
      n = n + 1
      assert.equal(tostring(n), line)
    end
    assert.equal(160, n)
    assert.equal(0, p:wait())
    local got = 0
    for data in p:iter_stderr() do got = got + #data end
    assert.equal(16 * MIB, got)
    assert.equal(24 * MIB, p.dropped)
  end)

  it("that is not read neither blocks wait nor fills the memory", function()
    in_and_out_of_tasks(function(run)
      local s <close> = start(function(call)
        local block = ("x"):rep(256 << 10)
        for i = 1, 1024 do send(call, block, i % 2 == 0) end
        ok(call, 3)
      end)
      local p = s.p
      collectgarbage()
      local before = memory.resident()
      assert.equal(3, run(p.wait, p))
      local grown = memory.resident() - before
      -- 32 are kept; AddressSanitizer holds freed memory back for a while.
      local bound = os.getenv "ASAN_OPTIONS" and 160 or 80
      assert.is_true(grown < bound * MIB, grown)
      local got = 0
      for data in p:chunks() do got = got + #data end
      assert.equal(32 * MIB, got)
      assert.equal(224 * MIB, p.dropped)
    end)
  end)

  -- A message of one byte, after a field of `unknown` bytes that nobody knows.
  local function tiny(unknown)
    local field = string.pack("<BB", 0xfa, 0x7f) ..
      string.char(unknown & 127 | 128, unknown >> 7 & 127 | 128, unknown >> 14)
      .. ("u"):rep(unknown)
    return field .. "\10\1x"
  end

  it("in pieces of one byte is bounded by the memory that they take", function()
    for unknown, count in pairs { [65536] = 1000, [400] = 120000 } do
      local message = tiny(unknown)
      local s <close> = start(function(call)
        for _ = 1, count do call:send_bytes(message) end
        ok(call, 3)
      end)
      collectgarbage()
      local before = memory.resident()
      assert.equal(3, s.p:wait())
      local grown = memory.resident() - before
      local bound = os.getenv "ASAN_OPTIONS" and 160 or 50
      assert.is_true(grown < bound * MIB, grown)
      assert.is_true(s.p.dropped > 0, unknown)
    end
  end)
end)

describe("a stream cut short", function()
  after_each(calls.settled)

  local CUTS = {
    InternalError = function(call) call:finish("INTERNAL", "cut") end,
    ConnectionError = function(call) call:abort() end,
    NotFoundError = function(call) call:finish("NOT_FOUND", "cut") end,
    AuthenticationError = function(call) -- its token has ended meanwhile
      call:finish("UNAUTHENTICATED", "cut")
    end,
  }

  for class, cut in pairs(CUTS) do
    it("raises " .. class .. " after what arrived, in every reader", function()
      for name, reader in pairs(READERS) do
        in_and_out_of_tasks(function(run)
          local s <close> = start(function(call)
            send(call, "one\n")
            send(call, "one\n", true)
            send(call, "two")
            send(call, "two", true)
            boxd.sleep(0.005)
            cut(call)
          end)
          local p = s.p
          local got, read = reader(p)
          failure(class, run, read)
          local text = table.concat(got)
          assert.equal("one\ntwo", text:gsub("two\n", "two"), name)
          failure(class, run, read) -- and again
          failure(class, run, p.wait, p)
          failure(class, p.write, p, "x")
        end)
      end
    end)

    it("raises " .. class .. " with the output that a plain exec had", function()
      local s <close> = calls.start { Exec = function(call)
        call:recv()
        send(call, "out")
        send(call, "err", true)
        boxd.sleep(0.005)
        cut(call)
      end }
      local e = failure(class, s.box.exec, s.box, "x")
      assert.equal("out", e.stdout)
      assert.equal("err", e.stderr)
    end)
  end

  it("is never an exit code, whatever came before", function()
    local s <close> = start(function(call)
      call:send { exit_code = 5 }
      call:finish("UNAVAILABLE", "gone")
    end)
    local p = s.p
    failure("ConnectionError", p.wait, p)
  end)

  it("is one that ends without any message, whatever its status", function()
    local s <close> = calls.start { Exec = function(call)
      call:recv()
      call:finish()
    end }
    local e = failure("InternalError", s.box.exec, s.box, "x")
    assert.matches("ended without an exit code", e.message)
    local p = s.box:exec("x", { stream = true })
    failure("InternalError", p.wait, p)
    failure("InternalError", p.read_stdout, p)
  end)

  it("is none that has ended with output, whose last exit code is 0", function()
    local s <close> = start(function(call)
      send(call, "out")
      call:finish()
    end)
    assert.equal(0, s.p:wait())
    assert.equal("out", s.p:read_stdout())
  end)

  it("is so by a message that is none", function()
    local s <close> = start(function(call)
      call:send_bytes "\255\255\255"
      call:wait_cancelled()
    end)
    local p = s.p
    failure("InternalError", p.wait, p)
    failure("InternalError", p.read_stdout, p)
  end)
end)

describe("a process that is collected", function()
  it("is cancelled, even where its processes in the box can't be ended", function()
    local s <close> = start(function(call)
      send(call, "x")
      call:wait_cancelled()
    end, { killable = true })
    assert.equal("x", s.p:read_stdout())
    local name <const> = "boxd.internal.killable"
    local real <const> = package.loaded[name]
    package.loaded[name] = true
    s.p = nil
    collectgarbage()
    collectgarbage()
    package.loaded[name] = real
    calls.eventually(function() return s.taken[1]:cancelled() end)
  end)
end)

describe("a method of a process", function()
  it("names the argument that it refuses, under pcall too", function()
    local s <close> = start(function(call) call:wait_cancelled() end)
    local p = s.p
    local t <const> = boxd.spawn(boxd.sleep, 0)
    for _, row in ipairs {
      { "#1 to 'write' %(string expected, got nil%)", p.write, p },
      { "#1 to 'write' %(string expected, got boxd.Box%)", p.write, p, s.box },
      { "#2 to 'resize' %(integer expected, got number%)", p.resize, p, 80, 1.5 },
      { "#1 to 'resize' %(integer expected, got string%)", p.resize, p, "80", 24 },
      { "#1 to 'wait' %(table expected, got number: options have names", p.wait,
        p, 5 },
      { "#1 to 'expect' %(string expected, got table%)", p.expect, p, {} },
      { "#2 to 'expect' %(table expected, got number: ", p.expect, p, "x", 5 },
      { "#1 to 'join' %(table expected, got number: ", t.join, t, 5 },
    } do
      local refused, e = pcall(table.unpack(row, 2, 5))
      assert.is_false(refused, row[1])
      assert.matches("^spec/api/exec_stream_spec.lua:%d+: bad argument "
        .. row[1], e)
    end
    local e = failure("InvalidArgumentError", p.resize, p, 80, 65536)
    assert.matches("rows are 1 to 65535, not 65536", e.message)
    t:join()
  end)
end)

describe("a service that drops silent commands", function()
  local before
  setup(function() before = core.silence(0.05) end)
  teardown(function() core.silence(before) end)

  -- The error of a command on a service that is silent and then ends its stream.
  local function dropped(finish, options)
    local s <close> = calls.start { Exec = function(call)
      call:recv()
      send(call, "last words")
      boxd.sleep(0.1)
      finish(call)
    end }
    local done, result = pcall(s.box.exec, s.box, "make",
      options or {})
    return done, result
  end

  it("is explained, with what helps, whatever its status", function()
    for _, status in ipairs { "OK", "UNAVAILABLE", "INTERNAL", "UNKNOWN" } do
      local done, e = dropped(function(call)
        if status == "OK" then call:finish() else call:finish(status, "gone") end
      end)
      assert.is_false(done, status)
      assert.is_table(e, tostring(e))
      assert.equal("last words", e.stdout)
      assert.matches("without output", e.message)
      assert.matches("box:job", e.message)
      if status ~= "OK" then
        assert.equal(status, e.code)
        assert.matches("gone: the command", e.message)
      end
    end
  end)

  it("is not suspected where the command ended, or has a terminal", function()
    local done, result = dropped(function(call) ok(call, 3) end)
    assert.same({ true, 3 }, { done, result.exit_code })
    done, result = dropped(function(call) ok(call, 0) end)
    assert.same({ true, 0 }, { done, result.exit_code })
    done, result = dropped(function(call) call:finish("UNAVAILABLE", "gone") end,
      { pty = true })
    assert.is_false(done)
    assert.matches("gone$", result.message)
  end)
end)

describe("a server that stalls", function()
  after_each(calls.settled)

  local function stall(call) call:wait_cancelled() end

  it("meets the timeout of an exec, which keeps the output so far", function()
    local s <close> = calls.start { Exec = function(call)
      call:recv()
      send(call, "begun")
      stall(call)
    end }
    local timeout = 0.05
    local start_, e
    repeat -- Its output may take longer to come than the command has.
      timeout, start_ = timeout * 2, boxd.now()
      e = failure("TimeoutError", s.box.exec, s.box, "x", { timeout = timeout })
    until e.stdout ~= "" or timeout > 30
    assert.is_true(boxd.now() - start_ < timeout + 1)
    assert.equal("begun", e.stdout)
    calls.eventually(function() return s.taken[#s.taken]:cancelled() end)
  end)

  it("leaves wait's timeout to end only the wait", function()
    local go
    local s <close> = start(function(call)
      calls.eventually(function() return go end)
      ok(call, 4)
    end)
    local p = s.p
    failure("TimeoutError", p.wait, p, { timeout = 0.02 })
    go = true
    assert.equal(4, p:wait { timeout = 5 })
    assert.is_false(s.taken[1]:cancelled())
  end)

  it("is left by a cancelled task: the command dies, siblings live", function()
    local s <close> = calls.start { Exec = function(call)
      local first = call:recv()
      if first.command:find "quick" then
        boxd.sleep(0.05)
        send(call, "alive")
        return ok(call)
      end
      stall(call)
    end }
    local sibling = boxd.spawn(s.box.exec, s.box, "quick")
    local t = boxd.spawn(s.box.exec, s.box, "stall")
    calls.eventually(function() return #s.taken == 2 end)
    t:cancel()
    failure("CancelledError", t.join, t)
    assert.equal("alive", sibling:join().stdout)
    calls.eventually(function()
      return s.taken[1]:cancelled() or s.taken[2]:cancelled()
    end)
  end)

  it("is left by with_timeout, in every reader", function()
    for name, reader in pairs(READERS) do
      local s <close> = start(stall)
      local p = s.p
      local _, read = reader(p)
      assert.equal("TimeoutError",
        failure("TimeoutError", boxd.with_timeout, 0.01, read).class, name)
    end
  end)
end)

describe("waiting at a process", function()
  after_each(calls.settled)

  local function stall(call) call:wait_cancelled() end

  it("refuses a second reader of a stream", function()
    local s <close> = start(stall)
    local p = s.p
    local function busy(f, ...)
      assert.matches("busy: another task reads",
        failure("BoxdError", f, ...).message)
    end
    local t = boxd.spawn(p.read_stdout, p)
    busy(p.read_stdout, p)
    busy(p:iter_stdout())
    busy(p:lines())
    busy(p:chunks())
    local e = boxd.spawn(p.read_stderr, p)
    busy(p.read_stderr, p)
    assert.equal("running", t.status)
    assert.equal("running", e.status)
    t:cancel()
    failure("CancelledError", t.join, t)
    e:cancel()
    failure("CancelledError", e.join, e)
    t = boxd.spawn(p:chunks())
    busy(p.read_stderr, p)
    busy(p.read_stdout, p)
    t:cancel()
    failure("CancelledError", t.join, t)
  end)

  it("keeps the first reader's chunk until its turn has come", function()
    local s <close> = start(function(call)
      send(call, "mine")
      call:recv()
      send(call, "next")
      call:wait_cancelled()
    end)
    local p, first, e = s.p, nil, nil
    -- It is always about to have its turn, so before any that is woken meanwhile.
    local function intrude()
      while first.status == "running" and not e do
        local read, got = pcall(p.read_stdout, p)
        e = read and "took " .. tostring(got) or got
        if boxd.is_error(e) and e.message:find "busy" then e = nil end
        boxd.sleep(0)
      end
    end
    first = boxd.spawn(p.read_stdout, p)
    local second = boxd.spawn(intrude)
    assert.equal("mine", boxd.with_timeout(10, first.join, first))
    second:join()
    assert.is_nil(e)
    -- No claim outlives a reader that was cancelled.
    first = boxd.spawn(p.read_stdout, p)
    boxd.sleep(0)
    p:write "go"
    first:cancel()
    failure("CancelledError", first.join, first)
    assert.equal("next", p:read_stdout())
  end)

  it("is for many waiters at the end", function()
    local go
    local s <close> = start(function(call)
      calls.eventually(function() return go end)
      ok(call, 9)
    end)
    local p = s.p
    local tasks = {}
    for i = 1, 10 do tasks[i] = boxd.spawn(p.wait, p) end
    go = true
    for i = 1, 10 do assert.equal(9, tasks[i]:join()) end
  end)

  it("ends with an error each when it is closed, or its client", function()
    for _, close in ipairs {
      function(_, p) p:close() p:close() end,
      function(s) s.compute:close() end,
    } do
      local s <close> = start(stall)
      local p = s.p
      local tasks = { boxd.spawn(p.read_stdout, p),
        boxd.spawn(p.read_stderr, p), boxd.spawn(p.wait, p),
        boxd.spawn(p.wait, p) }
      calls.eventually(function() return #s.taken == 1 end)
      close(s, p)
      for _, t in ipairs(tasks) do
        assert.matches("closed", failure("CancelledError", t.join, t).message)
        assert.equal("failed", t.status) -- nobody cancelled the task
      end
      failure("CancelledError", p.wait, p)
      calls.eventually(function() return s.taken[1]:cancelled() end)
    end
  end)
end)

describe("writing to a process", function()
  after_each(calls.settled)

  it("reaches the server in order, then EOF", function()
    in_and_out_of_tasks(function(run)
      local got, eof = {}, false
      local s <close> = start(function(call)
        for chunk in function() return call:recv() end do
          assert.is_true(chunk.stdin)
          got[#got + 1] = chunk.data
        end
        eof = true
        ok(call)
      end)
      local p = s.p
      local big = ("0123456789"):rep(100000)
      run(function()
        p:write "first"
        p.stdin:write(big)
        p:write ""
        p.stdin:write_eof()
        assert.matches("stdin is closed",
          failure("BoxdError", p.write, p, "x").message)
        assert.matches("stdin is closed",
          failure("BoxdError", p.write_eof, p).message)
        assert.matches("no size can be sent",
          failure("BoxdError", p.resize, p, 80, 24).message)
        assert.equal(0, p:wait())
      end)
      assert.is_true(eof)
      assert.is_true(table.concat(got) == "first" .. big)
      assert.matches("ended", failure("BoxdError", p.write, p, "x").message
        .. "ended")
    end)
  end)

  it("waits while the server does not read", function()
    local go
    local taken = 0
    local s <close> = start(function(call)
      calls.eventually(function() return go end)
      for chunk in function() return call:recv() end do
        taken = taken + #chunk.data
      end
      ok(call)
    end)
    local p = s.p
    local data = ("x"):rep(MIB)
    local written = 0
    local t = boxd.spawn(function()
      for _ = 1, 64 do
        p:write(data)
        written = written + #data
      end
      p:write_eof()
    end)
    boxd.sleep(0.2)
    assert.equal("running", t.status)
    assert.is_true(written < 32 * MIB, written)
    assert.matches("busy: another task writes",
      failure("BoxdError", p.write, p, "x").message)
    assert.matches("busy", failure("BoxdError", p.write_eof, p).message)
    go = true
    assert.equal(0, p:wait())
    t:join()
    assert.equal(64 * MIB, taken)
  end)

  it("can be cancelled while it waits, and goes on after", function()
    local begun
    local s <close> = start(function(call)
      begun = true
      call:wait_cancelled()
    end)
    local p = s.p
    calls.eventually(function() return begun end)
    local more = ("x"):rep(64 * MIB) -- than a server that never reads lets come
    local t = boxd.spawn(p.write, p, more)
    boxd.sleep(0.05)
    t:cancel()
    failure("CancelledError", t.join, t)
    local again = boxd.spawn(p.write, p, more)
    boxd.sleep(0.01)
    p:close()
    failure("CancelledError", again.join, again)
  end)

  it("fails when the command is over", function()
    local s <close> = start(function(call) ok(call, 1) end)
    local p = s.p
    assert.equal(1, p:wait())
    assert.matches("the command has ended",
      failure("BoxdError", p.write, p, "x").message)
  end)
end)

describe("a stream of messages", function()
  after_each(calls.settled)

  local function logs(script)
    local s = calls.start { StreamLogs = function(call)
      call:recv()
      script(call)
    end }
    s.next_chunk = s.box:stream_logs { follow = true }
    return s
  end

  it("ends its call when its loop is left", function()
    local s <close> = calls.start { StreamLogs = function(call)
      call:recv()
      while true do
        call:send { data = "x" }
        boxd.sleep(0.001)
      end
    end }
    for data in s.box:stream_logs { follow = true } do -- luacheck: ignore 512
      assert.equal("x", data)
      break
    end
    calls.eventually(function() return s.taken[1]:cancelled() end)
  end)

  it("raises what cut it, after what arrived", function()
    local s <close> = calls.start { StreamLogs = function(call)
      call:recv()
      call:send { data = "one" }
      boxd.sleep(0.005)
      call:abort()
    end }
    local got = {}
    failure("ConnectionError", function()
      for data in s.box:stream_logs() do got[#got + 1] = data end
    end)
    assert.same({ "one" }, got)
  end)

  it("has one reader, and ends with its client", function()
    local s <close> = logs(function(call) call:wait_cancelled() end)
    local next_chunk = s.next_chunk
    local t = boxd.spawn(next_chunk)
    assert.matches("busy", failure("BoxdError", next_chunk).message)
    s.compute:close()
    failure("CancelledError", t.join, t)
  end)
end)
