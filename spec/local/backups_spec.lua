-- boxd.local.backups.

local support = require "spec.support.service"

local refused = support.refused

describe("backups of the embedded service", function()
  local service, compute, call = support.of_block()
  after_each(function() service:empty() end)

  local function list(name) return call("ListBackups", { vm = name }).backups end

  it("are taken, listed, restored, deleted, and go with their box", function()
    local box = compute.box:create "b"
    box:write_file("old", "/home/boxd/f")
    local id = call("TriggerBackup", { vm = "b" }).backup_id
    box:write_file("new", "/home/boxd/f")
    local b = list("b")[1]
    assert.equal(id, b.backup_id)
    assert.equal("ready", b.status)
    assert.is_true(b.expires_at > b.created_at)
    assert.is_true(b.created_at > 1000000000000)
    call("RestoreBackup", { vm = "b", backup_id = id })
    assert.equal("old", box:read_file "/home/boxd/f")
    service:restart "KILL"
    assert.equal(1, #list "b")
    call("DeleteBackup", { vm = "b", backup_id = id })
    assert.equal(0, #list "b")
    refused("NOT_FOUND", call, "DeleteBackup", { vm = "b", backup_id = id })
    call("TriggerBackup", { vm = "b" })
    compute.box:get("b"):destroy()
    local f <close> = io.popen("ls " .. service.state .. "/captures | wc -l")
    assert.equal(0, f:read "n")
  end)

  it("are taken by a schedule, and end with their time", function()
    compute.box:create "s"
    assert.is_false(call("GetBackupSchedule", { vm = "s" }).enabled or false)
    call("SetBackupSchedule", { vm = "s", schedule_kind = "interval",
      schedule_value = "1", retention_secs = 2 })
    local first
    support.eventually(function()
      first = list("s")[1]
      return first
    end)
    local schedule = call("GetBackupSchedule", { vm = "s" })
    assert.is_true(schedule.enabled)
    assert.equal("1", schedule.schedule_value)
    assert.equal(2, schedule.retention_secs)
    assert.is_true(schedule.last_backup_at > 0)
    assert.is_true(schedule.next_backup_at > schedule.last_backup_at)
    support.eventually(function()
      for _, b in ipairs(list "s") do
        if b.backup_id == first.backup_id then return false end
      end
      return true
    end)
    call("ClearBackupSchedule", { vm = "s" })
    support.eventually(function() return #list "s" == 0 end)
    assert.is_false(call("GetBackupSchedule", { vm = "s" }).enabled or false)
  end)

  it("refuse schedules that make no sense", function()
    compute.box:create "r"
    local function set(kind, value, retention)
      return call("SetBackupSchedule", { vm = "r", schedule_kind = kind,
        schedule_value = value, retention_secs = retention })
    end
    refused("INVALID_ARGUMENT", set, "daily", "1", 60)
    refused("INVALID_ARGUMENT", set, "interval", "0", 60)
    refused("INVALID_ARGUMENT", set, "interval", "soon", 60)
    refused("INVALID_ARGUMENT", set, "interval", "60", 0)
    refused("INVALID_ARGUMENT", set, "cron", "no cron", 60)
    set("cron", "0 3 * * *", 86400)
    local schedule = call("GetBackupSchedule", { vm = "r" })
    assert.equal("cron", schedule.schedule_kind)
    assert.equal(3 * 3600, schedule.next_backup_at // 1000 % 86400)
  end)

  -- Its time ends while one restoration follows the other.
  it("are there to the end of their restoration, or not at all", function()
    local box = compute.box:create "r"
    box:sh "mkdir m; head -c 400000000 /dev/zero | split -b 1000000 -a 4 - m/"
    call("SetBackupSchedule", { vm = "r", schedule_kind = "interval",
      schedule_value = "1000", retention_secs = 1 })
    local id = call("TriggerBackup", { vm = "r" }).backup_id
    local ok, e
    repeat
      ok, e = pcall(call, "RestoreBackup", { vm = "r", backup_id = id })
      assert.equal("400\n", box:sh("ls m | wc -l").stdout)
    until not ok
    assert.equal("NOT_FOUND", e.code, tostring(e))
  end)
end)
