-- The rate of box:forward, against exec's in the same run. BOXD_EVERYDAY=1 (make
-- everyday): with 1 GiB each way.
-- Runs alone: it compares times.

local boxd = require "boxd"
local forwarded = require "spec.support.forwarded"
local support = require "spec.support.service"

local MIB = os.getenv "BOXD_EVERYDAY" and 1024 or 64
-- Under make gc the time is the collector's: only the bytes are looked at.
local LEAST = (os.getenv "CFLAGS" or ""):find "BOXD_COLLECT_ALWAYS" and 0 or 0.5

describe("box:forward", function()
  local _, compute = support.of_block()
  local box

  setup(function()
    box = compute.box:create "rate"
    forwarded.serve(box, 7001, forwarded.COUNTS)
    forwarded.serve(box, 7004, forwarded.SENDS)
  end)

  -- MiB a second of a command's stdout, or of its stdin.
  local function exec_rate(up)
    local began, n = boxd.now(), 0
    local p <close> = box:sh(up and "cat >/dev/null"
      or ("head -c %dM /dev/zero"):format(MIB), { stream = true })
    if up then
      local piece = ("x"):rep(1 << 20)
      for _ = 1, MIB do p:write(piece) end
      p:write_eof()
    else
      for data in p:iter_stdout() do n = n + #data end
      assert.equal(MIB << 20, n)
    end
    assert.equal(0, p:wait())
    return MIB / (boxd.now() - began)
  end

  local SEND = [[
began = time.time()
piece = b"x" * (1 << 20)
for i in range(%d): s.sendall(piece)
s.shutdown(socket.SHUT_WR)
assert s.recv(100) == b"got %%d" %% (%d << 20)
print(%d / (time.time() - began))]]
  local RECEIVE = [[
began = time.time()
s.sendall(b"%d")
n = sum(len(data) for data in iter(lambda: s.recv(1 << 20), b""))
assert n == %d << 20
print(%d / (time.time() - began))]]

  for name, way in pairs { ["to the box"] = { true, 7001, SEND },
    ["from the box"] = { false, 7004, RECEIVE } } do
    it("carries much " .. name .. " at more than half of exec's rate", function()
      local f <close> = box:forward(way[2])
      local best = 0
      for _ = 1, 5 do -- a busy moment slows one of both
        local text = forwarded.client(f.port, way[3]:format(MIB, MIB, MIB))
        local rate = assert(tonumber(text), text)
        best = math.max(best, rate / exec_rate(way[1]))
        if best > LEAST then break end
      end
      assert.is_true(best > LEAST, best)
      if MIB > 64 then print(("%s: %.2f of exec's rate"):format(name, best)) end
    end)
  end
end)
