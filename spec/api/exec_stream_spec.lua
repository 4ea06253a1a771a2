-- ExecProcess's output: live, whole, by every reader, and held back. The server is
-- in this process, a script of each spec.

local boxd = require "boxd"
local calls = require "spec.support.calls"
local exec = require "spec.support.exec"
local faulty = require "spec.support.faulty"
local memory = require "spec.support.memory"

local start, ok, send, READERS, in_and_out_of_tasks =
  exec.start, exec.ok, exec.send, exec.READERS, exec.in_and_out_of_tasks
local MIB = 1 << 20

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
    -- gRPC (1.51) has one window before the first read, and one more behind it. Then
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
