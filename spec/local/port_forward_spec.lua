-- box:forward: clients of this machine and servers in a real box. BOXD_EVERYDAY=1
-- (make everyday): with 1 GiB each way.

local boxd = require "boxd"
local failure = require("spec.support.raised").with_class
local support = require "spec.support.service"

-- perl servers: each answers its clients in a process of its own.
local SERVER = [[perl -MSocket -e 'use strict; $SIG{CHLD} = "IGNORE";
  socket my $s, PF_INET, SOCK_STREAM, 0; setsockopt $s, SOL_SOCKET, SO_REUSEADDR, 1;
  bind $s, pack_sockaddr_in($ARGV[0], INADDR_LOOPBACK) or die; listen $s, 300;
  open my $up, ">", "/tmp/up$ARGV[0]";
  while (accept my $c, $s) { next if fork; %s exit 0 }' %d]]
-- All that was sent, with its size, after the client's end of it.
local COUNT = [[my $n = 0; while (my $m = sysread $c, my $b, 262144) { $n += $m }
  syswrite $c, "got $n";]]
local ECHO = [[while (my $m = sysread $c, my $b, 262144) { syswrite $c, $b }]]
-- It closes its sending side first, and reads on.
local FIRST = [[syswrite $c, "bye"; shutdown $c, 1; my $n = 0;
  while (my $m = sysread $c, my $b, 65536) { $n += $m }
  open my $f, ">", "/tmp/first.new"; print $f $n; close $f;
  rename "/tmp/first.new", "/tmp/first";]]

-- Sends what it was asked for, in MiB.
local SOURCE = [[sysread $c, my $n, 16; my $b = "x" x 1048576;
  syswrite $c, $b for 1 .. $n;]]

local MIB = os.getenv "BOXD_EVERYDAY" and 1024 or 64
local SECONDS = os.getenv "BOXD_EVERYDAY" and 600 or 60

-- A client: `lines` of python on the socket s; its output.
local function client(port, lines)
  local path = os.tmpname()
  local command = ("timeout %d python3 -c '%s' > %s 2>&1; echo done >> %s")
    :format(SECONDS, "import socket, threading, time\ns = socket.create_connection((\"127.0.0.1\", "
      .. port .. "))\n" .. lines, path, path)
  assert(os.execute("(" .. command .. ") &"))
  local text
  support.eventually(function()
    local f <close> = assert(io.open(path))
    text = f:read "a"
    return text:find "done\n$"
  end, SECONDS + 5)
  os.remove(path)
  return (text:gsub("done\n$", ""))
end

describe("box:forward", function()
  local _, compute = support.of_block()
  local box

  setup(function()
    box = compute.box:create "ports"
    for port, code in pairs { [7001] = COUNT, [7002] = ECHO, [7003] = FIRST,
      [7004] = SOURCE } do
      box:job("server" .. port, SERVER:format(code, port))
      support.eventually(function()
        return box:exec("test", "-e", "/tmp/up" .. port).success
      end)
    end
  end)

  it("carries both ends of a connection, each by itself", function()
    local f <close> = box:forward(7001)
    assert.equal("Forward", boxd.type(f))
    assert.equal("got 3000000\n", client(f.port, [[
s.sendall(b"x" * 3000000)
s.shutdown(socket.SHUT_WR)
print(s.recv(100).decode())]]))
    local first <close> = box:forward(7003)
    assert.equal("bye\n", client(first.port, [[
data = b""
while True:
    part = s.recv(100)
    if not part: break
    data += part
s.sendall(b"y" * 200000)
print(data.decode())]]))
    support.eventually(function()
      return box:sh("cat /tmp/first").stdout == "200000"
    end)
  end)

  it("carries much both ways at once", function()
    local f <close> = box:forward(7002)
    assert.equal("20000000\n", client(f.port, [[
data = bytes(range(250)) * 80000
def send():
    s.sendall(data)
    s.shutdown(socket.SHUT_WR)
t = threading.Thread(target=send)
t.start()
back = b"".join(iter(lambda: s.recv(1 << 20), b""))
print(len(back) if back == data else "bytes differ")]]))
  end)

  it("has 200 connections at once, whole and half-closed", function()
    local f <close> = box:forward(7002)
    -- All are open before the first one sends. Every other one ends its sending side,
    -- and reads to the end of the other one.
    assert.equal("200\n", client(f.port, [[
address = ("127.0.0.1", ]] .. f.port .. [[)
all = [socket.create_connection(address) for i in range(200)]
for i, c in enumerate(all):
    c.sendall(b"%d." % i)
    if i % 2: c.shutdown(socket.SHUT_WR)
def answer(c, last):
    data = b""
    while not data.endswith(last):
        part = c.recv(100)
        if not part: break
        data += part
    return data
good = 0
for i, c in enumerate(all):
    good += answer(c, b"\n" if i % 2 else b".") == b"%d." % i
print(good)]]))
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
        local text = client(f.port, way[3]:format(MIB, MIB, MIB))
        local rate = assert(tonumber(text), text)
        best = math.max(best, rate / exec_rate(way[1]))
        if best > 0.5 then break end
      end
      assert.is_true(best > 0.5, best)
      if MIB > 64 then print(("%s: %.2f of exec's rate"):format(name, best)) end
    end)
  end

  it("ends a connection to a port where nothing listens, and warns once why",
    function()
      local other = compute.box:create "other"
      local f <close> = other:forward(7999)
      local said, warn = {}, warn
      _G.warn = function(text) said[#said + 1] = text end
      local _back <close> = setmetatable({}, { __close = function()
        _G.warn = warn
      end })
      for _ = 1, 2 do
        assert.equal("b''\n", client(f.port, "print(s.recv(10))"))
      end
      assert.same({ "boxd: port 7999 of box other is not reached: Connection "
        .. "refused" }, said)
      other:stop()
      assert.equal("b''\n", client(f.port, "print(s.recv(10))"))
      assert.equal(2, #said)
      assert.matches("^boxd: port 7999 of box other is not reached: .*stopped",
        said[2])
    end)

  it("ends all with its close, the commands in the box too", function()
    local f = box:forward(7002)
    boxd.spawn(function()
      support.eventually(function()
        return box:sh("cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | "
          .. "grep 'perl [-]e use strict; use Socket'").success
      end)
      f:close()
    end)
    client(f.port, "s.sendall(b\"x\")\nwhile s.recv(10): pass")
    f:close()
    support.eventually(function()
      return box:sh("cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | "
        .. "grep -c 'perl [-]e use strict; use Socket'").stdout == "0\n"
    end)
    local again <close> = box:forward(7002, { listen = "127.0.0.1:" .. f.port })
    assert.equal(f.port, again.port)
    assert.matches("in use", failure("ConnectionError", box.forward, box, 7002,
      { listen = "127.0.0.1:" .. f.port }).message)
  end)

  it("refuses wrong ports and addresses", function()
    failure("InvalidArgumentError", box.forward, box, 0)
    failure("InvalidArgumentError", box.forward, box, 80, { listen = "here" })
    failure("InvalidArgumentError", box.forward, box, 80, { listen = ":99999" })
    failure("ConnectionError", box.forward, box, 80, { listen = "host.example:1" })
    assert.has_error(function() box:forward "80" end)
  end)
end)
