-- serve/forward: gates and relays, and serve.signal, in this process.

local boxd = require "boxd"
local calls = require "spec.support.calls"
local process = require "spec.support.process"
local serve = require "boxd.serve"

-- A connection to a port of this machine, as an Fd: through a gate's own
-- accept, of what a helper connects.
local CONNECT = [[
import socket, sys
a = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
b = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
]]

local function start(script, ...)
  return process.start { "/usr/bin/python3", "-c", CONNECT .. script, ... }
end

describe("serve.gate and serve.relay", function()
  after_each(calls.settled)

  -- A helper whose sockets a and b are joined by a relay, and the relay's task.
  local function joined(script)
    local gate <close> = assert(serve.gate(0))
    local second <close> = assert(serve.gate(0))
    local helper = start(script, tostring(gate:port()),
      tostring(second:port()))
    local first = gate:accept()
    return helper, boxd.spawn(serve.relay, first, second:accept()), first
  end

  it("copies both ways, each to its own end", function()
    local helper, task = joined [[
import threading
def pump(s, byte):
    s.sendall(byte * 5000000); s.shutdown(socket.SHUT_WR)
got = {}
def take(s, name):
    data = b""
    while True:
        part = s.recv(1 << 20)
        if not part: break
        data += part
    got[name] = (len(data), set(data))
ts = [threading.Thread(target=f, args=x) for f, x in (
    (pump, (a, b"x")), (pump, (b, b"y")), (take, (a, "a")), (take, (b, "b")))]
for t in ts: t.start()
for t in ts: t.join()
print(got["a"] == (5000000, {ord("y")}), got["b"] == (5000000, {ord("x")}), flush=True)
]]
    task:join()
    assert.equal("True True", helper:line())
    helper:stop()
  end)

  it("holds a fast side back for a slow one", function()
    local helper, task = joined [[
a.setblocking(False)
sent = 0
import time
idle = 0
while idle < 20:
    try: sent += a.send(b"z" * 65536); idle = 0
    except BlockingIOError: idle += 1; time.sleep(0.01)
print(sent, flush=True)
a.setblocking(True); a.shutdown(socket.SHUT_WR)
got = 0
while True:
    part = b.recv(1 << 20)
    if not part: break
    got += len(part)
print(got, flush=True)
b.close(); a.close()
]]
    task:join()
    local sent, got = tonumber(helper:line()), tonumber(helper:line())
    assert.equal(sent, got)
    assert.is_true(sent < 64 << 20)
    helper:stop()
  end)

  it("ends when one side breaks, and when its task is cancelled", function()
    local helper, task = joined [[
import struct
a.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
a.close()
try: print(b.recv(1), flush=True)
except ConnectionError as e: print("reset", flush=True)
]]
    task:join()
    assert.matches("^b''$", helper:line())
    helper:stop()
    helper, task = joined [[print(b.recv(1), a.recv(1), flush=True)]]
    task:cancel()
    assert.is_false((pcall(task.join, task)))
    assert.equal("b'' b''", helper:line())
    helper:stop()
  end)

  it("has a port of its own, or the one that is asked for", function()
    local gate <close> = assert(serve.gate(0))
    local other, message = serve.gate(gate:port())
    assert.is_nil(other)
    assert.matches("Address already in use", message)
    local port = gate:port()
    gate:close()
    local again <close> = assert(serve.gate(port))
    assert.equal(port, again:port())
  end)

  it("ends its accept when it is closed", function()
    local gate = assert(serve.gate(0))
    local task = boxd.spawn(function() return gate:accept() == nil end)
    gate:close()
    assert.is_true(task:join())
    assert.is_nil(gate:accept())
  end)

  it("takes open descriptors only", function()
    local helper, task, fd = joined "import time; time.sleep(30)"
    assert.error(function() serve.relay(fd, fd) end)
    task:cancel()
    pcall(task.join, task)
    helper:stop()
  end)
end)

describe("serve.signal", function()
  after_each(calls.settled)

  it("wakes every waiter once", function()
    local s, woken = serve.signal(), 0
    local tasks = {}
    for i = 1, 3 do
      tasks[i] = boxd.spawn(function()
        assert(s:wait())
        woken = woken + 1
      end)
    end
    s:fire()
    for _, task in ipairs(tasks) do task:join() end
    assert.equal(3, woken)
    boxd.run(function() assert.is_false(s:wait(0.01)) end)
  end)
end)
