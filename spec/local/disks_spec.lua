-- boxd.local.disks: folders that are mounted into boxes.

local boxd = require "boxd"
local support = require "spec.support.service"

local refused = support.refused

describe("disks of the embedded service", function()
  local service, compute, call = support.of_block()
  local box

  setup(function() box = compute.box:create "main" end)

  local function shown(disk)
    for _, d in ipairs(call("ListDisks").disks) do
      if d.disk_id == disk.id then return d end
    end
  end

  it("is in a running box at its path, with its data kept after", function()
    local disk = compute.disk:create("data", "1G")
    assert.equal("creating", disk.status)
    assert.equal("ready", shown(disk).status)
    assert.equal(1 << 30, disk.size_bytes)
    disk:attach(box, "/mnt/data")
    local d = shown(disk)
    assert.equal("ready", d.status)
    assert.same({ { vm_id = box.id, vm_name = "main", mount_path = "/mnt/data",
      mount_mode = "rw" } }, { { vm_id = d.attachments[1].vm_id,
      vm_name = d.attachments[1].vm_name,
      mount_path = d.attachments[1].mount_path,
      mount_mode = d.attachments[1].mount_mode } })
    assert.is_true(d.created_at > 1000000000000)
    box:write_file("kept", "/mnt/data/f")
    disk:detach(box)
    assert.equal("ready", shown(disk).status)
    assert.same({}, shown(disk).attachments)
    assert.is_false(box:exec("test", "-e", "/mnt/data/f").success)
    local other = compute.box:create()
    disk:attach(other, "/elsewhere", { read_only = true })
    assert.equal("ro", shown(disk).attachments[1].mount_mode)
    assert.equal("kept", other:read_file "/elsewhere/f")
    assert.is_false(other:sh("echo x > /elsewhere/g").success)
    assert.is_false(other:sh("mount -o remount,rw /elsewhere").success)
    other:destroy()
    assert.equal("ready", shown(disk).status)
    disk:destroy()
    assert.is_nil(shown(disk))
  end)

  it("is where the state says, also when that can't be kept", function()
    local disk = compute.disk:create("undone", "1M")
    local records = service.state .. "/disks"
    local function without_records(fn, ...)
      assert(os.rename(records, records .. ".away"))
      local ok, e = pcall(fn, ...)
      assert(os.rename(records .. ".away", records))
      assert(not ok, "it was kept")
      assert.matches("the state can't be kept", tostring(e))
    end
    without_records(disk.attach, disk, box, "/mnt/undone")
    assert.equal("ready", shown(disk).status)
    assert.is_false(box:exec("mountpoint", "-q", "/mnt/undone").success)
    disk:attach(box, "/mnt/undone")
    box:write_file("kept", "/mnt/undone/f")
    without_records(disk.detach, disk, box)
    assert.equal(1, #shown(disk).attachments)
    assert.equal("kept", box:read_file "/mnt/undone/f")
    disk:detach(box)
    disk:destroy()
  end)

  it("names a folder that is gone, or a path where it cannot be", function()
    local disk = compute.disk:create("lost", "1M")
    box:sh "touch /home/boxd/file"
    assert.matches("/home/boxd/file", refused("INVALID_ARGUMENT", disk.attach, disk,
      box, "/home/boxd/file/x"))
    local folder = service.state .. "/disks.d/" .. disk.id
    assert(os.rename(folder, folder .. ".away"))
    local message = refused("FAILED_PRECONDITION", disk.attach, disk, box,
      "/mnt/lost")
    assert.truthy(message:find(folder, 1, true), message)
    assert(os.rename(folder .. ".away", folder))
    disk:attach(box, "/mnt/lost")
    disk:detach(box)
    disk:destroy()
  end)

  it("is attached to one box at a time", function()
    local disk = compute.disk:create("one", "1M")
    local others = {}
    for i = 1, 4 do others[i] = compute.box:create() end
    local won = 0
    boxd.map(others, function(other)
      local ok, e = pcall(disk.attach, disk, other, "/mnt/x")
      if ok then won = won + 1 else
        assert.equal("FAILED_PRECONDITION", e.code)
      end
    end)
    assert.equal(1, won)
    for _, other in ipairs(others) do other:destroy() end
    disk:destroy()
  end)

  it("stays over stop, start, reboot and a kill of the service", function()
    local disk = compute.disk:create("stays", "1M")
    disk:attach(box, "/mnt/stays")
    box:write_file("1", "/mnt/stays/f")
    box:reboot()
    assert.equal("1", box:read_file "/mnt/stays/f")
    box:stop()
    disk:detach(box)
    disk:attach(box, "/mnt/other")
    box:start()
    assert.equal("1", box:read_file "/mnt/other/f")
    service:restart "KILL"
    box = compute.box:get "main"
    assert.equal("1", box:read_file "/mnt/other/f")
    compute.disk:list()[1]:detach(box)
    assert.is_false(box:exec("test", "-e", "/mnt/other/f").success)
  end)

  it("is mounted with its box, as the request's volumes say", function()
    local disk = compute.disk:create("volume", "1M")
    local other = compute.box:create { config = { volumes = {
      { disk_id = disk.id, mount_path = "/vol" } } } }
    other:write_file("v", "/vol/f")
    refused("FAILED_PRECONDITION", compute.box.create, compute.box, { config = {
      volumes = { { disk_id = disk.id, mount_path = "/vol" } } } })
    local n = #compute.box:list()
    refused("NOT_FOUND", compute.box.create, compute.box, { config = {
      volumes = { { disk_id = "disk-no", mount_path = "/vol" } } } })
    assert.equal(n, #compute.box:list())
    other:destroy()
    local by_name <close> = compute.box:temporary { config = { volumes = {
      { disk_id = "volume", mount_path = "/vol" } } } }
    assert.equal("v", by_name:read_file "/vol/f")
    by_name:destroy()
    assert.equal("ready", shown(disk).status)
    disk:destroy()
  end)

  it("refuses requests that make no sense, and says so", function()
    local disk = compute.disk:create("r", "1M")
    local function create(request)
      return refused("INVALID_ARGUMENT", call, "CreateDisk", request)
    end
    create { name = "", size_bytes = 1 }
    create { name = "zero", size_bytes = 0 }
    create { name = "huge", size_bytes = 1 << 50 }
    refused("ALREADY_EXISTS", call, "CreateDisk",
      { name = "r", size_bytes = 1 })
    local function attach(changes)
      local request = { disk_id = disk.id, vm_id = box.id, mount_path = "/m" }
      for k, v in pairs(changes) do request[k] = v end
      return call("AttachDisk", request)
    end
    for _, path in ipairs { "", "/", "rel", "/a/../b", "/proc/x" } do
      refused("INVALID_ARGUMENT", attach, { mount_path = path })
    end
    refused("NOT_FOUND", attach, { disk_id = "disk-no" })
    refused("NOT_FOUND", attach, { vm_id = "nobody" })
    attach {}
    assert.matches("detach it first", refused("FAILED_PRECONDITION", attach,
      {}))
    assert.matches("detach it first", refused("FAILED_PRECONDITION", call,
      "DestroyDisk", { disk_id = disk.id }))
    local second = compute.disk:create("s", "1M")
    refused("FAILED_PRECONDITION", attach, { disk_id = second.id })
    local other = compute.box:create()
    refused("FAILED_PRECONDITION", call, "DetachDisk",
      { disk_id = disk.id, vm_id = other.id })
    call("DetachDisk", { disk_id = disk.id, vm_id = box.id })
    refused("FAILED_PRECONDITION", call, "DetachDisk",
      { disk_id = disk.id, vm_id = box.id })
    refused("NOT_FOUND", call, "DestroyDisk", { disk_id = "disk-no" })
    disk:destroy()
    second:destroy()
    other:destroy()
  end)

  local function new_disk(name)
    return call("CreateDisk", { name = name, size_bytes = 1 }).disk_id
  end

  it("have one path each, however it is written", function()
    local one, two = new_disk "one", new_disk "two"
    box:stop()
    call("AttachDisk", { vm_id = box.id, disk_id = one, mount_path = "/mnt//d/" })
    assert.equal("/mnt/d", compute.disk:get(one).attachments[1].mount_path)
    refused("FAILED_PRECONDITION", call, "AttachDisk",
      { vm_id = box.id, disk_id = two, mount_path = "/mnt/d" })
    refused("INVALID_ARGUMENT", call, "AttachDisk",
      { vm_id = box.id, disk_id = two, mount_path = "//" })
    box:start()
    call("DetachDisk", { vm_id = box.id, disk_id = one })
    refused("INVALID_ARGUMENT", call, "CreateVm", { config = { volumes = {
      { disk_id = one, mount_path = "/a" }, { disk_id = two, mount_path = "/a/" },
    } } })
    for _, id in ipairs { one, two } do call("DestroyDisk", { disk_id = id }) end
  end)

  it("are at most as many in a box as it can start with", function()
    local ids = {}
    box:stop()
    for i = 1, 65 do ids[i] = new_disk("d" .. i) end
    for i = 1, 64 do
      call("AttachDisk", { vm_id = box.id, disk_id = ids[i],
        mount_path = "/mnt/" .. i })
    end
    refused("RESOURCE_EXHAUSTED", call, "AttachDisk",
      { vm_id = box.id, disk_id = ids[65], mount_path = "/mnt/65" })
    box:start()
    box:destroy()
    for _, id in ipairs(ids) do call("DestroyDisk", { disk_id = id }) end
  end)
end)
