-- How a stream of a command ends: cut short, collected, by silence, on a server that
-- stalls.

local boxd = require "boxd"
local calls = require "spec.support.calls"
local core = require "boxd.core"
local exec = require "spec.support.exec"

local failure = require("spec.support.raised").with_class
local start, ok, send, READERS, in_and_out_of_tasks =
  exec.start, exec.ok, exec.send, exec.READERS, exec.in_and_out_of_tasks

describe("a stream cut short", function()
  after_each(calls.settled)

  local CUTS = {
    InternalError = function(call) call:finish("INTERNAL", "cut") end,
    ConnectionError = function(call) call:abort() end,
    NotFoundError = function(call) call:finish("NOT_FOUND", "cut") end,
    AuthenticationError = function(call) -- its token has ended meanwhile
      call:finish("UNAUTHENTICATED", "cut")
    end,
  }

  for class, cut in pairs(CUTS) do
    it("raises " .. class .. " after what arrived, in every reader", function()
      for name, reader in pairs(READERS) do
        in_and_out_of_tasks(function(run)
          local s <close> = start(function(call)
            send(call, "one\n")
            send(call, "one\n", true)
            send(call, "two")
            send(call, "two", true)
            boxd.sleep(0.005)
            cut(call)
          end)
          local p = s.p
          local got, read = reader(p)
          failure(class, run, read)
          local text = table.concat(got)
          assert.equal("one\ntwo", text:gsub("two\n", "two"), name)
          failure(class, run, read) -- and again
          failure(class, run, p.wait, p)
          failure(class, p.write, p, "x")
        end)
      end
    end)

    it("raises " .. class .. " with the output that a plain exec had", function()
      local s <close> = calls.start { Exec = function(call)
        call:recv()
        send(call, "out")
        send(call, "err", true)
        boxd.sleep(0.005)
        cut(call)
      end }
      local e = failure(class, s.box.exec, s.box, "x")
      assert.equal("out", e.stdout)
      assert.equal("err", e.stderr)
    end)
  end

  it("is never an exit code, whatever came before", function()
    local s <close> = start(function(call)
      call:send { exit_code = 5 }
      call:finish("UNAVAILABLE", "gone")
    end)
    local p = s.p
    failure("ConnectionError", p.wait, p)
  end)

  it("is one that ends without any message, whatever its status", function()
    local s <close> = calls.start { Exec = function(call)
      call:recv()
      call:finish()
    end }
    local e = failure("InternalError", s.box.exec, s.box, "x")
    assert.matches("ended without an exit code", e.message)
    local p = s.box:exec("x", { stream = true })
    failure("InternalError", p.wait, p)
    failure("InternalError", p.read_stdout, p)
  end)

  it("is none that has ended with output, whose last exit code is 0", function()
    local s <close> = start(function(call)
      send(call, "out")
      call:finish()
    end)
    assert.equal(0, s.p:wait())
    assert.equal("out", s.p:read_stdout())
  end)

  it("is so by a message that is none", function()
    local s <close> = start(function(call)
      call:send_bytes "\255\255\255"
      call:wait_cancelled()
    end)
    local p = s.p
    failure("InternalError", p.wait, p)
    failure("InternalError", p.read_stdout, p)
  end)
end)

describe("a process that is collected", function()
  it("is cancelled, even where its processes in the box can't be ended", function()
    local s <close> = start(function(call)
      send(call, "x")
      call:wait_cancelled()
    end, { killable = true })
    assert.equal("x", s.p:read_stdout())
    local name <const> = "boxd.internal.killable"
    local real <const> = package.loaded[name]
    package.loaded[name] = true
    s.p = nil
    collectgarbage()
    collectgarbage()
    package.loaded[name] = real
    calls.eventually(function() return s.taken[1]:cancelled() end)
  end)
end)

describe("a service that drops silent commands", function()
  local before
  setup(function() before = core.silence(0.05) end)
  teardown(function() core.silence(before) end)

  -- The error of a command on a service that is silent and then ends its stream.
  local function dropped(finish, options)
    local s <close> = calls.start { Exec = function(call)
      call:recv()
      send(call, "last words")
      boxd.sleep(0.1)
      finish(call)
    end }
    local done, result = pcall(s.box.exec, s.box, "make",
      options or {})
    return done, result
  end

  it("is explained, with what helps, whatever its status", function()
    for _, status in ipairs { "OK", "UNAVAILABLE", "INTERNAL", "UNKNOWN" } do
      local done, e = dropped(function(call)
        if status == "OK" then call:finish() else call:finish(status, "gone") end
      end)
      assert.is_false(done, status)
      assert.is_table(e, tostring(e))
      assert.equal("last words", e.stdout)
      assert.matches("without output", e.message)
      assert.matches("box:job", e.message)
      if status ~= "OK" then
        assert.equal(status, e.code)
        assert.matches("gone: the command", e.message)
      end
    end
  end)

  it("is not suspected where the command ended, or has a terminal", function()
    local done, result = dropped(function(call) ok(call, 3) end)
    assert.same({ true, 3 }, { done, result.exit_code })
    done, result = dropped(function(call) ok(call, 0) end)
    assert.same({ true, 0 }, { done, result.exit_code })
    done, result = dropped(function(call) call:finish("UNAVAILABLE", "gone") end,
      { pty = true })
    assert.is_false(done)
    assert.matches("gone$", result.message)
  end)
end)

describe("a server that stalls", function()
  after_each(calls.settled)

  local function stall(call) call:wait_cancelled() end

  it("meets the timeout of an exec, which keeps the output so far", function()
    local s <close> = calls.start { Exec = function(call)
      call:recv()
      send(call, "begun")
      stall(call)
    end }
    local timeout = 0.05
    local start_, e
    repeat -- Its output may take longer to come than the command has.
      timeout, start_ = timeout * 2, boxd.now()
      e = failure("TimeoutError", s.box.exec, s.box, "x", { timeout = timeout })
    until e.stdout ~= "" or timeout > 30
    assert.is_true(boxd.now() - start_ < timeout + 20)
    assert.equal("begun", e.stdout)
    calls.eventually(function() return s.taken[#s.taken]:cancelled() end)
  end)

  it("leaves wait's timeout to end only the wait", function()
    local go
    local s <close> = start(function(call)
      calls.eventually(function() return go end)
      ok(call, 4)
    end)
    local p = s.p
    failure("TimeoutError", p.wait, p, { timeout = 0.02 })
    go = true
    assert.equal(4, p:wait { timeout = 5 })
    assert.is_false(s.taken[1]:cancelled())
  end)

  it("is left by a cancelled task: the command dies, siblings live", function()
    local s <close> = calls.start { Exec = function(call)
      local first = call:recv()
      if first.command:find "quick" then
        boxd.sleep(0.05)
        send(call, "alive")
        return ok(call)
      end
      stall(call)
    end }
    local sibling = boxd.spawn(s.box.exec, s.box, "quick")
    local t = boxd.spawn(s.box.exec, s.box, "stall")
    calls.eventually(function() return #s.taken == 2 end)
    t:cancel()
    failure("CancelledError", t.join, t)
    assert.equal("alive", sibling:join().stdout)
    calls.eventually(function()
      return s.taken[1]:cancelled() or s.taken[2]:cancelled()
    end)
  end)

  it("is left by with_timeout, in every reader", function()
    for name, reader in pairs(READERS) do
      local s <close> = start(stall)
      local p = s.p
      local _, read = reader(p)
      assert.equal("TimeoutError",
        failure("TimeoutError", boxd.with_timeout, 0.01, read).class, name)
    end
  end)
end)
