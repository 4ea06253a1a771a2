-- boxd.local.idle: boxes that suspend, hibernate or destroy themselves, when
-- nobody uses them or at a set time. The specs wait for that together.

local at_once = require "spec.support.at_once"
local boxd = require "boxd"
local support = require "spec.support.service"

local function create(compute, suspend, destroy)
  return compute.box:create { config = { lifecycle = {
    auto_suspend_timeout = suspend, auto_destroy_timeout = destroy } } }
end

local function status(compute, box)
  local ok, found = pcall(compute.call, compute, "GetVm", { vm_id = box.id })
  return ok and found.status or found.code
end

local function becomes(compute, box, wanted, seconds)
  support.eventually(function()
    return status(compute, box) == wanted
  end, seconds)
end

describe("idle boxes of the embedded service", function()
  local _, compute, call = support.of_block()
  local killed, of_killed = support.of_block()
  local timed, of_timed, call_timed = support.of_block()

  at_once("suspend themselves after their timeout, and wake for a command",
    function()
      local other, began = create(compute), boxd.now()
      local box = create(compute, 1)
      becomes(compute, box, "suspended")
      assert.is_true(boxd.now() - began > 0.9)
      assert.is_true(box:exec("true").success)
      assert.equal("running", status(compute, box))
      becomes(compute, box, "suspended")
      assert.equal("running", status(compute, other))
    end)

  at_once("have all of their time again when a client wakes or starts them",
    function()
      boxd.map({ { "SuspendVm", "ResumeVm" }, { "HibernateVm", "WakeVm" },
        { "StopVm", "StartVm" } }, function(how)
        local box = create(compute)
        local id = { vm_id = box.id }
        call(how[1], id)
        call("SetAutoSuspendTimeout", { vm_id = box.id, timeout_secs = 1 })
        boxd.sleep(1.1) -- longer than its timeout
        local woken = boxd.now()
        call(how[2], id)
        becomes(compute, box, "suspended")
        assert.is_true(boxd.now() - woken > 0.9, how[2])
      end)
    end)

  at_once("are not idle while a command is under way", function()
    local box = create(compute, 1)
    assert.is_true(box:sh("sleep 1.5; test ! -e /home/boxd/none").success)
    assert.equal("running", status(compute, box))
    becomes(compute, box, "suspended")
  end)

  at_once("take and lose the timeout later", function()
    local box = create(compute)
    call("SetAutoSuspendTimeout", { vm_id = box.id, timeout_secs = 1 })
    assert.equal(1, compute.box:get(box.id).auto_suspend_timeout_secs)
    becomes(compute, box, "suspended")
    call("SetAutoSuspendTimeout", { vm_id = box.id, timeout_secs = 0 })
    box:resume()
    boxd.sleep(1.3)
    assert.equal("running", status(compute, box))
    call("SetAutoHibernateTimeout", { vm_id = box.id, timeout_secs = 9 })
    assert.equal(9, call("GetVm",
      { vm_id = box.id }).auto_hibernate_timeout_secs)
    support.refused("NOT_FOUND", compute.call, compute, "SetAutoSuspendTimeout",
      { vm_id = "nobody", timeout_secs = 1 })
  end)

  at_once("destroy themselves, suspended or not", function()
    local plain, both = create(compute, nil, 1), create(compute, 1, 2)
    becomes(compute, both, "suspended")
    becomes(compute, plain, "NOT_FOUND")
    becomes(compute, both, "NOT_FOUND")
    for _, box in ipairs(compute.box:list()) do
      assert.is_true(box.id ~= plain.id and box.id ~= both.id)
    end
  end)

  at_once("go on counting over a kill of the service", function()
    local box, used = create(of_killed, 1, 3), create(of_killed, nil, 100)
    becomes(of_killed, box, "suspended")
    killed:stop "KILL"
    boxd.sleep(2)
    killed:start()
    becomes(of_killed, box, "NOT_FOUND", 2)
    assert.equal("running", status(of_killed, used))
  end)

  at_once("hibernate when nobody uses them, suspended first or not", function()
    local box, both = compute.box:create "idle", compute.box:create "both"
    call("SetAutoSuspendTimeout", { vm_id = both.id, timeout_secs = 1 })
    for _, b in ipairs { box, both } do
      call("SetAutoHibernateTimeout", { vm_id = b.id, timeout_secs = 2 })
    end
    local vm = call("GetVm", { vm_id = box.id })
    assert.equal(2, vm.auto_hibernate_timeout_secs)
    becomes(compute, both, "suspended")
    becomes(compute, box, "hibernated")
    becomes(compute, both, "hibernated")
    call("SetAutoHibernateTimeout", { vm_id = box.id, timeout_secs = 1 })
    box:exec("sleep", "2") -- a command under way is use
    assert.equal("running", status(compute, box))
    becomes(compute, box, "hibernated")
  end)

  at_once("are destroyed at a set time, used or asleep, over a restart", function()
    local box, used = of_timed.box:create "one", of_timed.box:create "used"
    local before = os.time()
    local at = call_timed("SetDeleteAfter",
      { vm_id = box.id, delete_after_secs = 3 }).delete_at_ms
    assert.is_true(at >= (before + 3) * 1000 and at <= (os.time() + 3) * 1000)
    assert.equal(at, call_timed("GetVm", { vm_id = box.id }).delete_at_ms)
    call_timed("HibernateVm", { vm_id = box.id })
    timed:restart "KILL"
    becomes(of_timed, box, "NOT_FOUND")
    assert.is_true(os.time() * 1000 >= at)
    call_timed("SetDeleteAfter", { vm_id = used.id, delete_after_secs = 1 })
    used = of_timed.box:get(used.id)
    local ok, e = pcall(used.exec, used, "sleep", "100")
    assert(not ok or e.exit_code ~= 0)
    becomes(of_timed, used, "NOT_FOUND")
  end)
end)
