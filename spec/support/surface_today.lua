-- The requests of the methods of today's service, and their results:
-- rows for conformance_spec.lua, as in surface.lua. Replies have all their
-- fields, so that none is lost on the way.

local boxd = require "boxd"
local rows = require "spec.support.rows"

local row, unary, refused = rows.row, rows.unary, rows.refused
local with, VM, ID = rows.with, rows.VM, rows.ID

local BY_VM = { vm = "vm-1" }
local UNIMPLEMENTED, NOT_FOUND = 12, 5

-- Boxes: made, listed ---------------------------------------------------------

local MADE = { vm_id = "vm-2", name = "web", status = "pending" }

row("Boxes.create", "what today's contract has beside", {
  unary("CreateVm", { name = "web", org = "acme", shared = true,
    labels = { tier = "front" }, networks = { "a", "b" }, isolated = true,
    team = "eng", restart_policy = "always",
    config = { idle_ignore_outbound = false } }, MADE),
}, function(s)
  return s.c.box:create { name = "web", org = "acme", shared = true,
    labels = { tier = "front" }, networks = { "a", "b" }, isolated = true,
    team = "eng", config = { idle_ignore_outbound = false } }
end, { id = "vm-2" })
row("Boxes.create", "from a spec of pieces", {
  unary("CreateVm", { name = "web", spec = { version = 1,
    base = { snapshot = "base" }, size = "2x8", env = { A = "2", B = "1" },
    labels = { tier = "front" }, networks = { "x", "y", "z" },
    packages = { "apt-get install -y nginx" }, isolated = true,
    egress = { "a.example" }, secrets = { "KEY" }, agents = { "claude" },
    connections = { slack = "personal" }, assign_to = "u-1" } }, MADE),
}, function(s)
  local eng = { networks = { "x", "y" }, env = { A = "1", B = "1" },
    size = " 2X8 ", isolated = true, secrets = { "KEY" } }
  return s.c.box:create("web", { spec = boxd.spec { eng,
    { base = { snapshot = "base" }, agents = { "claude" } },
    size = "02x08", env = { A = "2" }, networks = { "y", "z" },
    labels = { tier = "front" }, egress = { "a.example" },
    packages = { "apt-get install -y nginx" }, isolated = false,
    connections = { slack = "personal" }, assign_to = "u-1" } })
end, { id = "vm-2" })
row("Boxes.create", "from a snapshot", {
  unary("CreateVmFromSnapshot", { snapshot = "base", name = "web",
    org = "acme", isolated = true, labels = { a = "b" },
    config = { vcpu = 2 } }, MADE),
  unary("CreateVmFromSnapshot", { snapshot = "base",
    spec = { version = 1, env = { A = "1" } } }, MADE),
}, function(s)
  s.c.box:create { from_snapshot = "base", name = "web", org = "acme",
    isolated = true, labels = { a = "b" }, config = { vcpu = 2 } }
  return s.c.box:create { from_snapshot = "base", spec = { env = { A = "1" } } }
end, { id = "vm-2" })
row("Boxes.list", "of an organisation, by labels", {
  unary("ListVms", { org = "acme", all_contexts = true,
    label_selector = { "gpu", "tier=front" } }, { vms = {
    with(VM, { labels = { tier = "front", gpu = "" } }),
    -- A service from before labels gives all.
    with(VM, { vm_id = "vm-9", labels = { tier = "back", gpu = "" } }),
    with(VM, { vm_id = "vm-8" }),
  } }),
}, function(s)
  return s.c.box:list { org = "acme", all_contexts = true,
    labels = { "gpu", tier = "front" } }
end, { { id = "vm-1" } })
row("Boxes.fork", "what today's contract has beside", {
  unary("ForkVm", { source_vm_id = "vm-1", name = "copy", shared = true,
    networks = { "n" }, isolated = true, labels = { a = "b" } },
    { vm_id = "vm-3" }),
}, function(s)
  return s.c.box:fork(s.box, { name = "copy", shared = true,
    networks = { "n" }, isolated = true, labels = { a = "b" } })
end, { id = "vm-3" })
row("Boxes.suggest_name", "", { unary("SuggestVmName", {},
  { name = "brave-otter" }) },
  function(s) return { s.c.box:suggest_name() } end, { "brave-otter" })
