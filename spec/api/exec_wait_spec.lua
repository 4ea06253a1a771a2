-- Methods of ExecProcess and Stream that wait, for its end or for room to write.

local boxd = require "boxd"
local calls = require "spec.support.calls"
local exec = require "spec.support.exec"

local failure = require("spec.support.raised").with_class
local start, ok, send, in_and_out_of_tasks =
  exec.start, exec.ok, exec.send, exec.in_and_out_of_tasks
local MIB = 1 << 20

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
      assert.matches("^spec/api/exec_wait_spec.lua:%d+: bad argument "
        .. row[1], e)
    end
    local e = failure("InvalidArgumentError", p.resize, p, 80, 65536)
    assert.matches("rows are 1 to 65535, not 65536", e.message)
    t:join()
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
