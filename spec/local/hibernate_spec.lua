-- Boxes of the embedded service that hibernate by request, and the times at
-- which boxes are to go; idle_spec.lua has their own idle times.

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

  it("start from their files where the service has ended meanwhile", function()
    local before = os.time()
    local box = call("CreateVm", { name = "h",
      cmd = { "sh", "-c", "echo begun; exec sleep 1000" } })
    box = compute.box:get(box.vm_id)
    box:write_file("kept", "/home/boxd/f")
    box:sh "sleep 999 >/dev/null 2>&1 &"
    call("HibernateVm", { vm_id = box.id })
    assert.matches("is hibernated",
      refused("FAILED_PRECONDITION", call, "HibernateVm", { vm_id = box.id }))
    local vm = get(box)
    assert.equal("hibernated", vm.status)
    assert.is_true(vm.hibernated_at_ms >= before * 1000)
    refused("FAILED_PRECONDITION", call, "SuspendVm", { vm_id = box.id })
    refused("FAILED_PRECONDITION", call, "ResumeVm", { vm_id = box.id })
    service:restart "KILL"
    assert.equal("hibernated", get(box).status)
    call("WakeVm", { vm_id = box.id })
    assert.matches("is running",
      refused("FAILED_PRECONDITION", call, "WakeVm", { vm_id = box.id }))
    vm = get(box)
    assert.equal("running", vm.status)
    assert.equal(0, vm.hibernated_at_ms)
    box = compute.box:get(box.id)
    assert.equal("kept", box:read_file "/home/boxd/f")
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
    box:write_file("x", "/home/boxd/f")
    call("HibernateVm", { vm_id = box.id })
    local fork = compute.box:fork(box, { name = "f" })
    assert.equal("x", fork:read_file "/home/boxd/f")
    assert.equal("hibernated", get(box).status)
    box:destroy()
    refused("NOT_FOUND", call, "WakeVm", { vm_id = box.id })
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
