-- box:up, box:down, box:reboot{ wait }: from each status, and while it changes.

local boxd = require "boxd"
local scripted = require "spec.support.scripted"

local failure = scripted.failure

-- A service with one box, whose status is that of each look in turn, the last
-- one for good. verbs: what StartVm and others do, f(call, service).
local function box_of(statuses, verbs)
  local looks = 0
  local function status()
    return statuses[math.min(math.max(looks, 1), #statuses)]
  end
  local function verb(to)
    return function()
      statuses = { to }
      return {}
    end
  end
  local handlers = { CreateVm = { vm_id = "vm1", name = "web",
    status = "pending" },
    GetVm = function()
      looks = looks + 1
      return { vm_id = "vm1", name = "web", status = status() }
    end,
    StartVm = verb "running", ResumeVm = verb "running",
    WakeVm = verb "running", StopVm = verb "stopped",
    Exec = function(_, call)
      if status() == "stopped" then
        return call:finish("FAILED_PRECONDITION", "box is stopped")
      end
      call:send { exit_code = 0 }
      call:finish()
    end }
  local s = scripted.start(handlers)
  for rpc, handler in pairs(verbs or {}) do
    handlers[rpc] = function(_, call) return handler(call, s) end
  end
  function s.now(list) statuses, looks = list, 0 end
  return s, s:box()
end

local function refuse(code, message)
  return function(call) call:finish(code, message) end
end

describe("box:up", function()
  local RUN = { running = 0, stopped = 1, suspended = 1, hibernated = 1 }
  for status, calls in pairs(RUN) do
    it("brings up a box that is " .. status, function()
      local s <close>, box = box_of { status }
      assert.equal(box, box:up { timeout = 5 })
      assert.equal("running", box.status)
      assert.equal(calls, s:count "StartVm" + s:count "ResumeVm"
        + s:count "WakeVm")
    end)
  end

  for _, status in ipairs { "pending", "starting", "rebooting", "migrating",
    "some later status" } do
    it("waits for a box that is " .. status, function()
      local s <close>, box = box_of { status, status, "running" }
      box:up { timeout = 5 }
      assert.equal("running", box.status)
      assert.equal(0, s:count "StartVm")
    end)
  end

  it("waits for a box that goes down, and starts it again", function()
    for on, off in pairs { stopping = "stopped", hibernating = "hibernated" } do
      local s <close>, box = box_of { on, on, off }
      box:up { timeout = 5 }
      assert.equal("running", box.status)
      assert.equal(1, s:count "StartVm" + s:count "WakeVm")
    end
  end)

  for _, status in ipairs { "failed", "destroying", "destroyed" } do
    it("raises at once for a box that is " .. status, function()
      local s <close>, box = box_of { "pending", status }
      local e = failure(box.up, box)
      assert.equal("BoxdError", e.class)
      assert.matches("box web is " .. status, e.message, 1, true)
      assert.equal(2, s:count "GetVm")
    end)
  end

  it("passes a conflict, and goes by what the box is then", function()
    for _, code in ipairs { "FAILED_PRECONDITION", "ABORTED", "UNAVAILABLE" } do
      local s <close>, box = box_of({ "suspended" }, { ResumeVm = function(call, service)
        service.now { "hibernating", "hibernated" }
        call:finish(code, "is hibernating")
      end })
      box:up { timeout = 5 }
      assert.equal("running", box.status)
      assert.equal(1, s:count "WakeVm")
    end
  end)

  it("starts a box that another stops before its shell answers", function()
    local s <close>, box = box_of({ "running" }, { Exec = function(call, service)
      if service:count "Exec" == 1 then
        service.now { "stopped" }
        return call:finish("FAILED_PRECONDITION", "is stopped")
      end
      call:send { exit_code = 0 }
      call:finish()
    end })
    box:up { timeout = 5 }
    assert.equal(1, s:count "StartVm")
  end)

  it("raises a lasting error, and past its time the last reason", function()
    local s <close>, box = box_of({ "stopped" },
      { StartVm = refuse("RESOURCE_EXHAUSTED", "no room") })
    assert.equal("QuotaExceededError", failure(box.up, box).class)
    assert.equal(1, s:count "StartVm")
    local t <close>, other = box_of({ "stopped" },
      { StartVm = refuse("FAILED_PRECONDITION", "disk is busy") })
    local e = failure(other.up, other, { timeout = 1 })
    assert.equal("TimeoutError", e.class)
    assert.matches("box web was not up within 1 s: disk is busy", e.message,
      1, true)
    assert.is_true(t:count "StartVm" > 1)
  end)

  it("ends with a with_timeout around it", function()
    local s <close>, box = box_of { "pending" }
    local began = boxd.now()
    local e = failure(boxd.with_timeout, 0.1, box.up, box)
    assert.equal("TimeoutError", e.class)
    assert.is_true(boxd.now() - began < 20)
    assert.is_true(s:count "GetVm" > 0)
  end)
end)

describe("box:down", function()
  for _, status in ipairs { "running", "suspended", "hibernated" } do
    it("syncs and stops a box that is " .. status, function()
      local s <close>, box = box_of { status }
      assert.equal(box, box:down { timeout = 5 })
      assert.equal("stopped", box.status)
      assert.equal("sync", s:request "Exec".command)
      assert.equal(1, s:count "StopVm")
    end)
  end

  it("leaves a stopped box, and one that stops, as they are", function()
    local s <close>, box = box_of { "stopping", "stopped" }
    box:down { timeout = 5 }
    assert.equal("stopped", box.status)
    assert.equal(0, s:count "StopVm" + s:count "Exec")
  end)

  it("waits for a box that starts, then stops it", function()
    for _, status in ipairs { "pending", "starting", "rebooting",
      "hibernating", "migrating" } do
      local s <close>, box = box_of { status, "running" }
      box:down { timeout = 5 }
      assert.equal("stopped", box.status)
      assert.equal(1, s:count "StopVm")
    end
  end)

  for _, status in ipairs { "failed", "destroying", "destroyed" } do
    it("raises for a box that is " .. status, function()
      local s <close>, box = box_of { status }
      assert.matches("box web is " .. status, failure(box.down, box).message,
        1, true)
      assert.equal(0, s:count "StopVm")
    end)
  end

  it("stops a box whose sync fails, and warns", function()
    local s <close>, box = box_of({ "running" },
      { Exec = refuse("INTERNAL", "no agent") })
    box:down { timeout = 5 }
    assert.equal("stopped", box.status)
    assert.equal(1, s:count "Exec")
  end)

  it("goes on where the answer to the stop is lost", function()
    local s <close>, box = box_of({ "running" }, { StopVm = function(call, service)
      service.now { "stopping", "stopped" }
      call:finish("UNAVAILABLE", "lost")
    end })
    box:down { timeout = 5 }
    assert.equal("stopped", box.status)
    assert.equal(1, s:count "StopVm")
  end)
end)

describe("box:reboot{ wait = true }", function()
  local function rebooting(verb)
    local boot = "one"
    local s, box = box_of({ "running" }, {
      Exec = function(call)
        call:send { data = boot }
        call:send { exit_code = 0 }
        call:finish()
      end,
      RebootVm = function(call)
        boxd.spawn(function()
          boxd.sleep(0.05)
          boot = "two"
        end)
        return verb(call)
      end })
    return s, box
  end

  it("returns only when the box has booted anew", function()
    local s <close>, box = rebooting(function() return {} end)
    box:reboot { wait = true, timeout = 5 }
    assert.is_true(s:count "Exec" > 2)
  end)

  it("goes on where the answer is lost after the service acted", function()
    local s <close>, box = rebooting(refuse("UNAVAILABLE", "lost"))
    box:reboot { wait = true, timeout = 5 }
    assert.equal(1, s:count "RebootVm")
  end)

  it("raises what refuses it", function()
    local s <close>, box = rebooting(refuse("FAILED_PRECONDITION", "is stopped"))
    assert.equal("ConflictError",
      failure(box.reboot, box, { wait = true }).class)
    assert.equal(1, s:count "RebootVm")
  end)
end)

describe("box:destroy", function()
  it("raises for a box that is gone, unless missing_ok", function()
    local s <close>, box = box_of({ "running" },
      { DestroyVm = refuse("NOT_FOUND", "no box") })
    assert.equal("NotFoundError", failure(box.destroy, box).class)
    assert.equal("pending", box.status)
    box:destroy { missing_ok = true }
    assert.equal("destroyed", box.status)
    assert.equal(2, s:count "DestroyVm")
  end)
end)
