-- boxd.local.idle: boxes that suspend or destroy themselves when nobody uses
-- them.

local boxd = require "boxd"
local support = require "spec.support.service"

describe("idle boxes of the embedded service", function()
  local service, compute

  before_each(function()
    service = support.new()
    compute = service.compute
  end)
  after_each(function() support.__close(service) end)

  local function create(suspend, destroy)
    return compute.box:create { config = { lifecycle = {
      auto_suspend_timeout = suspend, auto_destroy_timeout = destroy } } }
  end

  local function status(box)
    local ok, found = pcall(compute.call, compute, "GetVm", { vm_id = box.id })
    return ok and found.status or found.code
  end

  local function becomes(box, wanted, seconds)
    support.eventually(function() return status(box) == wanted end, seconds)
  end

  it("suspend themselves after their timeout, and wake for a command",
    function()
      local other, began = create(), boxd.now()
      local box = create(1)
      becomes(box, "suspended")
      assert.is_true(boxd.now() - began > 0.9)
      assert.is_true(box:exec("true").success)
      assert.equal("running", status(box))
      becomes(box, "suspended")
      assert.equal("running", status(other))
    end)

  it("have all of their time again when a client wakes or starts them",
    function()
      local box = create(1)
      local id = { vm_id = box.id }
      for _, how in ipairs { { "SuspendVm", "ResumeVm" },
        { "HibernateVm", "WakeVm" }, { "StopVm", "StartVm" } } do
        compute:call(how[1], id)
        boxd.sleep(1.1) -- longer than its timeout
        compute:call(how[2], id)
        local woken = boxd.now()
        becomes(box, "suspended")
        assert.is_true(boxd.now() - woken > 0.9, how[2])
        compute:call("ResumeVm", id)
      end
    end)

  it("are not idle while a command is under way", function()
    local box = create(1)
    assert.is_true(box:sh("sleep 1.5; test ! -e /root/none").success)
    assert.equal("running", status(box))
    becomes(box, "suspended")
  end)

  it("take and lose the timeout later", function()
    local box = create()
    compute:call("SetAutoSuspendTimeout", { vm_id = box.id, timeout_secs = 1 })
    assert.equal(1, compute.box:get(box.id).auto_suspend_timeout_secs)
    becomes(box, "suspended")
    compute:call("SetAutoSuspendTimeout", { vm_id = box.id, timeout_secs = 0 })
    box:resume()
    boxd.sleep(1.3)
    assert.equal("running", status(box))
    compute:call("SetAutoHibernateTimeout", { vm_id = box.id,
      timeout_secs = 9 })
    assert.equal(9, compute:call("GetVm",
      { vm_id = box.id }).auto_hibernate_timeout_secs)
    support.refused("NOT_FOUND", compute.call, compute, "SetAutoSuspendTimeout",
      { vm_id = "nobody", timeout_secs = 1 })
  end)

  it("destroy themselves, suspended or not", function()
    local plain, both = create(nil, 1), create(1, 2)
    becomes(both, "suspended")
    becomes(plain, "NOT_FOUND")
    becomes(both, "NOT_FOUND")
    assert.equal(0, #compute.box:list())
  end)

  it("go on counting over a kill of the service", function()
    local box, used = create(1, 3), create(nil, 100)
    becomes(box, "suspended")
    service:stop "KILL"
    boxd.sleep(2)
    service:start()
    compute = service.compute
    becomes(box, "NOT_FOUND", 2)
    assert.equal("running", status(used))
  end)
end)
