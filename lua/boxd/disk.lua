-- What Disk does by more than one call.

local core = require "boxd.core"
local box = require "boxd.box"
local check = require "boxd.internal.check"
local method = require "boxd.internal.method"
core.internal()

local methods = {}

-- d:attach(box_or_name_or_id, mount_path, { read_only=false })
function methods:attach(target, mount_path, opts)
  local vm_id = method.id(1, "attach", target, "Box")
  check.string(2, "attach", mount_path)
  opts = check.options(3, "attach", opts, { "read_only", "timeout" })
  local read_only = check.field("attach", opts, "read_only", "boolean")
  local _, id = box.call_on(core.compute(self), "AttachDisk", {
    disk_id = self.id, mount_path = mount_path,
    read_only = read_only,
  }, vm_id, opts)
  -- Of a text the service does not say whether it took it for an id or a name.
  local known = id ~= target
  core.set(self, "attachments", { { vm_id = known and id or nil,
    vm_name = known and (core.type(target) and target.name or target) or nil,
    mount_path = mount_path, mount_mode = read_only and "ro" or "rw" } })
end

-- d:detach(box_or_name_or_id)
function methods:detach(target, opts)
  local vm_id = method.id(1, "detach", target, "Box")
  opts = check.options(2, "detach", opts, { "timeout" })
  box.call_on(core.compute(self), "DetachDisk", { disk_id = self.id },
    vm_id, opts)
  core.set(self, "attachments", {}) -- it is attached to one box at a time
end

core.methods("boxd.Disk", methods)
