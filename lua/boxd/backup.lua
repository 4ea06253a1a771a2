-- c.backup: copies of a box's disk on a schedule, or at once. Restoring one
-- overwrites the disk.

local core = require "boxd.core"
local box = require "boxd.box"
local check = require "boxd.check"
local kinds = require "boxd.kinds"
local method = require "boxd.method"
local resource = require "boxd.resource"
core.internal()

local TIMES = { created_at = "created_at", expires_at = "expires_at" }
local NEXT = { next_backup_at = "next_backup_at",
  last_backup_at = "last_backup_at" }

local function new(_, message)
  method.seconds(message, TIMES)
  return resource.rename(message, { backup_id = "id" })
end

local service = method.add({}, {
  -- { schedule_kind, schedule_value, retention_secs, next_backup_at,
  -- last_backup_at }; nil when none is set
  schedule_get = { "GetBackupSchedule", { "vm", box.Box },
    reply = function(_, reply)
      return reply.enabled and method.seconds(reply, NEXT) or nil
    end },
  schedule_clear = { "ClearBackupSchedule", { "vm", box.Box } },
  list = { "ListBackups", { "vm", box.Box },
    reply = method.records("backups", new) },
  -- the id of the backup that will be made
  trigger = { "TriggerBackup", { "vm", box.Box }, reply = "backup_id" },
  restore = { "RestoreBackup", { "vm", box.Box }, { "backup_id", kinds.text } },
  delete = { "DeleteBackup", { "vm", box.Box }, { "backup_id", kinds.text } },
})

-- c.backup:schedule_set(box, { interval= | cron=, retention= }): seconds after
-- the last one, or a cron expression; and how many seconds one is kept.
function service:schedule_set(target, opts)
  local name = "schedule_set"
  local request = { vm = method.id(1, name, target, box.Box) }
  opts = check.options(2, name, opts,
    { "interval", "cron", "retention", "timeout" })
  local interval = method.option(name, opts, "interval", kinds.count)
  local cron = method.option(name, opts, "cron", kinds.text)
  if (interval == nil) == (cron == nil) then
    check.invalid("%s: exactly one of interval and cron expected", name)
  end
  request.retention_secs =
    method.option(name, opts, "retention", kinds.count)
    or check.invalid("%s: retention, a number of seconds, is missing", name)
  request.schedule_kind = interval and "interval" or "cron"
  request.schedule_value = interval and tostring(interval) or cron
  resource.call(resource.compute(self), "SetBackupSchedule", request, opts)
end

return { service = resource.service("Backups", service) }
