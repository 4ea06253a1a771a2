-- Disks: folders of this machine that are mounted into one box at a time.

local account = require "boxd.local.account"
local serve = require "boxd.serve"
local status = require "boxd.local.status"

local fail, random_id = status.fail, account.random_id

local SIZE_MAX = 1 << 44
local COUNT_MAX = 256

local disks = {}

local function find(service, id)
  local disk = id and service.store:all("disks")[id]
  if not disk then fail("NOT_FOUND", "no disk '%s'", id or "") end
  return disk
end

function disks.folder(store, disk) return store.dir .. "/disks.d/" .. disk.id end

local function status_of(disk) return disk.vm_id and "attached" or "available" end

local function create(service, request)
  if not request.name then fail("INVALID_ARGUMENT", "name is missing") end
  local size = request.size_bytes
  if size <= 0 or size > SIZE_MAX then
    fail("INVALID_ARGUMENT", "a disk has 1 to %d bytes", SIZE_MAX)
  end
  local store = service.store
  local list = store:list "disks"
  if #list >= COUNT_MAX then
    fail("RESOURCE_EXHAUSTED", "%d disks are the limit here", COUNT_MAX)
  end
  for _, other in ipairs(list) do
    if other.name == request.name then
      fail("ALREADY_EXISTS", "there is a disk named '%s' already",
        request.name)
    end
  end
  local disk = { id = random_id("disk-", 6), name = request.name,
    size_bytes = size, created_at = os.time() }
  serve.sys.mkdir(store.dir .. "/disks.d", 448)
  local ok, message = serve.sys.mkdir(disks.folder(store, disk), 448)
  if not ok then fail("INTERNAL", "the disk can't be made: %s", message) end
  store:put("disks", disk.id, disk)
  return { disk_id = disk.id, name = disk.name, size_bytes = size,
    status = status_of(disk) }
end

local function info(service, disk)
  local box = disk.vm_id and service.boxes.records[disk.vm_id]
  return { disk_id = disk.id, name = disk.name, size_bytes = disk.size_bytes,
    status = status_of(disk), created_at = disk.created_at * 1000,
    attachments = box and { { vm_id = box.id, vm_name = box.name,
      mount_path = disk.mount_path,
      mount_mode = disk.read_only and "ro" or "rw" } } or {} }
end

local function attach(service, request)
  local disk = find(service, request.disk_id)
  if not request.vm_id then fail("INVALID_ARGUMENT", "vm_id is missing") end
  local box = service.boxes:find(request.vm_id)
  local path = request.mount_path or ""
  if not path:find "^/." or path:find "%.%." then
    fail("INVALID_ARGUMENT", "mount_path is an absolute path, not '%s'", path)
  end
  if disk.vm_id then
    fail("FAILED_PRECONDITION", "disk '%s' is attached to a box already: "
      .. "detach it first", disk.name)
  end
  local handle = service.boxes.live[box.id]
  if handle then
    local ok, message = service.spawner:attach(handle,
      disks.folder(service.store, disk), path, request.read_only)
    if not ok then
      fail("INVALID_ARGUMENT", "the disk can't be mounted at %s: %s", path,
        message)
    end
  end
  disk.vm_id, disk.mount_path, disk.read_only = box.id, path, request.read_only
  service.store:put("disks", disk.id, disk)
  return {}
end

local function clear(service, disk)
  disk.vm_id, disk.mount_path, disk.read_only = nil, nil, nil
  service.store:put("disks", disk.id, disk)
end

local function detach(service, request)
  local disk = find(service, request.disk_id)
  if not request.vm_id then fail("INVALID_ARGUMENT", "vm_id is missing") end
  local box = service.boxes:find(request.vm_id)
  if disk.vm_id ~= box.id then
    fail("FAILED_PRECONDITION", "disk '%s' is not attached to box '%s'",
      disk.name, box.name)
  end
  local handle = service.boxes.live[box.id]
  if handle then
    local ok, message = service.spawner:detach(handle, disk.mount_path)
    if not ok then
      fail("INTERNAL", "the disk can't be taken away: %s", message)
    end
  end
  clear(service, disk)
  return {}
end

local function destroy(service, request)
  local disk = find(service, request.disk_id)
  if disk.vm_id then
    fail("FAILED_PRECONDITION", "disk '%s' is attached: detach it first",
      disk.name)
  end
  service.store:remove("disks", disk.id)
  service.spawner:remove(disks.folder(service.store, disk))
  return {}
end

-- The disks of a box that is destroyed are free again.
function disks.release(service, box)
  for _, disk in pairs(service.store:all "disks") do
    if disk.vm_id == box.id then clear(service, disk) end
  end
end

disks.rpcs = {
  CreateDisk = create, AttachDisk = attach, DetachDisk = detach,
  DestroyDisk = destroy,
  ListDisks = function(service)
    local out = {}
    for i, disk in ipairs(service.store:list "disks") do
      out[i] = info(service, disk)
    end
    return { disks = out }
  end,
}

return disks
