-- Calls of boxd.serve's server, and their results in a client, all in this process.

local boxd = require "boxd"
local bare = require "spec.support.bare"
local certs = require "spec.support.certs"
local serve = require "boxd.serve"
local served = require "spec.support.served"

local start, cleanup, failure = served.start, served.cleanup, served.failure

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