row("Boxes.get", "times are seconds, whatever they were", {
  unary("GetVm", ID, with(VM, { created_at = 1700000000,
    hibernated_at_ms = 1700000001999, delete_at_ms = 1700000002000,
    boot_time_ms = 250, packages = { { command = "true",
      started_at_ms = 1700000003000, exit_code = 0 } } })),
}, function(s)
  local box = s.c.box:get("vm-1")
  return { box, not pcall(function() return box.hibernated_at_ms end), box.last_connected_at == nil,
    box.packages[1].finished_at == nil }
end, { { created_at = 1700000000, hibernated_at = 1700000001,
  delete_at = 1700000002, boot_time_ms = 250, packages = { {
    command = "true", started_at = 1700000003, exit_code = 0 } } },
  true, true, true })

-- Boxes: changed --------------------------------------------------------------

for name, of in pairs {
  hibernate = { "HibernateVm", "hibernated" }, wake = { "WakeVm", "running" },
  share = { "ShareVm", "running" }, unshare = { "UnshareVm", "running" },
} do
  row("Box." .. name, "", { unary(of[1], ID) }, function(s)
    s.box[name](s.box)
    return { s.box.status }
  end, { of[2] })
end
row("Box.rename", "", { unary("RenameVm", { vm_id = "vm-1", new_name = "db" },
  { name = "db" }) }, function(s)
    s.box:rename("db")
    return { s.box.name }
  end, { "db" })
row("Box.resize", "either names a size", {
  unary("ResizeVm", { vm_id = "vm-1", vcpu = 2 },
    { vcpu = 2, memory_bytes = 8 << 30, rebooted = true }),
  unary("ResizeVm", { vm_id = "vm-1", memory_bytes = 4 << 30 },
    { vcpu = 1, memory_bytes = 4 << 30 }),
}, function(s)
  local first = s.box:resize { vcpu = 2 }
  return { first, s.box:resize { memory = "4G" }, s.box.vcpu }
end, { { vcpu = 2, memory_bytes = 8 << 30, rebooted = true },
  { vcpu = 1, memory_bytes = 4 << 30, rebooted = false }, 1 })
row("Box.set_auto_suspend_timeout", "0 turns it off", {
  unary("SetAutoSuspendTimeout", { vm_id = "vm-1", timeout_secs = 60 }),
  unary("SetAutoSuspendTimeout", { vm_id = "vm-1" }),
}, function(s)
  s.box:set_auto_suspend_timeout(60)
  s.box:set_auto_suspend_timeout(0)
  return { s.box.auto_suspend_timeout_secs }
end, { 0 })
row("Box.set_auto_hibernate_timeout", "", {
  unary("SetAutoHibernateTimeout", { vm_id = "vm-1", timeout_secs = 60 }),
}, function(s) s.box:set_auto_hibernate_timeout(60) end)
row("Box.set_delete_after", "seconds, a cron expression, or never", {
  unary("SetDeleteAfter", { vm_id = "vm-1", delete_after_secs = 60 },
    { delete_at_ms = 1700000060500 }),
  unary("SetDeleteAfter", { vm_id = "vm-1", delete_after_cron = "0 18 * * *" },
    { delete_at_ms = 1700000000000 }),
  unary("SetDeleteAfter", ID),
}, function(s)
  return { s.box:set_delete_after(60),
    s.box:set_delete_after { cron = "0 18 * * *" },
    s.box.delete_at, s.box:set_delete_after(0) == nil,
    s.box.delete_at == nil }
end, { 1700000060, 1700000000, 1700000000, true, true })
row("Box.set_labels", "", {
  unary("UpdateVmLabels", { vm = "vm-1", set = { a = "b" },
    remove = { "old" } }, { labels = { a = "b", c = "d" } }),
  unary("UpdateVmLabels", { vm = "vm-1", replace_all = true }),
}, function(s)
  return { s.box:set_labels({ a = "b" }, { remove = { "old" } }), s.box.labels,
    s.box:set_labels({}, { replace_all = true }) }
end, { { a = "b", c = "d" }, { a = "b", c = "d" }, {} })
row("Box.set_networks", "", {
  unary("SetVmNetworks", { vm_id = "vm-1", networks = { "a", "b" } },
    { networks = { "a" } }),
}, function(s) return { s.box:set_networks { "a", "b" }, s.box.networks } end,
  { { "a" }, { "a" } })
