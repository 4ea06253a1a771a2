-- The embedded service whose disk is full: a file system of its own, in a mount
-- namespace, which takes root.

local support = require "spec.support.service"

local refused = support.refused

local root = require "boxd.serve".sys.getuid() == 0

describe("the embedded service on a full disk", function()
  if not root then
    pending "takes root to mount a small disk"
    return
  end

  local service, compute, call = support.of_block {
    under = { "unshare", "-m" },
    before = "[ -d $STATE ] || { mkdir -m 700 $STATE && "
      .. "mount -t tmpfs -o size=40m,mode=700 none $STATE; }" }
  local box, filling

  local function inside(path)
    return ("/proc/%d/root%s/%s"):format(service.pid, service.state, path)
  end

  local function fill()
    filling = inside "filling"
    local done, how, code = os.execute("dd if=/dev/zero bs=4k of=" .. filling
      .. " 2>/dev/null")
    assert.same({ false, "exit", 1 }, { done or false, how, code })
  end

  before_each(function()
    box = compute.box:create "full"
    box:write_file("here", "/home/boxd/x")
    fill()
  end)
  after_each(function()
    os.remove(filling)
    service:empty()
  end)

  it("lets its users in, with keys they have used before or not", function()
    local other <close> = service:connect()
    assert.equal("local", other:whoami().user_id)
  end)

  it("reads, runs commands and lists", function()
    assert.equal("here", box:read_file "/home/boxd/x")
    assert.equal("hi\n", box:sh("echo hi").stdout)
    assert.equal(1, #compute.box:list())
  end)

  it("refuses what needs room with RESOURCE_EXHAUSTED", function()
    refused("RESOURCE_EXHAUSTED", compute.box.create, compute.box, "more")
    refused("RESOURCE_EXHAUSTED", call, "ForkVm",
      { source_vm_id = box.id, name = "fork" })
    local failed = support.save(call, { vm = box.id, name = "s" })
    assert.same({ "failed", 1 }, { failed.status, failed.failed_version })
    assert.matches("[Nn]o space", failed.failure_reason)
    refused("FAILED_PRECONDITION", call, "CreateVmFromSnapshot",
      { snapshot = "s" })
    refused("RESOURCE_EXHAUSTED", call, "CreateCheckpoint",
      { vm = box.id, name = "c" })
    refused("RESOURCE_EXHAUSTED", box.write_file, box, ("x"):rep(1 << 20),
      "/home/boxd/y")
    refused("RESOURCE_EXHAUSTED", compute.token.create, compute.token)
    refused("RESOURCE_EXHAUSTED", compute.disk.create, compute.disk, "d", "1G")
    assert.equal(1, #compute.box:list())
    assert.is_nil(service:errors():find "traceback")
  end)

  it("suspends, hibernates, stops, starts and destroys boxes", function()
    local function status() return compute.box:get("full").status end
    box:suspend()
    assert.equal("suspended", status())
    box:resume()
    assert.equal("running", status())
    call("HibernateVm", { vm_id = box.id })
    assert.equal("hibernated", status())
    call("WakeVm", { vm_id = box.id })
    box:reboot()
    assert.equal("running", status())
    box:stop()
    assert.equal("stopped", status())
    os.remove(filling)
    support.eventually(function()
      local f <close> = io.open(inside("boxes/" .. box.id .. ".json"))
      return f:read("a"):find '"status":"stopped"'
    end, 10)
    fill()
    box:destroy()
    assert.same({}, compute.box:list())
  end)
end)
