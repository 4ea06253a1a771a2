-- Boxes of the embedded service that hibernate, by request and by themselves,
-- and that go at a set time.

local support = require "spec.support.service"

local refused = support.refused

describe("boxes of the embedded service that sleep or go", function()
  local service, compute, call = support.of_block()
  after_each(function() service:empty() end)

  local function get(box) return call("GetVm", { vm_id = box.id }) end

  local function becomes(box, wanted)
    support.eventually(function()
      local ok, reply = pcall(get, box)
      return (ok and reply.status or not ok and reply.code) == wanted
    end)
  end

  it("hibernate: processes gone, files kept", function()
    local before = os.time()
    local box = call("CreateVm", { name = "h",
      cmd = { "sh", "-c", "echo begun; exec sleep 1000" } })
    box = compute.box:get(box.vm_id)
    box:write_file("kept", "/root/f")
    box:sh "sleep 999 >/dev/null 2>&1 &"
    call("HibernateVm", { vm_id = box.id })
    call("HibernateVm", { vm_id = box.id })
    local vm = get(box)
    assert.equal("hibernated", vm.status)
    assert.is_true(vm.hibernated_at_ms >= before * 1000)
    refused("FAILED_PRECONDITION", call, "SuspendVm", { vm_id = box.id })
    refused("FAILED_PRECONDITION", call, "ResumeVm", { vm_id = box.id })
    service:restart "KILL"
    assert.equal("hibernated", get(box).status)
    call("WakeVm", { vm_id = box.id })
    call("WakeVm", { vm_id = box.id })
    vm = get(box)
    assert.equal("running", vm.status)
    assert.equal(0, vm.hibernated_at_ms)
    box = compute.box:get(box.id)
    assert.equal("kept", box:read_file "/root/f")
    assert.is_false(box:exec("pgrep", "-f", "[s]leep 999").success)
    support.eventually(function() -- its main process is started again
      return box:exec("pgrep", "-f", "[s]leep 1000").success
    end)
  end)

  it("wake for a command, a file, a connection and a start", function()
    local box = compute.box:create { name = "w", config = {} }
    local function sleep()
      call("HibernateVm", { vm_id = box.id })
      assert.equal("hibernated", get(box).status)
    end
    sleep()
    assert.equal("hi\n", box:exec("echo", "hi").stdout)
    assert.equal("running", get(box).status)
    sleep()
    assert.is_true(#call("ListDir", { vm_id = box.id, path = "/" }).entries > 0)
    sleep()
    box:start()
    assert.equal("running", get(box).status)
    box:suspend()
    sleep()
    local domain = call("ListProxies", { vm = "w" }).proxies[1].domain
    os.execute(("bash -c 'exec 3<>/dev/tcp/%s' 2>/dev/null"):format(
      (domain:gsub(":", "/"))))
    becomes(box, "running")
    sleep()
    box:stop()
    assert.equal("stopped", get(box).status)
    refused("FAILED_PRECONDITION", call, "HibernateVm", { vm_id = box.id })
    refused("FAILED_PRECONDITION", call, "WakeVm", { vm_id = box.id })
  end)

  it("are forked and destroyed in their sleep", function()
    local box = compute.box:create "s"
    box:write_file("x", "/root/f")
    call("HibernateVm", { vm_id = box.id })
    local fork = compute.box:fork(box, { name = "f" })
    assert.equal("x", fork:read_file "/root/f")
    assert.equal("hibernated", get(box).status)
    box:destroy()
    refused("NOT_FOUND", call, "WakeVm", { vm_id = box.id })
  end)

  it("hibernate when nobody uses them, suspended first or not", function()
    local box, both = compute.box:create "idle", compute.box:create "both"
    call("SetAutoSuspendTimeout", { vm_id = both.id, timeout_secs = 1 })
    for _, b in ipairs { box, both } do
      call("SetAutoHibernateTimeout", { vm_id = b.id, timeout_secs = 2 })
    end
    assert.equal(2, get(box).auto_hibernate_timeout_secs)
    becomes(both, "suspended")
    becomes(box, "hibernated")
    becomes(both, "hibernated")
    call("SetAutoHibernateTimeout", { vm_id = box.id, timeout_secs = 1 })
    box:exec("sleep", "2") -- a command under way is use
    assert.equal("running", get(box).status)
    becomes(box, "hibernated")
  end)

  it("are destroyed at a set time, used or asleep, over a restart", function()
    local box, used = compute.box:create "one", compute.box:create "used"
    local before = os.time()
    local at = call("SetDeleteAfter",
      { vm_id = box.id, delete_after_secs = 3 }).delete_at_ms
    assert.is_true(at >= (before + 3) * 1000 and at <= (os.time() + 3) * 1000)
    assert.equal(at, get(box).delete_at_ms)
    call("HibernateVm", { vm_id = box.id })
    service:restart "KILL"
    becomes(box, "NOT_FOUND")
    assert.is_true(os.time() * 1000 >= at)
    call("SetDeleteAfter", { vm_id = used.id, delete_after_secs = 1 })
    used = compute.box:get(used.id)
    local ok, e = pcall(used.exec, used, "sleep", "100")
    assert(not ok or e.exit_code ~= 0)
    becomes(used, "NOT_FOUND")
  end)

  it("have their time taken away, or set by cron, for a fork too", function()
    local box = compute.box:create "t"
    local function set(request)
      request.vm_id = box.id
      return call("SetDeleteAfter", request).delete_at_ms
    end
    set { delete_after_secs = 1000 }
    assert.equal(0, set {})
    assert.equal(0, get(box).delete_at_ms)
    local at = set { delete_after_cron = "30 18 * * *" }
    assert.equal("18:30", os.date("!%H:%M", at // 1000))
    assert.is_true(at // 1000 - os.time() <= 86400)
    local fork = compute.box:fork(box, { name = "t2" })
    assert.equal(at, get(fork).delete_at_ms)
    assert.equal("30 18 * * *", get(fork).delete_after_cron)
    set { delete_after_secs = 5000 }
    assert.is_nil(get(box).delete_after_cron)
    fork = compute.box:fork(box, { name = "t3" })
    assert.near((os.time() + 5000) * 1000, get(fork).delete_at_ms, 3000)
    refused("INVALID_ARGUMENT", set,
      { delete_after_secs = 1, delete_after_cron = "* * * * *" })
    refused("INVALID_ARGUMENT", set, { delete_after_cron = "often" })
    refused("INVALID_ARGUMENT", set, { delete_after_secs = 1 << 40 })
  end)

  it("were served without a fault", function()
    assert.is_nil(service:errors():find("traceback", 1, true),
      service:errors())
  end)
end)
