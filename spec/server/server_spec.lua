-- boxd.serve's server: how it listens, calls that it does not accept, and its end.

local boxd = require "boxd"
local bare = require "spec.support.bare"
local serve = require "boxd.serve"
local served = require "spec.support.served"

local start, cleanup, failure = served.start, served.cleanup, served.failure

describe("a server's HTTP request", function()
  it("shows that its client left before it was taken, and after", function()
    local server <close> = serve.listen()
    local function come_and_go()
      assert(os.execute(([[python3 -c 'if 1:
        import socket
        s = socket.create_connection(("127.0.0.1", %d))
        s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")']])
        :format(server.port)))
      boxd.sleep(0.05) -- so that the server meets both
    end
    come_and_go()
    local request <close> = server:request()
    assert.is_true(boxd.with_timeout(5, request.wait_gone, request))
    local task = boxd.spawn(function() return server:request() end)
    come_and_go()
    local second <close> = task:join()
    assert.is_true(boxd.with_timeout(5, second.wait_gone, second))
  end)
end)

describe("serve.listen", function()
  it("returns its address", function()
    local server <close> = serve.listen()
    assert.matches("^127%.0%.0%.1:%d+$", server.address)
    assert.equal(server.address, "127.0.0.1:" .. server.port)
    assert.is_nil(server.nonsense)
  end)

  it("listens on IPv6", function()
    local server <close> = serve.listen{address = "[::1]:0"}
    assert.matches("^%[::1%]:%d+$", server.address)
  end)

  it("says when an address is in use", function()
    local first <close> = serve.listen()
    local e = failure(serve.listen, {address = first.address})
    assert.equal("ConnectionError", e.class)
    assert.matches("can't listen on 127.0.0.1:%d+: Address already in use",
                   e.message)
    e = failure(serve.listen, {address = first.address, http = false})
    assert.equal("ConnectionError", e.class)
    assert.matches("in use", e.message)
  end)

  it("refuses an invalid address and unknown options", function()
    for _, address in ipairs{"", "nonsense", ":80", "::1:80", "[::1:80", "h:x"} do
      local e = failure(serve.listen, {address = address})
      assert.equal("InvalidArgumentError", e.class, address)
    end
    assert.matches("did you mean 'http'", failure(serve.listen, {htpp = 1}).message)
    assert.matches("both cert and key",
                   failure(serve.listen, {tls = {cert = "x"}}).message)
    assert.matches("not served over TLS", failure(serve.listen,
      {http = true, tls = {cert = "x", key = "x"}}).message)
    assert.equal("ConnectionError",
      failure(serve.listen, {tls = {cert = "x", key = "x"}}).class)
  end)

  it("ends accept and request with nil when it is closed", function()
    local server = serve.listen()
    local accept = boxd.spawn(function() return server:accept(), "ended" end)
    local request = boxd.spawn(function() return server:request(), "ended" end)
    boxd.sleep(0)
    server:close()
    server:close()
    assert.same({nil, "ended"}, {accept:join()})
    assert.same({nil, "ended"}, {request:join()})
    assert.is_nil(server:accept())
    assert.is_nil(server:request())
  end)
end)

describe("calls that are not accepted", function()
  it("are refused beyond a number", function()
    local server = serve.listen()
    local client = bare{api_url = "http://" .. server.address, token = "t",
                               max_retries = 0}
    local _ <close> = cleanup(server, client)
    local codes, tasks, ended = {}, {}, 0
    for i = 1, 4096 + 50 do
      tasks[i] = boxd.spawn(function()
        local _, e = pcall(client.call, client, "GetVm", {})
        codes[e.code] = (codes[e.code] or 0) + 1
        ended = ended + 1
      end)
    end
    repeat boxd.sleep(0.001) until ended >= 50
    server:close()
    for _, task in ipairs(tasks) do task:join() end
    assert.same({RESOURCE_EXHAUSTED = 50, UNAVAILABLE = 4096}, codes)
  end)
end)

describe("closing a server", function()
  it("cancels its calls", function()
    local error_, started
    local server, client = start{Exec = function(call)
      call:recv()
      started = true
      error_ = failure(call.recv, call)
    end}
    local _ <close> = cleanup(server, client)
    local stream = client:stream("Exec")
    stream:send{}
    repeat boxd.sleep(0.001) until started
    server:close()
    assert.equal("UNAVAILABLE", failure(stream.recv, stream).code)
    boxd.sleep(0)
    assert.equal("CancelledError", error_.class)
  end)

  it("does not wait for a client that has stopped reading", function()
    local error_
    local server, client = start{StreamLogs = function(call)
      error_ = failure(function()
        while true do call:send{data = ("x"):rep(1 << 20)} end
      end)
    end}
    local _ <close> = cleanup(server, client)
    local stream = client:stream("StreamLogs", {})
    stream:recv()
    local began = boxd.now()
    server:close()
    assert.is_true(boxd.now() - began < 20)
    boxd.sleep(0)
    assert.equal("CancelledError", error_.class)
  end)

  it("by a broken connection shows as UNAVAILABLE", function()
    local server, client = start{GetVm = function(call) call:abort() end}
    local _ <close> = cleanup(server, client)
    local e = failure(client.call, client, "GetVm", {})
    assert.equal("UNAVAILABLE", e.code)
  end)

  -- gRPC may close a socket while a call of its connection lives.
  it("by a broken connection that has gone breaks no other one", function()
    local gone, left
    local server, client = start{
      GetVm = function(call)
        gone = call
        call:wait_cancelled()
      end,
      StreamLogs = function(call)
        call:send{data = "x"}
        repeat boxd.sleep(0.01) until left
        call:send{data = "y"}
        call:finish()
      end}
    local first = bare{api_url = "http://" .. server.address, token = "tok"}
    local _ <close> = cleanup(server, client)
    local asking = boxd.spawn(pcall, first.call, first, "GetVm", {})
    repeat boxd.sleep(0.001) until gone
    first:close()
    asking:join()
    repeat boxd.sleep(0.001) until gone:cancelled()
    local stream = client:stream("StreamLogs", {}) -- by its descriptor, if free
    assert.equal("x", stream:recv().data)
    gone:abort()
    left = true
    assert.equal("y", stream:recv().data)
    assert.is_nil(stream:recv())
  end)

  it("leaves room for many calls at once", function()
    local server, client = start{GetVm = function(call)
      call:send{vm_id = call:recv().vm_id}
      call:finish()
    end}
    local _ <close> = cleanup(server, client)
    local tasks = {}
    for i = 1, 1000 do
      tasks[i] = boxd.spawn(function()
        return client:call("GetVm", {vm_id = tostring(i)}).vm_id
      end)
    end
    for i, task in ipairs(tasks) do assert.equal(tostring(i), task:join()) end
  end)
end)