row("Box.set_egress", "", {
  unary("SetVmEgressAllow", { vm = "vm-1", entries = { "*.example" } },
    { entries = { "*.example" } }),
}, function(s) return { s.box:set_egress { "*.example" }, s.box.egress_allow } end,
  { { "*.example" }, { "*.example" } })
row("Box.set_bot_protection", "a mode, or whether", {
  unary("SetBotProtection", { vm_id = "vm-1", enabled = true, mode = "on" }),
  unary("SetBotProtection", { vm_id = "vm-1", enabled = true,
    mode = "sleep_only" }),
  unary("SetBotProtection", { vm_id = "vm-1", mode = "off" }),
}, function(s)
  s.box:set_bot_protection(true)
  s.box:set_bot_protection "sleep_only"
  s.box:set_bot_protection(false)
  return { s.box.bot_protection, s.box.bot_protection_mode }
end, { false, "off" })
row("Box.set_idle_ignore_outbound", "", {
  unary("SetIdleIgnoreOutbound", { vm_id = "vm-1", enabled = true }),
}, function(s) s.box:set_idle_ignore_outbound(true) end)
row("Box.usage", "", {
  unary("GetVmUsage", { vm_id = "vm-1", since = 1700000000,
    ["until"] = 1700003600, org = "acme" }, { period_start = 1700000000,
    period_end = 1700003600, currency = "EUR",
    usage = { vm_id = "vm-1", vcpu_hours = 0.5, seconds = { running = 1800 } },
    rates = { vcpu_hour_micro = 7 } }),
  unary("GetVmUsage", ID, {}),
}, function(s)
  local used = s.box:usage { since = 1700000000, until_time = 1700003600,
    org = "acme" }
  s.box:usage()
  return used
end, { period_start = 1700000000, period_end = 1700003600, currency = "EUR",
  usage = { vcpu_hours = 0.5, seconds = { running = 1800 } },
  rates = { vcpu_hour_micro = 7 } })
row("Box.update_spec", "the patch is text, in which nothing is lost", {
  unary("UpdateMachineSpec", { vm = "vm-1", patch = '{"networks":[]}',
    dry_run = true, reboot = true, retry_packages = true,
    expected_spec = '{"version":1}' }, { applied = true,
    spec = { version = 1, size = "2x8" }, changes = { { field = "networks",
      removed = { "a" } } } }),
  unary("UpdateMachineSpec", { vm = "vm-1",
    patch = '{"labels":{"old":null}}' }),
  unary("UpdateMachineSpec", { vm = "vm-1", patch = '{"assignTo":null}' }),
}, function(s)
  local reply = s.box:update_spec({ networks = {} }, { dry_run = true,
    reboot = true, retry_packages = true, expected_spec = {} })
  s.box:update_spec { labels = { old = boxd.json.null } }
  s.box:update_spec { assign_to = boxd.json.null }
  return { reply, s.box.spec }
end, { { applied = true, changes = { { field = "networks",
  removed = { "a" } } } }, { size = "2x8" } })

-- Files and ports -------------------------------------------------------------

row("Box.list_dir", "", {
  unary("ListDir", { vm_id = "vm-1", path = "/d" }, { truncated = true,
    entries = { { name = "f", size_bytes = 3, permissions = "-rw-r--r--",
      modified_at = 1700000000, added_at = 1700000001 },
      { name = "sub", is_dir = true } } }),
}, function(s) return { s.box:list_dir "/d" } end, { {
  { name = "f", is_dir = false, size_bytes = 3, permissions = "-rw-r--r--",
    modified_at = 1700000000, added_at = 1700000001 },
  { name = "sub", is_dir = true } }, true })
