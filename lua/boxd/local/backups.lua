-- Backups: what one box was at some time, kept for a while. A record's
-- `backup` is its schedule: { kind, value, retention, next_at, last_at }, times
-- in seconds. Backups go with their box.

local boxd = require "boxd"
local cron = require "boxd.local.cron"
local serve = require "boxd.serve"
local ids = require "boxd.local.ids"
local log = require "boxd.local.log"
local status = require "boxd.local.status"
local store = require "boxd.local.store"

local fail, NONE = status.fail, store.NONE

local RETENTION = 7 * 86400 -- of those that no schedule is for
local SECONDS_MAX = 10 * 366 * 86400
local AGAIN = 60            -- after one that failed

local backups = {}
backups.__index = backups

function backups.new(service)
  return setmetatable({ service = service, changed = serve.signal() }, backups)
end

-- Making. The caller has taken the box.
local function take(self, box)
  local keep = box.backup and box.backup.retention or RETENTION
  return self.service.captures:take(box, function(folder, bytes)
    local now = os.time()
    local backup = { id = ids.new("backup-"), vm_id = box.id,
      folder = folder, size_bytes = bytes, created_at = now,
      expires_at = now + keep }
    self.service.store:put("backups", backup.id, backup)
    self.changed:fire()
    return backup
  end)
end

-- The time of the next one after `now`.
local function next_after(schedule, now)
  if schedule.kind == "cron" then return cron.next(schedule.value, now) end
  return now + math.tointeger(schedule.value)
end

local function with_next(schedule, now, last)
  return { kind = schedule.kind, value = schedule.value,
    retention = schedule.retention, next_at = next_after(schedule, now),
    last_at = last or schedule.last_at }
end

-- Schedules.

-- Takes a box's due backups; returns when to look again.
local function take_due(self, box)
  local _lock <close> = self.service.boxes:lock(box)
  local now = os.time()
  if not box.backup or box.backup.next_at > now then return end
  take(self, box)
  self.service.boxes:change(box, { backup = with_next(box.backup, now, now) })
end

local function complain(e)
  local _, message = status.of(e)
  log("a backup: %s", message)
end

-- It may be what a box is being restored from, or gone with it.
local function remove_old(self, backup)
  local service = self.service
  local box = service.boxes.records[backup.vm_id]
  local _lock <close> = box and service.boxes:lock(box)
  if service.store:all("backups")[backup.id] == backup then
    service.captures:remove("backups", backup)
  end
end

local function expire(self, now)
  local next = math.huge
  for _, backup in ipairs(self.service.store:list "backups") do
    if backup.expires_at <= now then
      remove_old(self, backup)
    else
      next = math.min(next, backup.expires_at)
    end
  end
  return next
end

-- Takes due backups; returns the time of the next, in seconds since 1970.
local function sweep(self)
  local now = os.time()
  local next = expire(self, now)
  for _, box in ipairs(self.service.boxes:list()) do
    local at = not box.new and box.backup and box.backup.next_at or math.huge
    if at <= now then
      local ok, e = pcall(take_due, self, box)
      if not ok then
        complain(e)
        at = now + AGAIN
      else
        at = box.backup and box.backup.next_at or math.huge
      end
    end
    next = math.min(next, at)
  end
  return next
end

function backups:run()
  while true do
    self.fresh = true
    local ok, next = pcall(sweep, self)
    if not ok and boxd.is_error(next, boxd.CancelledError) then error(next, 0) end
    if not ok then
      complain(next)
      next = os.time() + AGAIN
    end
    if self.fresh then
      self.changed:wait(next < math.huge and math.max(0.1, next - os.time())
        or nil)
    end
  end
end

function backups:look()
  self.fresh = false
  self.changed:fire()
end

-- RPCs.

local function check_seconds(what, seconds)
  if seconds and seconds >= 1 and seconds <= SECONDS_MAX then return seconds end
  fail("INVALID_ARGUMENT", "%s is 1 to %d seconds", what, SECONDS_MAX)
end

local function schedule_of(request)
  local kind, value = request.schedule_kind, request.schedule_value or ""
  if kind == "interval" then
    check_seconds("an interval", value:find "^%d+$" and #value < 12
      and math.tointeger(tonumber(value)))
  elseif kind ~= "cron" then
    fail("INVALID_ARGUMENT", "schedule_kind is 'interval' or 'cron', not '%s'",
      kind or "")
  end
  return { kind = kind, value = value,
    retention = check_seconds("retention_secs", request.retention_secs) }
end

local function on_box(fn)
  return function(service, request)
    local box = service.boxes:find_vm(request)
    local _lock <close> = service.boxes:lock(box)
    local reply = fn(service, box, request)
    service.backups:look()
    return reply or {}
  end
end

local function find(service, box, id)
  for _, backup in ipairs(service.captures:of("backups", box)) do
    if backup.id == id then return backup end
  end
  fail("NOT_FOUND", "box '%s' has no backup '%s'", box.name, id or "")
end

local function shown(schedule)
  if not schedule then return { enabled = false } end
  return { enabled = true, schedule_kind = schedule.kind,
    schedule_value = schedule.value, retention_secs = schedule.retention,
    next_backup_at = schedule.next_at * 1000,
    last_backup_at = (schedule.last_at or 0) * 1000 }
end

local function list(service, request)
  local out = {}
  local box = service.boxes:find_vm(request)
  for i, b in ipairs(service.captures:of("backups", box)) do
    out[i] = { backup_id = b.id, status = "ready", size_bytes = b.size_bytes,
      created_at = b.created_at * 1000, expires_at = b.expires_at * 1000 }
  end
  return { backups = out }
end

backups.rpcs = {
  TriggerBackup = on_box(function(service, box)
    return { backup_id = take(service.backups, box).id }
  end),
  ListBackups = list,
  DeleteBackup = on_box(function(service, box, request)
    service.captures:remove("backups", find(service, box, request.backup_id))
  end),
  RestoreBackup = on_box(function(service, box, request)
    service.boxes:replace_files(box,
      service.captures:folder(find(service, box, request.backup_id)))
  end),
  SetBackupSchedule = on_box(function(service, box, request)
    local schedule = schedule_of(request)
    schedule.last_at = box.backup and box.backup.last_at
    service.boxes:change(box, { backup = with_next(schedule, os.time()) })
  end),
  ClearBackupSchedule = on_box(function(service, box)
    service.boxes:change(box, { backup = NONE })
  end),
  GetBackupSchedule = function(service, request)
    return shown(service.boxes:find_vm(request).backup)
  end,
}

return backups
