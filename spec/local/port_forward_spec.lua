-- box:forward: clients of this machine and servers in a real box.

local boxd = require "boxd"
local failure = require("spec.support.raised").with_class
local forwarded = require "spec.support.forwarded"
local support = require "spec.support.service"

local client = forwarded.client

describe("box:forward", function()
  local _, compute = support.of_block()
  local box

  setup(function()
    box = compute.box:create "ports"
    forwarded.serve(box, 7001, forwarded.COUNTS)
    forwarded.serve(box, 7002, forwarded.ECHOES)
    forwarded.serve(box, 7003, forwarded.ENDS_FIRST)
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