row("Box.mkdir", "", { unary("Mkdir", { vm_id = "vm-1", path = "/d" }),
  unary("Mkdir", { vm_id = "vm-1", path = "/e" }) },
  function(s)
    s.box:mkdir "/d"
    s.box.files:mkdir "/e"
  end)
row("Box.remove", "", { unary("DeletePath", { vm_id = "vm-1", path = "/d" }) },
  function(s) s.box:remove "/d" end)
row("Box.copy", "", { unary("CopyPath", { vm_id = "vm-1", old_path = "/a",
  new_path = "/b" }) }, function(s) s.box:copy("/a", "/b") end)
row("Files.rename", "", { unary("RenamePath", { vm_id = "vm-1",
  old_path = "/a", new_path = "/b" }) },
  function(s) s.box.files:rename("/a", "/b") end)

local FORWARD = { vm_name = "web", dns = "tcp.boxd.sh", public_port = 40001,
  vm_port = 22, protocol = "tcp", vm_id = "vm-1" }
row("Box.expose", "", {
  unary("ExposePort", { vm = "vm-1", vm_port = 22 }, FORWARD),
  unary("ExposePort", { vm = "vm-1", vm_port = 53, protocol = "both" },
    FORWARD),
}, function(s)
  s.box:expose(22)
  return s.box:expose(53, { protocol = "both" })
end, FORWARD)
row("Box.unexpose", "", { unary("UnexposePort", { vm = "vm-1", vm_port = 22 },
  { forward = FORWARD }) }, function(s) return s.box:unexpose(22) end, FORWARD)
row("Box.exposed_ports", "", { unary("ListExposedPorts", BY_VM,
  { forwards = { FORWARD } }) },
  function(s) return s.box:exposed_ports() end, { FORWARD })

-- Snapshots, checkpoints, backups: their times come in milliseconds ------------

local SNAPSHOT = { snapshot_id = "s-1", name = "base", version = 2,
  status = "ready", size_bytes = 7, updated_at = 1700000001000, vcpu = 2,
  memory_bytes = 8, use_count = 3, created_at = 1700000000000,
  failed_version = 1, failure_reason = "disk", archived = true,
  storage = "cold" }
local A_SNAPSHOT = { id = "s-1", name = "base", version = 2, status = "ready",
  size_bytes = 7, updated_at = 1700000001, vcpu = 2, memory_bytes = 8,
  use_count = 3, created_at = 1700000000, failed_version = 1,
  failure_reason = "disk", archived = true, storage = "cold" }

row("Snapshots.create", "of a Box, or of a box by name", {
  unary("CreateSnapshot", { vm = "vm-1", name = "base" }, { snapshot_id = "s-1",
    name = "base", version = 1, status = "saving", paused_automations = 2 }),
  unary("CreateSnapshot", { vm = "web", name = "base" }),
}, function(s)
  local made = s.c.snapshot:create(s.box, "base")
  s.c.snapshot:create("web", "base")
  return made
end, { id = "s-1", name = "base", version = 1, status = "saving",
  paused_automations = 2 })
row("Snapshots.list", "", {
  unary("ListSnapshots", {}, { snapshots = { SNAPSHOT } }),
  unary("ListSnapshots", { org = "acme" }),
}, function(s)
  s.list = s.c.snapshot:list()
  s.c.snapshot:list { org = "acme" }
  return s.list
end, { A_SNAPSHOT })
row("Snapshots.get", "", { unary("GetSnapshot", { name = "base",
  org = "acme" }, { snapshot = SNAPSHOT }) },
  function(s) return s.c.snapshot:get("base", { org = "acme" }) end, A_SNAPSHOT)
