-- c.snapshot and c.checkpoint: the state of a box, kept. Snapshots are the
-- account's, and boxes are made from them; checkpoints are a box's own, go with
-- it, and are restored in place.

local core = require "boxd.core"
local box = require "boxd.box"
local kinds = require "boxd.kinds"
local method = require "boxd.method"
local resource = require "boxd.resource"
core.internal()

local Snapshot = { __name = "boxd.Snapshot" }

function Snapshot:__tostring()
  return ("Snapshot(id=%q, name=%q, version=%d, status=%q)"):format(self.id,
    self.name or "", self.version or 0, self.status or "")
end

local TIMES = { created_at = "created_at", updated_at = "updated_at" }

local function new_snapshot(_, message)
  method.seconds(message, TIMES)
  return setmetatable(resource.rename(message, { snapshot_id = "id" }),
    Snapshot)
end

local function new_checkpoint(_, message)
  method.seconds(message, TIMES)
  return resource.rename(message, { checkpoint_id = "id" })
end

local org = { org = { "org", kinds.text } }

-- Snapshots take an id or a name where the contract says name. A name that is
-- there already gets another version.
local snapshots = method.add({}, {
  create = { "CreateSnapshot", { "vm", box.Box }, { "name", kinds.text },
    reply = new_snapshot },
  list = { "ListSnapshots", options = org,
    reply = method.records("snapshots", new_snapshot) },
  get = { "GetSnapshot", { "name", Snapshot }, options = org,
    reply = function(compute, reply)
      return new_snapshot(compute, reply.snapshot or core.raise(
        "NotFoundError", "there is no such snapshot", "GetSnapshot"))
    end },
  delete = { "DeleteSnapshot", { "name", Snapshot }, options = org },
})

local checkpoints = method.add({}, {
  create = { "CreateCheckpoint", { "vm", box.Box }, { "name", kinds.text },
    reply = new_checkpoint },
  list = { "ListCheckpoints", { "vm", box.Box },
    reply = method.records("checkpoints", new_checkpoint) },
  restore = { "RestoreCheckpoint", { "vm", box.Box }, { "name", kinds.text } },
  delete = { "DeleteCheckpoint", { "vm", box.Box }, { "name", kinds.text } },
})

return {
  snapshots = resource.service("Snapshots", snapshots),
  checkpoints = resource.service("Checkpoints", checkpoints),
  Snapshot = Snapshot,
}
