-- Streams of boxd.serve's server, and how they end with their client.

local boxd = require "boxd"
local served = require "spec.support.served"

local start, cleanup, failure = served.start, served.cleanup, served.failure

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