row("Snapshots.delete", "a Snapshot, or one by name", {
  unary("ListSnapshots", {}, { snapshots = { SNAPSHOT } }),
  unary("DeleteSnapshot", { name = "s-1" }),
  unary("DeleteSnapshot", { name = "base", org = "acme" }),
}, function(s)
  s.c.snapshot:delete(s.c.snapshot:list()[1])
  s.c.snapshot:delete("base", { org = "acme" })
end)
row("Checkpoints.create", "", { unary("CreateCheckpoint", { vm = "vm-1",
  name = "good" }, { checkpoint_id = "c-1", name = "good", status = "saving" }) },
  function(s) return s.c.checkpoint:create(s.box, "good") end,
  { id = "c-1", name = "good", status = "saving" })
row("Checkpoints.list", "", { unary("ListCheckpoints", BY_VM, { checkpoints = {
  { checkpoint_id = "c-1", name = "good", status = "ready", size_bytes = 5,
    created_at = 1700000000000, created_by = "u-1", available = true } } }) },
  function(s) return s.c.checkpoint:list("vm-1") end,
  { { id = "c-1", name = "good", status = "ready", size_bytes = 5,
    created_at = 1700000000, created_by = "u-1", available = true } })
for name, rpc in pairs { restore = "RestoreCheckpoint",
  delete = "DeleteCheckpoint" } do
  row("Checkpoints." .. name, "", { unary(rpc, { vm = "vm-1",
    name = "good" }) },
    function(s) s.c.checkpoint[name](s.c.checkpoint, s.box, "good") end)
end

row("Backups.schedule_get", "nil where none is set", {
  unary("GetBackupSchedule", BY_VM, { enabled = true,
    schedule_kind = "interval", schedule_value = "3600",
    retention_secs = 86400, next_backup_at = 1700000000000,
    last_backup_at = 1600000000000 }),
  unary("GetBackupSchedule", BY_VM),
}, function(s)
  return { s.c.backup:schedule_get(s.box),
    s.c.backup:schedule_get(s.box) == nil }
end, { { schedule_kind = "interval", schedule_value = "3600",
  retention_secs = 86400, next_backup_at = 1700000000,
  last_backup_at = 1600000000 }, true })
row("Backups.schedule_set", "by interval or by cron", {
  unary("SetBackupSchedule", { vm = "vm-1", schedule_kind = "interval",
    schedule_value = "3600", retention_secs = 86400 }),
  unary("SetBackupSchedule", { vm = "web", schedule_kind = "cron",
    schedule_value = "0 3 * * *", retention_secs = 86400 }),
}, function(s)
  s.c.backup:schedule_set(s.box, { interval = 3600, retention = 86400 })
  s.c.backup:schedule_set("web", { cron = "0 3 * * *", retention = 86400 })
end)
row("Backups.schedule_clear", "", { unary("ClearBackupSchedule", BY_VM) },
  function(s) s.c.backup:schedule_clear(s.box) end)
row("Backups.list", "", { unary("ListBackups", BY_VM, { backups = { {
  backup_id = "b-1", status = "ready", size_bytes = 9, checksum = "c",
  points_to_backup_id = "b-0", created_at = 1700000000000,
  expires_at = 1700086400000 } } }) },
  function(s) return s.c.backup:list(s.box) end, { { id = "b-1",
    status = "ready", size_bytes = 9, checksum = "c",
    points_to_backup_id = "b-0", created_at = 1700000000,
    expires_at = 1700086400 } })
row("Backups.trigger", "", { unary("TriggerBackup", BY_VM,
  { backup_id = "b-2" }) },
  function(s) return { s.c.backup:trigger(s.box) } end, { "b-2" })
for name, rpc in pairs { restore = "RestoreBackup", delete = "DeleteBackup" } do
  row("Backups." .. name, "", { unary(rpc, { vm = "vm-1",
    backup_id = "b-1" }) },
    function(s) s.c.backup[name](s.c.backup, s.box, "b-1") end)
end

-- Variables -------------------------------------------------------------------

