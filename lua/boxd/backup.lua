-- c.backup: copies of a box's disk on a schedule, or at once. Restoring one
-- overwrites the disk.

local core = require "boxd.core"
local check = require "boxd.internal.check"
local kinds = require "boxd.internal.kinds"
local method = require "boxd.internal.method"
local resource = require "boxd.internal.resource"
core.internal()

local service = {}

-- c.backup:schedule_get(box) -> { schedule_kind, schedule_value,
-- retention_secs, next_backup_at, last_backup_at }; nil when none is set
function service:schedule_get(target, opts)
  local vm = method.id(1, "schedule_get", target, "Box")
  opts = check.options(2, "schedule_get", opts, { "timeout" })
  local reply = resource.call(self, "GetBackupSchedule", { vm = vm }, opts)
  if not reply.enabled then return nil end
  for _, name in ipairs { "next_backup_at", "last_backup_at" } do
    reply[name] = reply[name] ~= 0 and reply[name] // 1000 or nil
  end
  return reply
end

-- c.backup:schedule_set(box, { interval= | cron=, retention= }): seconds after
-- the last one, or a cron expression; and how many seconds one is kept.
function service:schedule_set(target, opts)
  local name = "schedule_set"
  local request = { vm = method.id(1, name, target, "Box") }
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

core.methods("boxd.Backups", service)
