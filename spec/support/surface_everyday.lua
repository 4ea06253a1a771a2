-- The rows of the methods that compose others: which calls each makes, and so how
-- many round trips it costs.

local rows = require "spec.support.rows"

local row, unary, exec = rows.row, rows.unary, rows.exec
local refused, with = rows.refused, rows.with
local VM, ID, DONE = rows.VM, rows.ID, rows.DONE

-- A script of a file of ours, as an argument of a command. That it is right is
-- for the specs of real boxes to say.
local function script(file, name)
  local f <close> = assert(io.open("lua/boxd/" .. file))
  local text = assert(f:read "a":match("local " .. name .. " = %[%[\n?(.-)%]%]"))
  return "sh -c '" .. text:gsub("'", [['\'']]) .. "'"
end

local function bounded(command, ...)
  local call = exec({ vm_id = "vm-1", command = command }, 1, { "half_close" },
    ...)
  call.deadline = true
  return call
end

local function is(status) return with(VM, { status = status }) end
local SHELL = bounded("true", DONE)
local function say(text) return { "send", { data = text } } end

row("Box.up", "of one that runs: two round trips",
  { unary("GetVm", ID, VM), SHELL },
  function(s) return { s.box:up() == s.box, s.box.status } end,
  { true, "running" })
for status, rpc in pairs { stopped = "StartVm", suspended = "ResumeVm",
  hibernated = "WakeVm" } do
  row("Box.up", "of one that is " .. status .. ": four round trips",
    { unary("GetVm", ID, is(status)), unary(rpc, ID), unary("GetVm", ID, VM),
      SHELL },
    function(s) return { s.box:up().status } end, { "running" })
end
row("Box.down", "files are safe before the stop: four round trips",
  { unary("GetVm", ID, VM), bounded("sync", DONE), unary("StopVm", ID),
    unary("GetVm", ID, is "stopped") },
  function(s) return { s.box:down().status } end, { "stopped" })
row("Box.down", "of one that is stopped",
  { unary("GetVm", ID, is "stopped") },
  function(s) return { s.box:down().status } end, { "stopped" })

local BOOT = script("lifecycle.lua", "BOOT")
row("Box.reboot", "until it is up anew",
  { bounded(BOOT, say "one", DONE), unary("RebootVm", ID),
    unary("GetVm", ID, is "rebooting"),
    unary("GetVm", ID, VM), bounded(BOOT, say "one", DONE),
    unary("GetVm", ID, VM), bounded(BOOT, say "two", DONE) },
  function(s)
    s.box:reboot { wait = true }
    return { s.box.status }
  end, { "running" })
row("Box.resize", "until it is up anew",
  { bounded(BOOT, say "one", DONE),
    unary("ResizeVm", with(ID, { vcpu = 4 }), { vcpu = 4, memory_bytes = 16 << 30,
      rebooted = true }),
    unary("GetVm", ID, VM), bounded(BOOT, say "two", DONE) },
  function(s) return { s.box:resize { vcpu = 4, wait = true }.rebooted } end,
  { true })
row("Box.resize", "with nothing to wait for",
  { bounded(BOOT, say "one", DONE),
    unary("ResizeVm", with(ID, { vcpu = 4 }), { vcpu = 4 }) },
  function(s) return { s.box:resize { vcpu = 4, wait = true }.vcpu } end, { 4 })
row("Box.destroy", "one that is gone already",
  { refused(unary("DestroyVm", ID), 5) },
  function(s)
    s.box:destroy { missing_ok = true }
    return { s.box.status }
  end, { "destroyed" })

row("Boxes.destroy", "by its name, one round trip",
  { unary("DestroyVm", { vm_id = "web" }) },
  function(s) s.c.box:destroy "web" end)
row("Boxes.destroy", "by its name, of a service that knows ids alone", {
  refused(unary("DestroyVm", { vm_id = "db" }), 5),
  refused(unary("GetVm", { vm_id = "db" }), 5),
  unary("ListVms", {}, { vms = { VM, with(VM, { vm_id = "vm-9",
    name = "db" }) } }),
  unary("DestroyVm", { vm_id = "vm-9" }),
}, function(s) s.c.box:destroy "db" end)
row("Boxes.sweep", "what matches", {
  unary("ListVms", {}, { vms = { VM, with(VM, { vm_id = "vm-9",
    name = "db" }) } }), unary("DestroyVm", ID),
}, function(s) return s.c.box:sweep { prefix = "we" } end, { "web" })
row("Boxes.ensure", "one that runs: two round trips",
  { unary("GetVm", { vm_id = "web" }, VM), SHELL },
  function(s)
    local box, created, differences = s.c.box:ensure "web"
    return { box.id, created, differences }
  end, { "vm-1", false, {} })
row("Boxes.ensure", "a new one: five round trips", {
  refused(unary("GetVm", { vm_id = "new" }), 5),
  unary("ListVms", {}, {}),
  unary("CreateVm", { name = "new" }, with(ID, { name = "new" })),
  unary("GetVm", ID, VM), SHELL },
  function(s) return { (select(2, s.c.box:ensure "new")) } end, { true })

row("Box.wait_for_port", "the box looks, in one round trip",
  { bounded(script("publish.lua", "LISTENS") .. " sh 1F90 14000",
    say "00000000\n", DONE) },
  function(s) s.box:wait_for_port(8080) end)

row("Box.publish", "by the default proxy", {
  unary("SetProxyPort", { vm = "vm-1", vm_name = "web", port = "8080" }),
  unary("ListProxies", { vm = "vm-1", vm_name = "web" }, { proxies = {
    { name = "", is_default = true, domain = "127.0.0.1:1" } } }),
  bounded(script("publish.lua", "LISTENS") .. " sh 1F90 0",
    { "send", { exit_code = 1 } }),
}, function(s)
  local ok, e = pcall(s.box.publish, s.box, 8080, { timeout = 0.2 })
  return { ok, e.class }
end, { false, "TimeoutError" })

local STAT = script("stat.lua", "STAT") .. " sh /f"
local function unbounded(...)
  return exec({ vm_id = "vm-1", command = STAT }, 1, { "half_close" }, ...)
end
row("Box.stat", "one round trip", {
  unbounded(say "81a4\n5\n42\nroot\nwww-data\n", DONE) },
  function(s) return s.box:stat "/f" end, { type = "file", size = 5, mode = 420,
    mtime = 42, owner = "root", group = "www-data" })
row("Box.exists", "one round trip", {
  unbounded({ "send", { data = "stat: cannot statx '/f': No such file or "
    .. "directory\n", is_stderr = true } }, { "send", { exit_code = 1 } }) },
  function(s) return { s.box:exists "/f" } end, { false })

local function snapshot(fields)
  return unary("GetSnapshot", { name = "s" }, { snapshot = with(
    { snapshot_id = "s-1", name = "s" }, fields) })
end

row("Snapshots.wait_until_ready", "ready, and the version", {
  snapshot { status = "pending", version = 1 },
  snapshot { status = "ready", version = 1 },
  snapshot { status = "ready", version = 2 },
}, function(s)
  return s.c.snapshot:wait_until_ready("s", { version = 2 })
end, { id = "s-1", version = 2 })
row("Snapshots.wait_until_ready", "a failure has its reason", {
  snapshot { status = "failed", failure_reason = "no space" },
}, function(s)
  local ok, e = pcall(s.c.snapshot.wait_until_ready, s.c.snapshot, "s")
  return { ok, e.message }
end, { false, "snapshot s has failed: no space" })