for class, kind in pairs { Env = "env", Secrets = "secret" } do
  row(class .. ".delete", "", { unary("RemoveVar", { kind = kind, name = "A",
    scope = "all", org = "acme" }, { message = "removed" }) },
    function(s)
      return { s.c[kind]:delete("A", { scope = "all", org = "acme" }) }
    end, { "removed" })
  row(class .. ".move", "", { unary("SetSecretScope", { org = "acme",
    name = "A", from = "private", to = "all" }, { message = "moved" }) },
    function(s)
      return { s.c[kind]:move("A", "private", "all", { org = "acme" }) }
    end, { "moved" })
end
row("Env.set", "", { unary("SetVar", { kind = "env", name = "A", value = "1",
  scope = "all", org = "acme" }, { message = "set" }) }, function(s)
    return { s.c.env:set("A", "1", { scope = "all", org = "acme" }) }
  end, { "set" })
row("Env.list", "", { unary("ListVars", { kind = "env", org = "acme" },
  { vars = { { name = "A", kind = "env", scope = "all", value = "1" } } }) },
  function(s) return s.c.env:list { org = "acme" } end,
  { { name = "A", value = "1", scope = "all" } })
row("Secrets.set", "", { unary("SetVar", { kind = "secret", name = "KEY",
  value = "hush", scope = "unattached", domains = { "api.example" } },
  { message = "set" }) }, function(s)
    return { s.c.secret:set("KEY", "hush", { scope = "unattached",
      domains = { "api.example" } }) }
  end, { "set" })
row("Secrets.list", "without values", { unary("ListVars", { kind = "secret" },
  { vars = { { name = "KEY", scope = "all", domains = { "a.example" },
    bound_machines = 2 } } }) },
  function(s) return s.c.secret:list() end, { { name = "KEY", scope = "all",
    domains = { "a.example" }, bound_machines = 2 } })

-- What 0.1 had, and has today -------------------------------------------------

row("ApiKeys.create", "of a kind, in an organisation", {
  unary("CreateApiKey", { name = "ci", expires_in_secs = 60, org = "acme",
    kind = "org" }, { id = "k-1", api_key = "bxk_1", expires_at = 1700000060 }),
}, function(s)
  return s.c.api_key:create { name = "ci", expires_in = 60, org = "acme",
    kind = "org" }
end, { id = "k-1", api_key = "bxk_1", expires_at = 1700000060 })
row("ApiKeys.list", "every field of them", { unary("ListApiKeys", {},
  { keys = { { id = "k-1", name = "ci", key_prefix = "bxk_1", created_at = 1,
    last_used_at = 2, expires_at = 3, org = "acme", kind = "org",
    created_by = "u-1", mine = true } } }) },
  function(s) return s.c.api_key:list() end, { { id = "k-1", name = "ci",
    key_prefix = "bxk_1", created_at = 1, last_used_at = 2, expires_at = 3,
    org = "acme", kind = "org", created_by = "u-1", mine = true } })
row("Tokens.create", "every field of it", { unary("CreateToken",
  { expires_in_secs = 60 }, { token = "eyJ.x.y", expires_at = 5 }) },
  function(s) return s.c.token:create { expires_in = 60 } end,
  { token = "eyJ.x.y", expires_at = 5 })
row("Tokens.list", "every field of them", { unary("ListTokens", {},
  { tokens = { { jti = "j", created_at = 1, expires_at = 2 } } }) },
  function(s) return s.c.token:list() end,
  { { jti = "j", created_at = 1, expires_at = 2 } })
row("Networks.list", "every field of them", { unary("ListNetworks", {},
  { networks = { { network_id = "n-1", subnet = "10.0.0.0/24",
    status = "active" } } }) },
  function(s) return s.c.network:list() end,
  { { id = "n-1", subnet = "10.0.0.0/24", status = "active" } })
row("Networks.create", "its id", { unary("CreateNetwork", { name = "n" },
  { network_id = "n-1" }) },
  function(s) return s.c.network:create("n") end, { id = "n-1" })
row("Templates.list", "every field of them", { unary("ListTemplates", {},
  { templates = { { template_id = "t-1", name = "t", image_ref = "alpine",
    status = "ready", vcpu = 2, memory_bytes = 4 } } }) },
  function(s) return s.c.template:list() end, { { id = "t-1", name = "t",
    image = "alpine", status = "ready", vcpu = 2, memory_bytes = 4 } })
