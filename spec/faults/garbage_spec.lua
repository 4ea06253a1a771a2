-- An unreferenced object ends its call, and an interpreter that closes in the
-- middle of everything closes.

local boxd = require "boxd"
local calls = require "spec.support.calls"
local program = require "spec.support.program"

describe("unreferenced objects", function()
  after_each(calls.settled)

  local function stalling()
    local function stall(call)
      call:recv()
      call:wait_cancelled()
    end
    return calls.start { Exec = stall, StreamLogs = stall, Whoami = stall }
  end

  local makers = {
    ["a process"] = function(s) s.box:exec("x", { stream = true }) end,
    ["an iterator of one"] = function(s)
      s.box:exec("x", { stream = true }):lines()
    end,
    ["a stream"] = function(s) s.box:stream_logs() end,
    ["a Compute with a process"] = function(s)
      local c = boxd.Compute { api_url = s.server.address, token = "t" }
      require "boxd.box".new(c, { vm_id = "b2" }):exec("x", { stream = true })
    end,
  }

  for what, make in pairs(makers) do
    it("ends its call: " .. what, function()
      local s <close> = stalling()
      collectgarbage "stop"
      make(s)
      calls.eventually(function() return #s.taken == 1 end)
      collectgarbage "restart"
      calls.eventually(function()
        collectgarbage()
        return s.taken[1]:cancelled()
      end)
    end)
  end

  it("stays while an iterator or a waiting task holds it", function()
    local s <close> = stalling()
    local next_line = s.box:exec("x", { stream = true }):lines()
    boxd.spawn(function() pcall(s.box:exec("x", { stream = true }).wait,
      s.box:exec("x", { stream = true })) end)
    calls.eventually(function() return #s.taken >= 2 end)
    for _ = 1, 5 do
      collectgarbage()
      boxd.sleep(0.01)
    end
    assert.is_false(s.taken[1]:cancelled())
    assert.is_function(next_line)
  end)
end)

describe("an interpreter that closes", function()
  it("ends with a hundred calls pending, in and out of tasks", function()
    local result = program.lua { "-e", [[
      package.path = "./?.lua;" .. package.path
      local calls = require "spec.support.calls"
      local function stall(call)
        call:recv()
        call:wait_cancelled()
      end
      S = calls.start { Exec = stall, Whoami = stall, StreamLogs = stall }
      KEPT = {}
      for i = 1, 100 do
        KEPT[i] = S.box:exec("x", { stream = true })
        boxd.spawn(S.compute.whoami, S.compute)
        boxd.spawn(KEPT[i].wait, KEPT[i])
        boxd.spawn(coroutine.wrap(function() KEPT[i]:read_stdout() end))
      end
      KEPT[101] = S.box:stream_logs()
      calls.eventually(function() return #S.taken > 150 end)
      print "end"]] }
    assert.equal("end\n", result.out, result.err)
    assert.equal("", result.err)
    assert.equal(0, result.status)
  end)
end)
