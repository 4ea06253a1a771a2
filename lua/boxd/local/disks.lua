-- Disks: folders of this machine that are mounted into one box at a time. A
-- disk's own record says where it is; one that names a box which is not there
-- any more is free.

local box_request = require "boxd.local.box_request"
local ids = require "boxd.local.ids"
local locks = require "boxd.local.locks"
local serve = require "boxd.serve"
local status = require "boxd.local.status"
local store = require "boxd.local.store"

local fail, NONE = status.fail, store.NONE

local SIZE_MAX = 1 << 44
local COUNT_MAX = 256
local EINVAL, EBUSY, ENOENT, ENOTDIR = 22, 16, 2, 20

local disks = {}
disks.__index = disks

function disks.new(service)
  local self = setmetatable({ service = service, locks = locks.new(),
    dir = service.store.dir .. "/disks.d",
    records = service.store:all "disks" }, disks)
  serve.sys.mkdir(self.dir, 448)
  return self
end

function disks:folder(disk) return self.dir .. "/" .. disk.id end

local FREE = { vm_id = NONE, mount_path = NONE, read_only = NONE }

local function change(self, disk, changes)
  self.service.store:update("disks", disk, changes)
end

-- Folders without a record go; disks of deleted boxes are free.
function disks:restore()
  for _, id in ipairs(assert(serve.sys.list(self.dir))) do
    if not self.records[id] then
      self.service.spawner:remove(self.dir .. "/" .. id)
    end
  end
  for _, disk in pairs(self.records) do
    if disk.vm_id and not self.service.boxes.records[disk.vm_id] then
      self.service.store:note("disks", disk, FREE)
    end
  end
end

-- A box that is destroyed, or was not made.
function disks:gone(record)
  for _, disk in pairs(self.records) do
    if disk.vm_id == record.id then self.service.store:note("disks", disk, FREE) end
  end
end

-- Takes a disk for one change.
local function take(self, id)
  local lock = id and self.records[id] and self.locks:take(id)
  local disk = lock and self.records[id]
  if disk then return disk, lock end
  if lock then lock:free() end
  fail("NOT_FOUND", "no disk '%s'", id or "")
end

-- The record of the box that has it.
local function holder(self, disk)
  return disk.vm_id and self.service.boxes.records[disk.vm_id]
end

local function check_free(self, disk)
  if holder(self, disk) then
    fail("FAILED_PRECONDITION", "disk '%s' is attached to a box already: "
      .. "detach it first", disk.name)
  end
end

-- The volumes that a new box is asked for, mounted as it starts.
function disks:attach_all(record, volumes)
  for _, volume in ipairs(volumes) do
    local disk, _lock <close> = take(self, volume.disk_id)
    check_free(self, disk)
    change(self, disk, { vm_id = record.id, mount_path = volume.mount_path,
      read_only = volume.read_only or false })
  end
end

-- The disks of a box, mounted as it starts.
function disks:add_mounts(record, mounts)
  for _, disk in ipairs(self.service.store:list "disks") do
    if disk.vm_id == record.id then
      mounts[#mounts + 1] = { source = self:folder(disk),
        target = disk.mount_path, read_only = disk.read_only }
    end
  end
end

-- RPCs.

local function create(service, request)
  local self = service.disks
  if not request.name then fail("INVALID_ARGUMENT", "name is missing") end
  local size = request.size_bytes
  if size <= 0 or size > SIZE_MAX then
    fail("INVALID_ARGUMENT", "a disk has 1 to %d bytes", SIZE_MAX)
  end
  local count = 0
  for _, other in pairs(self.records) do
    count = count + 1
    if other.name == request.name then
      fail("ALREADY_EXISTS", "there is a disk named '%s' already", request.name)
    end
  end
  if count >= COUNT_MAX then
    fail("RESOURCE_EXHAUSTED", "%d disks are the limit here: destroy one",
      COUNT_MAX)
  end
  local disk = { id = ids.new("disk-"), name = request.name,
    size_bytes = size, created_at = os.time() }
  local ok, message, errno = serve.sys.mkdir(self:folder(disk), 448)
  if not ok then
    status.unable(errno, "the disk can't be made: %s", message)
  end
  service.store:put("disks", disk.id, disk)
  return { disk_id = disk.id, name = disk.name, size_bytes = size,
    status = "creating" } -- as on boxd.sh: a list says when it is ready
