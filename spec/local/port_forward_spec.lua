-- box:forward: clients of this machine and servers in a real box.

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

-- A client: `lines` of python on the socket s; its output.
local function client(port, lines)
  local path = os.tmpname()
  local command = ("timeout 30 python3 -c '%s' > %s 2>&1; echo done >> %s")
    :format("import socket, threading\ns = socket.create_connection((\"127.0.0.1\", "
      .. port .. "))\n" .. lines, path, path)
  assert(os.execute("(" .. command .. ") &"))
  local text
  support.eventually(function()
    local f <close> = assert(io.open(path))
    text = f:read "a"
    return text:find "done\n$"
  end, 30)
  os.remove(path)
  return (text:gsub("done\n$", ""))
end

describe("box:forward", function()
  local _, compute = support.of_block()
  local box

  setup(function()
    box = compute.box:create "ports"
    for port, code in pairs { [7001] = COUNT, [7002] = ECHO, [7003] = FIRST } do
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

  it("has many connections at once", function()
    local f <close> = box:forward(7002)
    assert.equal("60\n", client(f.port, [[
all = [socket.create_connection(("127.0.0.1", ]] .. f.port .. [[)) for i in range(60)]
for i, c in enumerate(all): c.sendall(b"%d" % i)
print(sum(c.recv(100) == b"%d" % i for i, c in enumerate(all)))]]))
  end)

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
