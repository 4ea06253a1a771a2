-- boxd.serve's server, its calls and what a client sees of them, all in this
-- process: each server has a task that answers by the table of handlers.

local boxd = require "boxd"
local certs = require "spec.support.certs"
local bare = require "spec.support.bare"
local raised = require "spec.support.raised"
local serve = require "boxd.serve"

-- handlers: RPC name -> function(call), run as a task that ends with the call.
local function start(handlers, options)
  local server = serve.listen(options)
  boxd.spawn(function()
    for call in function() return server:accept() end do
      boxd.spawn(function()
        local c <close> = call
        handlers[c.rpc](c)
      end)
    end
  end)
  local client = bare{api_url = "http://" .. server.address, token = "tok",
                             max_retries = 0}
  return server, client
end

local function cleanup(server, client)
  return setmetatable({}, {__close = function()
    client:close()
    server:close()
  end})
end

local function failure(f, ...)
  local e = raised.of(f, ...)
  assert.is_true(boxd.is_error(e), tostring(e))
  return e
end

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

describe("a call", function()
  for name, options in pairs{shared = {}, own = {http = false},
                             v6 = {address = "[::1]:0"},
                             own6 = {http = false, address = "[::1]:0"}} do
    it("is answered on a port that is " .. name, function()
      local seen = {}
      local server, client = start({GetVm = function(call)
        for _, k in ipairs{"rpc", "path", "peer", "deadline", "known",
                           "reflection"} do
          seen[k] = call[k]
        end
        seen.bearer = call:metadata("authorization")
        seen.none = call:metadata("x-none")
        local request = call:recv()
        seen.more = call:recv()
        call:send{vm_id = request.vm_id, labels = {a = "b"}}
        call:finish()
      end}, options)
      local _ <close> = cleanup(server, client)
      local now = boxd.now()
      local reply = client:call("GetVm", {vm_id = "v1"}, 30)
      assert.equal("v1", reply.vm_id)
      assert.same({a = "b"}, reply.labels)
      assert.equal("GetVm", seen.rpc)
      assert.equal("/boxd.api.v1.BoxdApi/GetVm", seen.path)
      assert.matches(server.address:gsub("%d+$", ""):gsub("%p", "%%%0") .. "%d+",
                     seen.peer)
      assert.equal("Bearer tok", seen.bearer)
      assert.is_nil(seen.none)
      assert.is_nil(seen.more)
      assert.is_true(seen.known)
      assert.is_false(seen.reflection)
      assert.is_true(math.abs(seen.deadline - now - 30) < 5)
    end)
  end

  it("is answered over TLS", function()
    local authority = certs.new()
    finally(function() authority:remove() end)
    local path = authority:leaf("leaf", "IP:127.0.0.1")
    local function read(name)
      local file <close> = assert(io.open(name))
      return file:read("a")
    end
    local server, client = start({GetVm = function(call)
      call:send{vm_id = call.peer}
      call:finish()
    end}, {tls = {cert = read(path .. ".pem"), key = read(path .. ".key")}})
    client:close()
    client = bare{api_url = "https://" .. server.address, token = "t",
                         ca_file = authority:path("ca.pem"), max_retries = 0}
    local _ <close> = cleanup(server, client)
    assert.matches("^127%.0%.0%.1:%d+$", client:call("GetVm", {}, 10).vm_id)
    failure(server.request, server)
  end)

  it("ends with the status given", function()
    local server, client = start{GetVm = function(call)
      call:finish(call:recv().vm_id == "5" and 5 or "RESOURCE_EXHAUSTED",
                  "no such thing: ü 100%")
    end}
    local _ <close> = cleanup(server, client)
    local e = failure(client.call, client, "GetVm", {vm_id = "5"})
    assert.equal("NOT_FOUND", e.code)
    assert.equal("no such thing: ü 100%", e.message)
    e = failure(client.call, client, "GetVm", {vm_id = "8"})
    assert.equal("RESOURCE_EXHAUSTED", e.code)
  end)

  it("without a finish ends with INTERNAL", function()
    local server, client = start{GetVm = function() end}
    local _ <close> = cleanup(server, client)
    local e = failure(client.call, client, "GetVm", {})
    assert.equal("INTERNAL", e.code)
    assert.matches("without an answer", e.message)
  end)

  it("that is collected ends with INTERNAL", function()
    local server = serve.listen()
    local client = bare{api_url = "http://" .. server.address, token = "t",
                               max_retries = 0}
    local _ <close> = cleanup(server, client)
    boxd.spawn(function()
      server:accept()
      collectgarbage()
      collectgarbage()
    end)
    assert.equal("INTERNAL", failure(client.call, client, "GetVm", {}).code)
  end)

  it("can send a client the time to try again", function()
    local tries = 0
    local server, client = start{GetVm = function(call)
      tries = tries + 1
      if tries > 1 then
        call:send{vm_id = "here"}
        return call:finish()
      end
      call:finish("UNAVAILABLE", "later", {["grpc-retry-pushback-ms"] = "1",
                                           ["x-bytes-bin"] = "\0\255"})
    end}
    client:close()
    client = bare{api_url = "http://" .. server.address, token = "t", max_retries = 2}
    local _ <close> = cleanup(server, client)
    assert.equal("here", client:call("GetVm", {}).vm_id)
    assert.equal(2, tries)
  end)

  it("checks the arguments of finish", function()
    local errors = {}
    local server, client = start{GetVm = function(call)
      for i, args in ipairs{{"NO_SUCH"}, {17}, {1.5}, {"OK", "", {["A b"] = "x"}},
                            {"OK", "", {a = "\n"}}, {"OK", "", {1}}} do
        errors[i] = select(2, pcall(call.finish, call, table.unpack(args)))
      end
      call:send{}
      call:finish()
      errors.twice = select(2, pcall(call.finish, call))
      errors.after = select(2, pcall(call.send, call, {}))
    end}
    local _ <close> = cleanup(server, client)
    client:call("GetVm", {})
    assert.matches("no gRPC status", errors[1])
    assert.matches("no gRPC status", errors[2])
    assert.truthy(errors[3])
    assert.matches("'A b' can't be sent", errors[4].message)
    assert.matches("'a' can't be sent", errors[5].message)
    assert.matches("strings by name", errors[6].message)
    assert.matches("is finished", errors.twice.message)
    boxd.sleep(0)
    assert.matches("is finished", errors.after.message)
  end)

  it("refuses a table that is not a reply", function()
    local e
    local server, client = start{GetVm = function(call)
      e = failure(call.send, call, {vm_idd = "x"})
      call:finish("OK")
    end}
    local _ <close> = cleanup(server, client)
    failure(client.call, client, "GetVm", {})
    assert.matches("did you mean 'vm_id'", e.message)
  end)

  it("carries bytes as they are", function()
    local server, client = start{GetVm = function(call)
      call:send_bytes(call:recv_bytes())
      call:finish()
    end}
    local _ <close> = cleanup(server, client)
    assert.equal("same", client:call("GetVm", {vm_id = "same"}).vm_id)
  end)

  it("carries messages of up to 64 MiB", function()
    local most = ("x"):rep((64 << 20) - 16)
    local server, client = start{
      UploadFileStream = function(call)
        local chunk = call:recv()
        call:send{bytes_written = #chunk.data}
        call:finish()
      end,
      GetVm = function(call)
        local e = failure(call.send_bytes, call, most .. ("x"):rep(17))
        call:finish("OUT_OF_RANGE", e.message)
      end}
    local _ <close> = cleanup(server, client)
    local stream = client:stream("UploadFileStream")
    stream:send{data = most}
    stream:half_close()
    assert.equal(#most, stream:recv().bytes_written)
    local e = failure(client.call, client, "GetVm", {})
    assert.matches("64 MiB", e.message)
  end)
end)

describe("calls that are not accepted", function()
  it("are refused beyond a number", function()
    local server = serve.listen()
    local client = bare{api_url = "http://" .. server.address, token = "t",
                               max_retries = 0}
    local _ <close> = cleanup(server, client)
    local codes, tasks = {}, {}
    for i = 1, 4096 + 50 do
      tasks[i] = boxd.spawn(function()
        local _, e = pcall(client.call, client, "GetVm", {})
        codes[e.code] = (codes[e.code] or 0) + 1
      end)
    end
    repeat boxd.sleep(0.001) until codes.RESOURCE_EXHAUSTED == 50
    server:close()
    for _, task in ipairs(tasks) do task:join() end
    assert.same({RESOURCE_EXHAUSTED = 50, UNAVAILABLE = 4096}, codes)
  end)
end)

describe("a stream", function()
  it("goes both ways, in order", function()
    local server, client = start{Exec = function(call)
      for chunk in function() return call:recv() end do
        call:send{data = chunk.data}
      end
      call:send{exit_code = 3}
      call:finish()
    end}
    local _ <close> = cleanup(server, client)
    local stream = client:stream("Exec")
    for i = 1, 300 do
      stream:send{data = tostring(i)}
      assert.equal(tostring(i), stream:recv().data)
    end
    stream:half_close()
    assert.equal(3, stream:recv().exit_code)
    assert.is_nil(stream:recv())
  end)

  it("has one reader", function()
    local e
    local server, client = start{Exec = function(call)
      local other = boxd.spawn(function() return call:recv() end)
      boxd.sleep(0)
      e = failure(call.recv, call)
      call:send{}
      assert.equal("x", other:join().data)
      call:finish()
    end}
    local _ <close> = cleanup(server, client)
    local stream = client:stream("Exec")
    stream:recv()
    stream:send{data = "x"}
    assert.is_nil(stream:recv())
    assert.matches("busy", e.message)
  end)

  it("keeps the first reader's message until its turn has come", function()
    local got, e
    local server, client = start{Exec = function(call)
      call:recv()
      call:send{data = "mine"}
      call:recv()
      call:finish()
    end}
    local _ <close> = cleanup(server, client)
    local stream = client:stream("Exec")
    stream:send{data = "x"}
    local first = boxd.spawn(stream.recv, stream)
    boxd.spawn(function() -- about to have its turn, so before who is woken
      while first.status == "running" and not got do
        local ok, m = pcall(stream.recv, stream)
        if ok then got = m else e = m end
        boxd.sleep(0)
      end
    end)
    assert.equal("mine", boxd.with_timeout(10, first.join, first).data)
    stream:half_close()
    assert.is_nil(stream:recv())
    assert.is_nil(got)
    assert.matches("busy", e.message)
  end)

  it("keeps a message for the next reader when one was cancelled", function()
    local got
    local server, client = start{Exec = function(call)
      local first = boxd.spawn(function() return call:recv() end)
      boxd.sleep(0)
      first:cancel()
      pcall(first.join, first)
      call:send{}
      got = call:recv().data
      call:finish()
    end}
    local _ <close> = cleanup(server, client)
    local stream = client:stream("Exec")
    stream:recv()
    stream:send{data = "kept"}
    assert.is_nil(stream:recv())
    assert.equal("kept", got)
  end)

  it("sends no faster than the client reads", function()
    local sent, ended = 0, nil
    local server, client = start{StreamLogs = function(call)
      ended = failure(function()
        while true do
          call:send{data = ("x"):rep(65536)}
          sent = sent + 1
        end
      end)
    end}
    local _ <close> = cleanup(server, client)
    local stream = client:stream("StreamLogs", {vm_id = "v"})
    stream:recv()
    local before
    repeat
      before = sent
      boxd.sleep(0.05)
    until sent == before
    assert.is_true(sent < 400, sent)
    stream:close()
    repeat boxd.sleep(0.001) until ended
    assert.equal("CancelledError", ended.class)
  end)
end)

describe("a client's end", function()
  local function hang(give_up)
    local result, started = {}, false
    local server, client = start{Exec = function(call)
      started = true
      call:recv()
      result.before = call:cancelled()
      local watcher = boxd.spawn(function() return call:wait_cancelled() end)
      result.error = failure(call.recv, call)
      result.waited = watcher:join()
      result.cancelled = call:cancelled()
      result.send = failure(call.send, call, {})
      result.done = true
    end}
    local _ <close> = cleanup(server, client)
    local stream = client:stream("Exec", nil, give_up == "deadline" and 0.2 or nil)
    stream:send{command = "x"}
    repeat boxd.sleep(0.001) until started
    if give_up == "close" then stream:close() end
    if give_up == "drop" then client:close() end
    repeat boxd.sleep(0.001) until result.done
    assert.is_false(result.before)
    assert.equal("CancelledError", result.error.class)
    assert.equal("CANCELLED", result.error.code)
    assert.is_true(result.waited)
    assert.is_true(result.cancelled)
    assert.equal("CancelledError", result.send.class)
  end

  it("shows when it cancels", function() hang("close") end)
  it("shows when its deadline is over", function() hang("deadline") end)
  it("shows when its connection is closed", function() hang("drop") end)

  it("does not show when it has only half-closed", function()
    local waited, watching
    local server, client = start{Exec = function(call)
      boxd.spawn(function()
        watching = true
        waited = call:wait_cancelled()
      end)
      assert(call:recv())
      assert.is_nil(call:recv())
      assert.is_false(call:cancelled())
      call:finish()
    end}
    local _ <close> = cleanup(server, client)
    local stream = client:stream("Exec")
    stream:send{data = "x"}
    stream:half_close()
    assert.is_nil(stream:recv())
    repeat boxd.sleep(0.001) until waited ~= nil
    assert.is_true(watching)
    assert.is_false(waited)
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
    assert.is_true(boxd.now() - began < 2)
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