end

local function info(service, disk)
  local box = holder(service.disks, disk)
  return { disk_id = disk.id, name = disk.name, size_bytes = disk.size_bytes,
    status = "ready", created_at = disk.created_at * 1000,
    attachments = box and { { vm_id = box.id, vm_name = box.name,
      mount_path = disk.mount_path,
      mount_mode = disk.read_only and "ro" or "rw" } } or {} }
end

local function find_box(service, request)
  if not request.vm_id then fail("INVALID_ARGUMENT", "vm_id is missing") end
  return service.boxes:find(request.vm_id)
end

local function check_path_is_free(self, box, path)
  local count = 0
  for _, other in pairs(self.records) do
    if other.vm_id == box.id then count = count + 1 end
    if other.vm_id == box.id and other.mount_path == path then
      fail("FAILED_PRECONDITION", "disk '%s' is at %s already: choose another "
        .. "path", other.name, path)
    end
  end
  if count >= box_request.DISKS_MAX then
    fail("RESOURCE_EXHAUSTED", "%d disks a box are the limit here: detach one",
      count)
  end
end

local function mount(service, box, handle, disk, path, read_only)
  local folder = service.disks:folder(disk)
  local ok, message, errno =
    service.spawner:attach(handle, folder, path, read_only)
  if ok then return end
  if errno == ENOENT and message:find(folder, 1, true) then
    fail("FAILED_PRECONDITION", "disk '%s' has lost its folder %s: put it back, "
      .. "or destroy the disk", disk.name, folder)
  end
  -- Else it is the path in the box that can't be.
  local code = (errno == EINVAL or errno == ENOENT or errno == ENOTDIR)
    and "INVALID_ARGUMENT"
    or errno == EBUSY and "FAILED_PRECONDITION"
  service.boxes.ends:fail(box, errno,
    ("the disk can't be mounted at %s"):format(path), message,
    { [errno] = code })
end

-- Stores a change of the box, or undoes it when that fails.
local function keep_or(self, disk, changes, undo)
  local ok, e = pcall(change, self, disk, changes)
  if ok then return end
  undo()
  error(e, 0)
end

local function attach(service, request)
  local self = service.disks
  local box = find_box(service, request)
  local path = box_request.check_mount_path(request.mount_path)
  local _lock <close> = service.boxes:lock(box)
  local disk, _disk <close> = take(self, request.disk_id)
  check_free(self, disk)
  check_path_is_free(self, box, path)
  local handle = service.boxes.live[box.id]
  if handle then mount(service, box, handle, disk, path, request.read_only) end
  keep_or(self, disk, { vm_id = box.id, mount_path = path,
    read_only = request.read_only }, function()
    if handle then service.spawner:detach(handle, path) end
  end)
  return {}
end

local function detach(service, request)
  local self = service.disks
  local box = find_box(service, request)
  local _lock <close> = service.boxes:lock(box)
  local disk, _disk <close> = take(self, request.disk_id)
  if disk.vm_id ~= box.id then
    fail("FAILED_PRECONDITION", "disk '%s' is not attached to box '%s'",
      disk.name, box.name)
  end
  local handle = service.boxes.live[box.id]
  if handle then
    local ok, message, errno =
      service.spawner:detach(handle, disk.mount_path)
    if not ok then
      service.boxes.ends:fail(box, errno, "the disk can't be taken away",
        message)
    end
  end
  keep_or(self, disk, FREE, function()
    if not handle then return end
    service.spawner:attach(handle, self:folder(disk), disk.mount_path,
      disk.read_only)
  end)
  return {}
end

local function destroy(service, request)
  local self = service.disks
  local disk, _lock <close> = take(self, request.disk_id)
  if holder(self, disk) then
    fail("FAILED_PRECONDITION", "disk '%s' is attached: detach it first",
      disk.name)
  end
  service.store:remove("disks", disk.id)
  service.spawner:remove(self:folder(disk))
  return {}
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