local DISK = { disk_id = "d-1", name = "data", size_bytes = 5,
  status = "attached", worker_id = "w", created_at = 1700000000000,
  attachments = { { vm_id = "vm-1", vm_name = "web", mount_path = "/data",
    mount_mode = "rw" } } }
local A_DISK = { id = "d-1", name = "data", size_bytes = 5,
  status = "attached", worker_id = "w", created_at = 1700000000,
  attachments = { { vm_id = "vm-1", vm_name = "web", mount_path = "/data",
    mount_mode = "rw" } } }
row("Disks.list", "every field of them", { unary("ListDisks", {},
  { disks = { DISK } }) }, function(s) return s.c.disk:list() end, { A_DISK })
row("Disks.get", "by id or name", {
  unary("ListDisks", {}, { disks = { with(DISK, { disk_id = "data",
    name = "x" }), DISK } }),
  unary("ListDisks", {}, { disks = { with(DISK, { disk_id = "d-0",
    name = "x" }), DISK } }),
}, function(s)
  return { s.c.disk:get("data").id, s.c.disk:get("data").id }
end, { "data", "d-1" })
row("Disk.attach", "a box by its name, where the service wants ids", {
  refused(unary("AttachDisk", { disk_id = "d-1", vm_id = "web",
    mount_path = "/m" }), NOT_FOUND),
  refused(unary("GetVm", { vm_id = "web" }), NOT_FOUND),
  unary("ListVms", {}, { vms = { VM } }),
  unary("AttachDisk", { disk_id = "d-1", vm_id = "vm-1", mount_path = "/m" }),
}, function(s) s.disk:attach("web", "/m") end)

local CUSTOM = { domain = "a.example", vm_id = "vm-1", vm_name = "web",
  status = "pending", last_error = "no record" }
row("Domains.bind", "a custom domain, where 0.1's are gone", {
  refused(unary("BindDomain", { domain = "a.example", vm_id = "vm-1" }),
    UNIMPLEMENTED),
  unary("AddCustomDomain", { domain = "a.example", vm_id = "vm-1" },
    { domain = CUSTOM }),
  -- which is remembered, until that is gone
  unary("ListCustomDomains", {}, { domains = { CUSTOM } }),
  unary("RemoveCustomDomain", { domain = "a.example" }),
  refused(unary("RemoveCustomDomain", { domain = "a.example" }),
    UNIMPLEMENTED),
  unary("UnbindDomain", { domain = "a.example" }),
  unary("ListDomains", {}, { domains = { { domain = "a.example",
    vm_id = "vm-1" } } }),
}, function(s)
  local bound = s.c.domain:bind("a.example", s.box)
  local list = s.c.domain:list()
  s.c.domain:unbind("a.example")
  s.c.domain:unbind("a.example")
  return { bound, list, s.c.domain:list() }
end, { CUSTOM, { CUSTOM }, { { domain = "a.example", vm_id = "vm-1" } } })
for name, of in pairs {
  list = { "ListDomains", "ListCustomDomains", {} },
  unbind = { "UnbindDomain", "RemoveCustomDomain", { domain = "a.example" } },
} do
  row("Domains." .. name, "of either contract, there and back", {
    refused(unary(of[1], of[3]), UNIMPLEMENTED), unary(of[2], of[3]),
    refused(unary(of[2], of[3]), UNIMPLEMENTED), unary(of[1], of[3]),
    refused(unary(of[1], of[3]), UNIMPLEMENTED),
    refused(unary(of[2], of[3]), NOT_FOUND),
    unary(of[2], of[3]),
    refused(unary(of[2], of[3]), UNIMPLEMENTED), unary(of[1], of[3]),
  }, function(s)
    local argument = of[3].domain
    local classes = {}
    for i = 1, 5 do
      local ok, e = pcall(s.c.domain[name], s.c.domain, argument)
      classes[i] = ok or e.class
    end
    return classes
  end, { true, true, "NotFoundError", true, true })
end
