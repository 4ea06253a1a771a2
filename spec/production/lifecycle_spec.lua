-- The lines of "Lifecycle" in the known facts of boxd.sh as it runs, which a
-- client of the embedded service can show.

local boxd = require "boxd"
local support = require "spec.support.service"

local refused = support.refused

describe("the life of a box, as on boxd.sh:", function()
  local service, compute, call = support.of_block()
  after_each(function() service:empty() end)

  local function status(box) return call("GetVm", { vm_id = box.id }).status end

  local function boot_id(box)
    return box:sh("cat /proc/sys/kernel/random/boot_id").stdout
  end

  -- Changes the box by fn while what makes boxes stands still, so that the box
  -- is `what` for as long as that is looked at: `rpc` is refused meanwhile.
  local function held(what, box, rpc, request, fn)
    local spawner = "$(pgrep -P " .. service.pid .. " boxd-spawner)"
    local task
    assert(os.execute("kill -STOP " .. spawner))
    do
      local _ <close> = setmetatable({}, { __close = function()
        os.execute("kill -CONT " .. spawner)
      end })
      task = boxd.spawn(fn)
      support.eventually(function() return status(box) == what end, 30)
      assert.matches("is " .. what,
        refused("FAILED_PRECONDITION", call, rpc, request))
      assert.equal("running", task.status)
    end
    task:join()
    assert.equal("running", status(box))
  end

  it("a box that is started is starting, and refuses commands meanwhile",
    function()
      local box = compute.box:create "s"
      box:stop()
      held("starting", box, "ListDir", { vm_id = box.id, path = "/" },
        function() box:start() end)
    end)

  it("a box that is rebooted is rebooting, and refuses other verbs meanwhile",
    function()
      local box = compute.box:create "r"
      held("rebooting", box, "WakeVm", { vm_id = box.id },
        function() box:reboot() end)
    end)

  it("verbs are not idempotent: what a box is already is a conflict", function()
    local box = compute.box:create "v"
    for _, rpc in ipairs { "StartVm", "ResumeVm", "WakeVm" } do
      assert.matches("is running",
        refused("FAILED_PRECONDITION", call, rpc, { vm_id = box.id }))
    end
    box:stop()
    assert.matches("is stopped",
      refused("FAILED_PRECONDITION", call, "StopVm", { vm_id = box.id }))
    assert.matches("is stopped", refused("FAILED_PRECONDITION", box.exec, box,
      "true"))
  end)

  it("a box that hibernates keeps its memory and its processes", function()
    local box = compute.box:create "h"
    local pid = box:sh("sleep 1000 >/dev/null 2>&1 & echo $!").stdout
    box:sh "echo kept >/dev/shm/f"
    call("HibernateVm", { vm_id = box.id })
    assert.equal("hibernated", status(box))
    call("WakeVm", { vm_id = box.id })
    assert.equal("kept\n", box:sh("cat /dev/shm/f").stdout)
    assert.is_true(box:sh("kill -0 " .. pid).success)
  end)

  it("a box has a boot_id: new after reboot and start, else the same", function()
    local box = compute.box:create "b"
    local first = boot_id(box)
    assert.matches("^%x+%-%x+%-4%x+%-[89ab]%x+%-%x+\n$", first)
    assert.not_equal(first, boot_id(compute.box:create "other"))
    box:suspend()
    assert.equal(first, boot_id(box))
    call("HibernateVm", { vm_id = box.id })
    assert.equal(first, boot_id(box))
    box:reboot()
    local second = boot_id(box)
    assert.not_equal(first, second)
    box:stop()
    box:start()
    assert.not_equal(second, boot_id(box))
  end)

  it("a boot_id can't be changed in its box", function()
    local box = compute.box:create "c"
    local id = boot_id(box)
    box:sh [[f=/proc/sys/kernel/random/boot_id
      echo x >$f; umount $f; mount -o remount,rw $f; echo x >$f]]
    assert.equal(id, boot_id(box))
  end)

  it("a resize is refused of a box that sleeps", function()
    local box = compute.box:create "z"
    for _, rpc in ipairs { "SuspendVm", "HibernateVm" } do
      call(rpc, { vm_id = box.id })
      refused("FAILED_PRECONDITION", call, "ResizeVm",
        { vm_id = box.id, vcpu = 4 })
    end
  end)

  it("a resize of a stopped box is there at its next start", function()
    local box = compute.box:create "later"
    box:stop()
    assert.is_false(call("ResizeVm", { vm_id = box.id, vcpu = 4 }).rebooted)
    box:start()
    local vm = call("GetVm", { vm_id = box.id })
    assert.same({ 4, 16 << 30 }, { vm.vcpu, vm.memory_bytes })
  end)

  it("a second destroy is NOT_FOUND", function()
    local box = compute.box:create "d"
    box:destroy()
    refused("NOT_FOUND", call, "DestroyVm", { vm_id = box.id })
  end)
end)

describe("a box of a size class, as on boxd.sh:", function()
  local service, compute = support.of_block { limits = "production" }

  it("a resize of a running box is a cold reboot, after the answer", function()
    local box <close> = compute.box:temporary { config = { vcpu = 1 } }
    local function boot()
      return box:sh("cat /proc/sys/kernel/random/boot_id",
        { timeout = 10 }).stdout
    end
    box:wait_until_ready()
    local before = boot()
    assert.is_true(box:resize { vcpu = 2 }.rebooted)
    local answers, now = pcall(boot) -- the old instance, if it is there still
    assert.is_true(not answers or now == before, now)
    support.eventually(function()
      answers, now = pcall(boot)
      return answers and now ~= before and now:find "^%x"
    end)
    before = now
    box:sh "(while :; do sync; done) >/dev/null 2>&1 &"
    local reply = box:resize { vcpu = 4, wait = true }
    assert.same({ 4, 16 << 30, true },
      { reply.vcpu, reply.memory_bytes, reply.rebooted })
    assert.not_equal(before, boot())
    before = boot()
    assert.is_false(box:resize { vcpu = 4, wait = true }.rebooted)
    assert.equal(before, boot())
  end)

  it("a resized box may go before it boots anew", function()
    local box = compute.box:create { config = { vcpu = 1 } }
    box:resize { vcpu = 2 }
    box:destroy()
    box = compute.box:create { config = { vcpu = 1 } }
    box:resize { vcpu = 2 }
    box:stop()
    assert.equal("stopped", box:refresh().status)
    assert.equal(2, box:up().vcpu)
    box:destroy()
    local again = compute.box:create { config = { vcpu = 1 } }
    again:resize { vcpu = 2, wait = true } -- the others would have come before
    again:destroy()
    assert.is_nil(service:complaints():find "was not rebooted")
  end)
end)
