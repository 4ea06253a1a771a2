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
  box.call_on(core.compute(self), "AttachDisk", {
    disk_id = self.id, mount_path = mount_path,
    read_only = check.field("attach", opts, "read_only", "boolean"),
  }, vm_id, opts)
end

-- d:detach(box_or_name_or_id)
function methods:detach(target, opts)
  local vm_id = method.id(1, "detach", target, "Box")
  opts = check.options(2, "detach", opts, { "timeout" })
  box.call_on(core.compute(self), "DetachDisk", { disk_id = self.id },
    vm_id, opts)
end

core.methods("boxd.Disk", methods)
