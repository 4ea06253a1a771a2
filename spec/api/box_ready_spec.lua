-- Waiting until a box is ready, and the timers and the end of a new one.

local boxd = require "boxd"
local scripted = require "spec.support.scripted"

local failure, refused = scripted.failure, scripted.refused

-- An Exec that answers its one command with an exit code.
local function exits(code)
  return function(_, call)
    call:send { exit_code = code }
    call:finish()
  end
end

describe("box:wait_until_ready", function()
  local function waiting(statuses, exec, handlers)
    local n = 0
    local s = scripted.start(handlers or {})
    s.handlers.GetVm = function(_, call)
      n = n + 1
      local status = statuses[math.min(n, #statuses)]
      if type(status) == "function" then return status(_, call) end
      return { vm_id = "vm1", name = "web", status = status }
    end
    s.handlers.Exec = exec
    return s, s:box { vm_id = "vm1", name = "web", status = "pending" }
  end

  it("polls until it runs and a command succeeds", function()
    local tries = 0
    local s, box = waiting({ "pending", "pending", "running" },
      function(request, call)
        assert(request.command == "true")
        tries = tries + 1
        return exits(tries < 3 and 1 or 0)(request, call)
      end)
    local _ <close> = s
    assert.equal(box, box:wait_until_ready())
    assert.equal("running", box.status)
    assert.equal(3, tries)
    assert.is_true(s:count "GetVm" >= 3)
  end)

  it("polls from 10 ms, backing off to the interval", function()
    local times = {}
    local s, box = waiting { function()
      times[#times + 1] = boxd.now()
      return { vm_id = "vm1", status = #times < 7 and "pending" or "failed" }
    end }
    local _ <close> = s
    failure(box.wait_until_ready, box, { poll_interval = 0.05 })
    assert.equal(7, #times)
    local least = { 0.01, 0.02, 0.04, 0.05, 0.05, 0.05 }
    local sum = 0
    for i = 1, 6 do
      local pause = times[i + 1] - times[i]
      assert.is_true(pause >= least[i] - 0.002, i .. ": " .. pause)
      sum = sum + pause
    end
    assert.is_true(times[2] - times[1] < 0.5 and sum < 2)
  end)

  for _, status in ipairs { "failed", "destroyed", "stopped" } do
    it("raises at once when the box is " .. status, function()
      local s, box = waiting { "pending", status }
      local _ <close> = s
      local started = boxd.now()
      local e = failure(box.wait_until_ready, box)
      assert.equal("BoxdError", e.class)
      assert.matches("web is " .. status, e.message)
      assert.is_true(boxd.now() - started < 20)
    end)
  end

  it("raises a lasting error at once", function()
    local started = boxd.now()
    for code, class in pairs { UNAUTHENTICATED = "AuthenticationError",
      PERMISSION_DENIED = "PermissionDeniedError",
      NOT_FOUND = "NotFoundError" } do
      local function refuse(_, call) call:finish(code, "no") end
      local s, box = waiting { refuse }
      local _ <close> = s
      assert.equal(class, failure(box.wait_until_ready, box).class)
      local t, other = waiting({ "running" }, refuse)
      local _t <close> = t
      assert.equal(class, failure(other.wait_until_ready, other).class)
      assert.equal(1, t:count "Exec")
    end
    assert.is_true(boxd.now() - started < 20)
  end)

  it("outlives errors that pass", function()
    local codes = { "UNAVAILABLE", "FAILED_PRECONDITION", "INTERNAL" }
    local s, box = waiting({ function(_, call)
      call:finish("UNAVAILABLE", "starting")
    end, "running" }, function(request, call)
      local code = table.remove(codes)
      if code then return call:finish(code, "agent is not there yet") end
      return exits(0)(request, call)
    end)
    local _ <close> = s
    local box2 = boxd.with_timeout(20, box.wait_until_ready, box)
    assert.equal(box, box2)
    assert.equal(0, #codes)
  end)

  it("says why it was not so yet, also where its end cuts a look short", function()
    local looks = 0
    local s <close> = scripted.start { GetVm = function()
      looks = looks + 1
      if looks > 1 then boxd.sleep(2) end
      return { vm_id = "vm1", name = "web", status = "pending" }
    end }
    local box = s:box { vm_id = "vm1", name = "web" }
    local e = failure(box.wait_until_ready, box, { timeout = 1 })
    assert.equal("TimeoutError", e.class)
    assert.matches("it is pending$", e.message)
  end)

  it("ends all of it with its timeout", function()
    local s, box = waiting { "pending" }
    local _ <close> = s
    local started = boxd.now()
    local e = failure(box.wait_until_ready, box, { timeout = 1 })
    assert.equal("TimeoutError", e.class)
    assert.matches("web", e.message)
    assert.matches("it is pending", e.message)
    local took = boxd.now() - started
    assert.is_true(took >= 0.99 and took < 20, tostring(took))
    -- Also an exec that never ends, and a service that never answers.
    for _, name in ipairs { "Exec", "GetVm" } do
      local t, other = waiting({ "running" }, exits(0))
      local _t <close> = t
      t.handlers[name] = function() boxd.sleep(60) end
      started = boxd.now()
      e = failure(other.wait_until_ready, other, { timeout = 0.3 })
      assert.equal("TimeoutError", e.class)
      assert.is_true(boxd.now() - started < 20)
    end
  end)

  it("ends with the task or the time around it", function()
    for _, exec in ipairs { exits(1), function() boxd.sleep(60) end } do
      local s, box = waiting({ "running" }, exec)
      local _ <close> = s
      local started = boxd.now()
      local e = failure(boxd.with_timeout, 0.2, box.wait_until_ready, box)
      assert.equal("TimeoutError", e.class)
      assert.matches("with_timeout", e.message)
      assert.is_true(boxd.now() - started < 20)
    end
  end)

  it("checks its options", function()
    local s <close> = scripted.start {}
    local box = s:box()
    for _, opts in ipairs { { timeout = 0 }, { poll_interval = 0 },
      { timeout = -1 }, { poll_intervall = 1 } } do
      assert.equal("InvalidArgumentError",
        failure(box.wait_until_ready, box, opts).class)
    end
    assert.matches("'poll_interval'",
      refused(box.wait_until_ready, box, { poll_interval = "1" }))
    assert.equal(0, s:count "GetVm")
  end)
end)

describe("a new box's timers and end", function()
  local WHOLE = { vm_id = "vm1", name = "web" }

  it("are in the config, where it has a field, and further calls", function()
    local s <close> = scripted.start { CreateVm = WHOLE, ForkVm = WHOLE,
      GetVm = WHOLE, SetDeleteAfter = { delete_at_ms = 5000 },
      SetAutoHibernateTimeout = {} }
    local box = s.c.box:create { auto_suspend_timeout = 0,
      auto_destroy_timeout = 9, auto_hibernate_timeout = 7, delete_after = 5,
      shared = true }
    local sent = s:request "CreateVm"
    assert.same({ auto_suspend_timeout_secs = 0, auto_destroy_timeout_secs = 9 },
      sent.config.srf)
    assert.is_nil(sent.restart_policy)
    assert.is_true(sent.shared)
    assert.same({ vm_id = "vm1", timeout_secs = 7 },
      s:request "SetAutoHibernateTimeout")
    assert.equal(5, s:request("SetDeleteAfter").delete_after_secs)
    assert.same({ 0, 9, 7, 5 }, { box.auto_suspend_timeout_secs,
      box.auto_destroy_timeout_secs, box.auto_hibernate_timeout_secs,
      box.delete_at })
    for _ = 1, 20 do -- in whatever order a table has them
      s.c.box:create { config = { vcpu = 2, lifecycle = {
        auto_suspend_timeout = 3 } }, auto_destroy_timeout = 4 }
      assert.same({ auto_suspend_timeout_secs = 3,
        auto_destroy_timeout_secs = 4 }, s:request("CreateVm").config.srf)
      assert.equal("always", s:request("CreateVm").restart_policy)
      assert.equal("InvalidArgumentError", failure(s.c.box.create, s.c.box, {
        config = { lifecycle = { auto_suspend_timeout = 3 } },
        auto_suspend_timeout = 4 }).class)
    end
    s.c.box:fork("web", { auto_suspend_timeout = 8, delete_after_cron = "0 3 * * *" })
    assert.equal(8, s:request("ForkVm").config.srf.auto_suspend_timeout_secs)
    assert.equal("0 3 * * *", s:request("SetDeleteAfter").delete_after_cron)
    local n = s:count()
    s.c.box:create { delete_after = 0 } -- that is none
    assert.equal(n + 1, s:count())
  end)

  it("leave no box where they are refused", function()
    local s <close> = scripted.start { CreateVm = WHOLE, DestroyVm = {},
      SetDeleteAfter = function(_, call)
        call:finish("INVALID_ARGUMENT", "no such cron")
      end }
    local e = failure(s.c.box.create, s.c.box, { delete_after_cron = "x" })
    assert.equal("SetDeleteAfter", e.method)
    assert.equal("vm1", s:request("DestroyVm").vm_id)
    local n = s:count()
    for _, bad in ipairs { { delete_after = -1 }, { delete_after = 1.5 },
      { delete_after = 1, delete_after_cron = "x" },
      { auto_hibernate_timeout = 1 << 40 } } do
      for _, make in ipairs { "create", "temporary" } do
        assert.equal("InvalidArgumentError",
          failure(s.c.box[make], s.c.box, bad).class)
      end
      assert.equal("InvalidArgumentError",
        failure(s.c.box.fork, s.c.box, "web", bad).class)
    end
    assert.equal(n, s:count())
  end)
end)
