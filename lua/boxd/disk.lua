-- c.disk and Disk: storage that outlives a box.

local core = require "boxd.core"
local box = require "boxd.box"
local check = require "boxd.check"
local method = require "boxd.method"
local resource = require "boxd.resource"
core.internal()

local call, compute_of = resource.call, resource.compute

local methods = {}
local Disk = { __name = "boxd.Disk", __index = methods }

function Disk:__tostring()
  return ("Disk(id=%q, name=%q, size_bytes=%d, status=%q)"):format(
    self.id, self.name or "", self.size_bytes or 0, self.status or "")
end

local function new(compute, message)
  method.seconds(message, { created_at = "created_at" })
  local disk = resource.fields(message, { disk_id = "id" }, {})
  disk.attachments = disk.attachments or {}
  return setmetatable(resource.own(disk, compute), Disk)
end

-- d:attach(box_or_name_or_id, mount_path, { read_only=false })
function methods:attach(target, mount_path, opts)
  local vm_id = method.id(1, "attach", target, box.Box)
  check.string(2, "attach", mount_path)
  opts = check.options(3, "attach", opts, { "read_only", "timeout" })
  box.call_on(compute_of(self), "AttachDisk", {
    disk_id = self.id, mount_path = mount_path,
    read_only = check.field("attach", opts, "read_only", "boolean"),
  }, vm_id, opts)
end

-- d:detach(box_or_name_or_id)
function methods:detach(target, opts)
  local vm_id = method.id(1, "detach", target, box.Box)
  opts = check.options(2, "detach", opts, { "timeout" })
  box.call_on(compute_of(self), "DetachDisk", { disk_id = self.id },
    vm_id, opts)
end

function methods:destroy(opts)
  opts = check.options(1, "destroy", opts, { "timeout" })
  call(compute_of(self), "DestroyDisk", { disk_id = self.id }, opts)
end

local service = {}

-- c.disk:create(name, size): size is "20G" or an integer of bytes.
function service:create(name, size, opts)
  check.string(1, "create", name)
  if size == nil then check.fail(2, "create", "size", size) end
  opts = check.options(3, "create", opts, { "timeout" })
  local compute = compute_of(self)
  return new(compute, call(compute, "CreateDisk",
    { name = name, size_bytes = check.size("size", size) }, opts))
end

service.list = resource.lister("ListDisks", "disks", new)

-- c.disk:get(id_or_name)
function service:get(id, opts)
  check.string(1, "get", id)
  opts = check.options(2, "get", opts, { "timeout" })
  local named
  for _, disk in ipairs(service.list(self, opts)) do
    if disk.id == id then return disk end
    if disk.name == id then named = named or disk end
  end
  return named or core.raise("NotFoundError",
    ("no disk has the id or the name %s"):format(check.show(id)), "ListDisks")
end

return { service = resource.service("Disks", service), Disk = Disk }
