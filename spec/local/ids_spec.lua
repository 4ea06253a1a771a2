-- boxd.local.ids: names and ids do not meet.

local support = require "spec.support.service"

local refused = support.refused

describe("a name in the embedded service", function()
  local service, compute, call = support.of_block()
  after_each(function() service:empty() end)

  it("of a box is not another one's id", function()
    local a, b = compute.box:create "a", compute.box:create "b"
    refused("INVALID_ARGUMENT", compute.box.create, compute.box, a.id)
    refused("INVALID_ARGUMENT", call, "RenameVm",
      { vm_id = b.id, new_name = a.id })
    refused("INVALID_ARGUMENT", call, "ForkVm",
      { source_vm_id = b.id, name = a.id })
    assert.equal("vm-1", compute.box:create("vm-1").name)
  end)

  it("of a snapshot or a checkpoint is not another one's id", function()
    local box = compute.box:create "c"
    local made = support.save(call, { vm = box.id, name = "s" })
    refused("INVALID_ARGUMENT", call, "CreateSnapshot",
      { vm = box.id, name = made.snapshot_id })
    made = call("CreateCheckpoint", { vm = box.id, name = "c" })
    refused("INVALID_ARGUMENT", call, "CreateCheckpoint",
      { vm = box.id, name = made.checkpoint_id })
  end)
end)
