-- boxd.local.crashes: boxes that die by themselves.

local support = require "spec.support.service"

local refused = support.refused

describe("a box of the embedded service that dies by itself", function()
  local service, compute

  setup(function()
    service = support.new()
    compute = service.compute
  end)
  teardown(function() support.__close(service) end)
  after_each(function()
    for _, box in ipairs(compute.box:list()) do box:destroy() end
  end)

  local function status(box) return compute.box:get(box.id).status end

  -- The first processes of all boxes are the spawner's children.
  local function kill_all()
    assert(os.execute("pkill -9 -P $(pgrep -P " .. service.pid
      .. " boxd-spawner) init"))
  end

  it("starts again, unless it is never to", function()
    local always = compute.box:create { name = "always" }
    local never = compute.box:create { name = "never",
      config = { restart_policy = "never" } }
    always:write_file("kept", "/home/boxd/f")
    kill_all()
    support.eventually(function() return status(never) ~= "running" end)
    assert.equal("failed", status(never))
    refused("FAILED_PRECONDITION", never.exec, never, "true")
    never:start()
    assert.is_true(never:exec("true").success)
    support.eventually(function()
      local ok, result = pcall(always.exec, always, "cat", "/home/boxd/f")
      return ok and result.stdout == "kept"
    end)
  end)

  it("starts again as soon as it can, saying why it can't", function()
    local box = compute.box:create()
    local disk = compute:call("CreateDisk", { name = "d", size_bytes = 1 })
    compute:call("AttachDisk", { vm_id = box.id, disk_id = disk.disk_id,
      mount_path = "/mnt/d" })
    local folder = service.state .. "/disks.d/" .. disk.disk_id
    assert(os.execute("rmdir " .. folder))
    kill_all()
    support.eventually(function()
      return service:errors():find("did not start again", 1, true)
    end)
    assert.equal("failed", status(box))
    assert(os.execute("mkdir " .. folder))
    support.eventually(function() return status(box) == "running" end)
  end)

  it("does not fail a suspend that is under way", function()
    local box = compute.box:create()
    box:sh "head -c 150000000 /dev/zero >/home/boxd/much"
    local boxd = require "boxd"
    local fork = boxd.spawn(pcall, compute.box.fork, compute.box, box)
    support.eventually(function() -- its files are being copied
      return #compute.box:list() == 2
    end)
    local suspend = boxd.spawn(pcall, box.suspend, box)
    kill_all()
    local _, e = suspend:join()
    fork:join()
    -- One that is frozen dies as its copy lets it go on: before the suspend has
    -- its turn, under it, or as it is resumed.
    local said = { FAILED_PRECONDITION = "it can.t be suspended",
      UNAVAILABLE = "ended while it was used" }
    if boxd.is_error(e) then
      assert.matches(said[e.code] or "no error of a box that died", e.message)
    end
  end)
end)
