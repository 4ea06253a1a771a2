-- boxd.local.boxes: the life of boxes, through a client.

local boxd = require "boxd"
local support = require "spec.support.service"

local with_root = support.with_root(it, pending)

local refused = support.refused

describe("boxes of the embedded service", function()
  local service, compute, call = support.of_block { "--max-boxes", "6" }
  after_each(function() service:empty() end)

  it("answers create when the box runs, with its record", function()
    local reply = call("CreateVm", { name = "one" })
    assert.matches("^vm%-%x+$", reply.vm_id)
    assert.equal("one", reply.name)
    assert.equal("ubuntu:24.04", reply.image)
    assert.equal("running", reply.status)
    assert.equal("127.0.0.1", reply.public_ip)
    assert.matches("^http://127%.0%.0%.1:%d+$", reply.url)
    assert.is_true(reply.boot_time_ms > 0)
    local box = compute.box:get(reply.vm_id)
    assert.equal("running", box.status)
    assert.equal("one\n", box:exec("hostname").stdout)
  end)

  it("keeps the requested settings", function()
    local before = os.time()
    local box = compute.box:create { name = "sized", image = "alpine:3",
      config = { vcpu = 3, memory = "1G", disk = "5G", env = { A = "1" },
        restart_policy = "never",
        lifecycle = { auto_suspend_timeout = 100, auto_destroy_timeout = 200 } } }
    local vm = call("GetVm", { vm_id = box.id })
    assert.equal("alpine:3", vm.image_ref)
    assert.equal(3, vm.vcpu)
    assert.equal(1 << 30, vm.memory_bytes)
    assert.equal(5 << 30, vm.disk_bytes)
    assert.equal("never", vm.restart_policy)
    assert.equal(100, vm.auto_suspend_timeout_secs)
    assert.equal(200, vm.auto_destroy_timeout_secs)
    assert.is_true(vm.created_at >= before and vm.created_at <= os.time())
  end)

  it("chooses a name where there is none", function()
    local a, b = compute.box:create(), compute.box:create()
    assert.matches("^[a-z0-9-]+$", a.name)
    assert.not_equal(a.name, b.name)
  end)

  it("finds a box by id and by name", function()
    local box = compute.box:create "named"
    assert.equal(box.id, call("GetVm", { vm_id = "named" }).vm_id)
    assert.equal(box.id, call("GetVm", { vm_id = box.id }).vm_id)
    refused("NOT_FOUND", call, "GetVm", { vm_id = "nobody" })
    refused("INVALID_ARGUMENT", call, "GetVm", {})
  end)

  it("lists boxes in the order they were made", function()
    for _, name in ipairs { "z", "a", "m" } do compute.box:create(name) end
    local names = {}
    for i, box in ipairs(compute.box:list()) do names[i] = box.name end
    assert.same({ "z", "a", "m" }, names)
  end)

  it("refuses a name that is taken until its box is destroyed", function()
    local box = compute.box:create "taken"
    assert.matches("box named 'taken' already",
      refused("ALREADY_EXISTS", call, "CreateVm", { name = "taken" }))
    box:destroy()
    compute.box:create "taken"
  end)

  it("lets one of many have a name", function()
    local made = 0
    local list = {}
    for i = 1, 5 do list[i] = i end
    boxd.map(list, function()
      local ok, e = pcall(call, "CreateVm", { name = "race" })
      if ok then made = made + 1 else assert.equal("ALREADY_EXISTS", e.code) end
    end)
    assert.equal(1, made)
    assert.equal(1, #compute.box:list())
  end)

  it("refuses more boxes than --max-boxes, forks too", function()
    local box
    for _ = 1, 6 do box = compute.box:create() end
    assert.matches("%-%-max%-boxes", refused("RESOURCE_EXHAUSTED", call,
      "CreateVm", {}))
    refused("RESOURCE_EXHAUSTED", call, "ForkVm", { source_vm_id = box.id })
    assert.equal(6, #compute.box:list())
    box:destroy()
    compute.box:create()
  end)

  it("frees a destroyed box's id for nothing but NOT_FOUND", function()
    local box = compute.box:create "gone"
    call("DestroyVm", { vm_id = box.id })
    for _, rpc in ipairs { "GetVm", "DestroyVm", "StartVm", "StopVm",
      "RebootVm", "SuspendVm", "ResumeVm" } do
      assert.matches("gone", refused("NOT_FOUND", call, rpc,
        { vm_id = "gone" }))
      refused("NOT_FOUND", call, rpc, { vm_id = box.id })
    end
    refused("NOT_FOUND", box.exec, box, "true")
    assert.equal(0, #compute.box:list())
  end)

  it("stops, starts and reboots, files kept, processes not", function()
    local box = compute.box:create "cycle"
    box:write_file("kept", "/home/boxd/file")
    box:sh "sleep 1000 >/dev/null 2>&1 &"
    box:stop()
    assert.equal("stopped", compute.box:get(box.id).status)
    assert.matches("start it first",
      refused("FAILED_PRECONDITION", box.exec, box, "true"))
    refused("FAILED_PRECONDITION", call, "SuspendVm", { vm_id = box.id })
    refused("FAILED_PRECONDITION", call, "ResumeVm", { vm_id = box.id })
    refused("FAILED_PRECONDITION", call, "RebootVm", { vm_id = box.id })
    assert.matches("'cycle' is stopped",
      refused("FAILED_PRECONDITION", box.stop, box))
    box:start()
    assert.matches("'cycle' is running",
      refused("FAILED_PRECONDITION", box.start, box))
    assert.equal("kept", box:read_file "/home/boxd/file")
    assert.equal(1, box:exec("pgrep", "sleep").exit_code)
    box:sh "sleep 1000 >/dev/null 2>&1 &"
    box:reboot()
    assert.equal("kept", box:read_file "/home/boxd/file")
    assert.equal(1, box:exec("pgrep", "sleep").exit_code)
  end)

  it("freezes a box's processes and goes on with them in the middle", function()
    local box = compute.box:create "frozen"
    box:sh "(while :; do echo x >> /home/boxd/ticks; sleep 0.01; done) >/dev/null 2>&1 &"
    local function ticks() return #box:read_file "/home/boxd/ticks" end
    support.eventually(function()
      return box:exec("test", "-s", "/home/boxd/ticks").success
    end)
    assert.is_true(box:suspend().suspend_us > 0)
    assert.equal("suspended", compute.box:get(box.id).status)
    local pid = call("GetVm", { vm_id = box.id }).status
    assert.equal("suspended", pid)
    assert.matches("is suspended",
      refused("FAILED_PRECONDITION", box.suspend, box))
    assert.is_true(box:resume().resume_us > 0)
    assert.matches("is running",
      refused("FAILED_PRECONDITION", box.resume, box))
    local n = ticks()
    support.eventually(function() return ticks() > n end)
  end)

  it("resumes a suspended box for a command, a file, a stop, a start", function()
    local box = compute.box:create "woken"
    local function status() return compute.box:get(box.id).status end
    box:suspend()
    assert.equal("hi\n", box:exec("echo", "hi").stdout)
    assert.equal("running", status())
    box:suspend()
    box:write_file("x", "/home/boxd/x")
    assert.equal("running", status())
    box:suspend()
    box:start()
    assert.equal("running", status())
    box:suspend()
    box:reboot()
    assert.equal("running", status())
    box:suspend()
    box:stop()
    assert.equal("stopped", status())
  end)

  with_root("copies files, deletions, links and modes into a fork", function()
    local box = compute.box:create { name = "source", config = {
      env = { COLOR = "red" }, memory = "1G" } }
    box:sh [[echo data > /home/boxd/f; ln -s f /home/boxd/link; ln /home/boxd/f /home/boxd/hard
      chmod 751 /home/boxd/f; rm -f /etc/hostname-never; sudo rm /etc/issue; sudo mkdir -p /srv/d]]
    local fork = compute.box:fork(box, { name = "copy" })
    assert.equal(box.id, fork.forked_from)
    assert.equal("copy", fork.name)
    assert.equal("data\n", fork:read_file "/home/boxd/link")
    assert.equal("751 2\n", fork:sh("stat -c '%a %h' /home/boxd/f").stdout)
    assert.equal("f\n", fork:sh("readlink /home/boxd/link").stdout)
    assert.is_false(fork:exec("test", "-e", "/etc/issue").success)
    assert.is_true(fork:exec("test", "-d", "/srv/d").success)
    assert.equal("copy red\n", fork:sh("echo $(hostname) $COLOR").stdout)
    assert.equal(1 << 30, call("GetVm", { vm_id = fork.id }).memory_bytes)
    fork:write_file("changed", "/home/boxd/f")
    assert.equal("data\n", box:read_file "/home/boxd/f")
    assert.equal("running", compute.box:get(box.id).status)
    box:destroy()
    assert.equal("changed", fork:read_file "/home/boxd/f")
  end)

  it("forks a stopped and a suspended box, which stay so", function()
    local box = compute.box:create "still"
    box:write_file("1", "/home/boxd/f")
    box:suspend()
    assert.equal("1", compute.box:fork(box):read_file "/home/boxd/f")
    assert.equal("suspended", compute.box:get(box.id).status)
    box:stop()
    assert.equal("1", compute.box:fork(box):read_file "/home/boxd/f")
    assert.equal("stopped", compute.box:get(box.id).status)
    refused("NOT_FOUND", call, "ForkVm", { source_vm_id = "nobody" })
    refused("INVALID_ARGUMENT", call, "ForkVm", {})
  end)

  -- Nothing can be kept of a record whose next form is a folder.
  local function unkept(kind, id, fn, ...)
    local folder = ("%s/%s/%s.json.new"):format(service.state, kind, id)
    assert(os.execute("mkdir " .. folder))
    local ok, e = pcall(fn, ...)
    assert(os.execute("rmdir " .. folder))
    assert(ok, e)
  end

  local function sandboxes()
    local pipe <close> = assert(io.popen("pgrep -c -P $(pgrep -P "
      .. service.pid .. " boxd-spawner) init"))
    return pipe:read "n"
  end

  it("has failed where it can't be started again, and starts later", function()
    local box = compute.box:create()
    local disk = call("CreateDisk", { name = "lost", size_bytes = 1 }).disk_id
    call("AttachDisk", { vm_id = box.id, disk_id = disk, mount_path = "/mnt/d" })
    local folder = service.state .. "/disks.d/" .. disk
    assert(os.execute("rmdir " .. folder))
    refused("INTERNAL", box.reboot, box)
    assert.equal("failed", compute.box:get(box.id).status)
    assert(os.execute("mkdir " .. folder))
    box:start()
    assert.is_true(box:exec("true").success)
    box:destroy()
    call("DestroyDisk", { disk_id = disk })
  end)

  it("keeps its state in memory while the disk is full, and writes it later",
    function()
      local box = compute.box:create()
      local function status() return compute.box:get(box.id).status end
      unkept("boxes", box.id, function()
        box:suspend()
        assert.equal("suspended", status())
        assert.equal("up\n", box:sh("echo up").stdout) -- it is resumed
        box:stop()
        assert.equal("stopped", status())
        assert.equal(0, sandboxes())
        box:start()
        assert.equal(1, sandboxes())
        box:stop()
      end)
      local _, said = service:errors():gsub("which is tried again", "")
      assert.equal(1, said)
      local path = ("%s/boxes/%s.json"):format(service.state, box.id)
      support.eventually(function()
        local f <close> = io.open(path)
        return f:read("a"):find '"status":"stopped"'
      end, 10)
    end)

  it("is gone for all once it is destroyed, whatever of it can't be", function()
    local box = compute.box:create()
    local disk = call("CreateDisk", { name = "held", size_bytes = 1 }).disk_id
    call("AttachDisk", { vm_id = box.id, disk_id = disk, mount_path = "/mnt/d" })
    local gate = call("ListProxies", { vm = box.id }).proxies[1].domain
    unkept("disks", disk, function()
      box:destroy()
      assert.same({}, call("ListVms").vms)
      local ok, e = pcall(boxd.http.request, { url = "http://" .. gate,
        timeout = 5 })
      assert.is_false(ok)
      assert.equal("ConnectionError", e.class)
      assert.equal("ready", call("ListDisks").disks[1].status)
    end)
    call("DestroyDisk", { disk_id = disk })
  end)

  it("is suspended and forked with a process that waits in the kernel", function()
    local box = compute.box:create()
    box:write_file([[
import ctypes
libc = ctypes.PyDLL(None)
if libc.vfork() == 0: libc.pause()
]], "/home/boxd/wait.py")
    box:sh "/usr/bin/python3 /home/boxd/wait.py >/dev/null 2>&1 &"
    support.eventually(function()
      return box:sh("grep -l '(python3) D' /proc/[0-9]*/stat").success
    end)
    compute.box:fork(box):destroy()
    box:suspend()
    assert.equal("suspended", compute.box:get(box.id).status)
    assert.equal("up\n", box:sh("echo up").stdout)
  end)

  -- Stops each process that enters its box before that is a command.
  local stopper = [[
import os, signal
while True:
  for p in os.listdir("/proc"):
    try:
      if p.isdigit() and p != "1" and open("/proc/%s/comm" % p).read() == "init\n":
        os.kill(int(p), signal.SIGSTOP)
    except OSError: pass
]]

  with_root("does not block other calls for ever, whatever it does to its processes", function()
    local box = compute.box:create { name = "held" }
    box:write_file(stopper, "/home/boxd/stop.py")
    box:sh "sudo /usr/bin/python3 /home/boxd/stop.py >/dev/null 2>&1 &"
    -- One that is stopped when it is a command already hangs by right.
    local e, ok
    for _ = 1, 1000 do
      ok, e = pcall(boxd.with_timeout, 6, box.exec, box, "true")
      if not ok and not boxd.is_error(e, boxd.TimeoutError) then break end
    end
    assert.is_false(ok)
    assert.truthy(tostring(e):find("the command was stopped", 1, true), e)
    -- Its files are written by a stopped process, too.
    local rename = boxd.spawn(pcall, boxd.with_timeout, 20, call, "RenameVm",
      { vm_id = box.id, new_name = "other" })
    local upload = boxd.spawn(pcall, boxd.with_timeout, 20, box.write_file, box,
      "x", "/home/boxd/f")
    assert.is_true((rename:join()))
    boxd.with_timeout(20, box.destroy, box)
    upload:join()
  end)
end)
