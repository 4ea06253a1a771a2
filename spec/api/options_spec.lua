-- Options of every method of the surface: `timeout` in the trailing options
-- table, unknown options named with the nearest, argument errors at the
-- script's own line, a Compute that is closed.

local composed = require "spec.support.composed"
local boxd = require "boxd"
local methods = require "spec.support.methods"
local scripted = require "spec.support.scripted"

local failure, refused = scripted.failure, scripted.refused

local stopped = false -- a sync comes before a stop

-- Replies of one service that has one of everything.
local REPLIES = {
  Whoami = {}, GetConfig = {}, CreateVm = { vm_id = "vm1", name = "web" },
  ListVms = {}, GetVm = function()
    return { vm_id = "vm1", name = "web",
      status = stopped and "stopped" or "running" }
  end,
  StartVm = function()
    stopped = false
    return {}
  end,
  ForkVm = { vm_id = "f" }, StopVm = {}, RebootVm = {},
  DestroyVm = {}, SuspendVm = {}, ResumeVm = {}, UploadFile = {},
  DownloadFile = {}, ListProxies = {}, CreateProxy = {}, SetProxyPort = {},
  DeleteProxy = {}, StreamLogs = {}, CreateTemplate = { template_id = "t" },
  ListTemplates = {}, CreateVmFromTemplate = { vm_id = "v" },
  DeleteTemplate = {}, CreateDisk = { disk_id = "d" },
  ListDisks = { disks = { { disk_id = "d" } } },
  AttachDisk = {}, DetachDisk = {}, DestroyDisk = {}, BindDomain = {},
  ListDomains = {}, UnbindDomain = {}, CreateNetwork = { network_id = "n" },
  ListNetworks = {}, CreateToken = {}, ListTokens = {}, RevokeToken = {},
  CreateApiKey = {}, ListApiKeys = {}, DeleteApiKey = {}, SuggestVmName = {},
  HibernateVm = {}, WakeVm = {}, RenameVm = {}, ShareVm = {}, UnshareVm = {},
  ResizeVm = {}, SetAutoSuspendTimeout = {}, SetAutoHibernateTimeout = {},
  SetDeleteAfter = {}, UpdateVmLabels = {}, SetVmNetworks = {},
  SetVmEgressAllow = {}, GetVmUsage = {}, SetBotProtection = {},
  SetIdleIgnoreOutbound = {}, UpdateMachineSpec = {}, ListDir = {}, Mkdir = {},
  RenamePath = {}, DeletePath = {}, CopyPath = {}, ExposePort = {},
  UnexposePort = {}, ListExposedPorts = {},
  CreateSnapshot = { snapshot_id = "s" }, ListSnapshots = {},
  GetSnapshot = { snapshot = { snapshot_id = "s", status = "ready" } }, DeleteSnapshot = {},
  CreateCheckpoint = {}, ListCheckpoints = {}, RestoreCheckpoint = {},
  DeleteCheckpoint = {}, SetBackupSchedule = {}, GetBackupSchedule = {},
  ClearBackupSchedule = {}, ListBackups = {}, TriggerBackup = {},
  RestoreBackup = {}, DeleteBackup = {}, SetVar = {}, ListVars = {},
  RemoveVar = {}, SetSecretScope = {},
  UploadFileStream = function(_, call)
    while call:recv() do end -- luacheck: ignore 542
    return {}
  end,
  DownloadFileStream = { data = "x", total_size = 1 },
  Exec = function(request, call)
    stopped = request.command == "sync" or stopped
    call:send { data = request.command:find "stat %-%-printf"
      and "81a4\n5\n42\nroot\nroot\n" or "" }
    call:send { exit_code = 0 }
    call:finish()
  end,
}

-- Of a method: its object, its name, the arguments before its options (nil: none
-- may be left out), the RPC that its time is for.
local LOCAL = require "spec.support.program".plain_file ""
local ROWS = {
  { "c", "whoami", {}, "Whoami" },
  { "c", "config", {}, "GetConfig" },
  { "c", "call", { "GetVm", {} }, "GetVm" },
  { "c", "stream", { "StreamLogs", {} }, "StreamLogs" },
  { "c.box", "create", { "web" }, "CreateVm" },
  { "c.box", "list", {}, "ListVms" },
  { "c.box", "destroy", { "vm1" }, "DestroyVm" },
  { "c.box", "ensure", { "web" }, "GetVm" },
  { "c.box", "sweep", {}, "ListVms", { prefix = "web" } },
  { "c.box", "get", { "vm1" }, "GetVm" },
  { "c.box", "fork", { "vm1" }, "ForkVm" },
  { "box", "start", {}, "StartVm" },
  { "box", "stop", {}, "StopVm" },
  { "box", "reboot", {}, "RebootVm" },
  { "box", "suspend", {}, "SuspendVm" },
  { "box", "resume", {}, "ResumeVm" },
  { "box", "destroy", {}, "DestroyVm" },
  { "box", "refresh", {}, "GetVm" },
  { "box", "wait_until_ready", {}, "Exec" },
  { "box", "exec", { "true" }, "Exec" },
  { "box", "sh", { "true" }, "Exec" },
  { "box", "write_file", { "bytes", "/f" }, "UploadFile" },
  { "box", "read_file", { "/f" }, "DownloadFileStream" },
  { "box", "upload", { LOCAL, "/f" }, "UploadFileStream" },
  { "box", "download", { "/f", LOCAL }, "DownloadFileStream" },
  { "box", "download_folder", { "/f", "/tmp" }, "ListDir" },
  { "box", "proxies", {}, "ListProxies" },
  { "box", "create_proxy", { "api", 80 }, "CreateProxy" },
  { "box", "set_proxy_port", { 80, "api" }, "SetProxyPort" },
  { "box", "delete_proxy", { "api" }, "DeleteProxy" },
  { "box", "stream_logs", {}, "StreamLogs" },
  { "c.template", "create", {}, "CreateTemplate", { name = "t" } },
  { "c.template", "list", {}, "ListTemplates" },
  { "c.template", "create_vm", { "t" }, "CreateVmFromTemplate" },
  { "c.template", "delete", { "t" }, "DeleteTemplate" },
  { "c.disk", "create", { "data", "1G" }, "CreateDisk" },
  { "c.disk", "list", {}, "ListDisks" },
  { "disk", "attach", { "vm1", "/data" }, "AttachDisk" },
  { "disk", "detach", { "vm1" }, "DetachDisk" },
  { "disk", "destroy", {}, "DestroyDisk" },
  { "c.domain", "bind", { "a.example", "vm1" }, "BindDomain" },
  { "c.domain", "list", {}, "ListDomains" },
  { "c.domain", "unbind", { "a.example" }, "UnbindDomain" },
  { "c.network", "create", { "n" }, "CreateNetwork" },
  { "c.network", "list", {}, "ListNetworks" },
  { "c.token", "create", {}, "CreateToken" },
  { "c.token", "list", {}, "ListTokens" },
  { "c.token", "revoke", { "j" }, "RevokeToken" },
  { "c.api_key", "create", {}, "CreateApiKey" },
  { "c.api_key", "list", {}, "ListApiKeys" },
  { "c.api_key", "delete", { "k" }, "DeleteApiKey" },
  { "box", "hibernate", {}, "HibernateVm" },
  { "box", "wake", {}, "WakeVm" },
  { "box", "rename", { "db" }, "RenameVm" },
  { "box", "share", {}, "ShareVm" },
  { "box", "unshare", {}, "UnshareVm" },
  { "box", "set_auto_suspend_timeout", { 60 }, "SetAutoSuspendTimeout" },
  { "box", "set_auto_hibernate_timeout", { 60 }, "SetAutoHibernateTimeout" },
  { "box", "set_delete_after", { 60 }, "SetDeleteAfter" },
  { "box", "set_labels", { {} }, "UpdateVmLabels" },
  { "box", "set_networks", { {} }, "SetVmNetworks" },
  { "box", "set_egress", { {} }, "SetVmEgressAllow" },
  { "box", "usage", {}, "GetVmUsage" },
  { "box", "set_bot_protection", { "on" }, "SetBotProtection" },
  { "box", "set_idle_ignore_outbound", { true }, "SetIdleIgnoreOutbound" },
  { "box", "update_spec", { {} }, "UpdateMachineSpec" },
  { "box", "expose", { 80 }, "ExposePort" },
  { "box", "unexpose", { 80 }, "UnexposePort" },
  { "box", "exposed_ports", {}, "ListExposedPorts" },
  { "box", "list_dir", { "/d" }, "ListDir" },
  { "box", "mkdir", { "/d" }, "Mkdir" },
  { "box", "remove", { "/d" }, "DeletePath" },
  { "box", "copy", { "/d", "/e" }, "CopyPath" },
  { "box", "down", {}, "StopVm" },
  { "box", "up", {}, "StartVm" },
  { "box", "wait_for_port", { 80 }, "Exec" },
  { "box", "stat", { "/d" }, "Exec" },
  { "box", "exists", { "/d" }, "Exec" },
  { "box", "resize", {}, "ResizeVm", { vcpu = 2 } },
  { "box.files", "rename", { "/d", "/e" }, "RenamePath" },
  { "c.box", "suggest_name", {}, "SuggestVmName" },
  { "c.disk", "get", { "d" }, "ListDisks" },
  { "c.snapshot", "create", { "vm1", "s" }, "CreateSnapshot" },
  { "c.snapshot", "list", {}, "ListSnapshots" },
  { "c.snapshot", "get", { "s" }, "GetSnapshot" },
  { "c.snapshot", "delete", { "s" }, "DeleteSnapshot" },
  { "c.snapshot", "wait_until_ready", { "s" }, "GetSnapshot" },
  { "c.checkpoint", "create", { "vm1", "s" }, "CreateCheckpoint" },
  { "c.checkpoint", "list", { "vm1" }, "ListCheckpoints" },
  { "c.checkpoint", "restore", { "vm1", "s" }, "RestoreCheckpoint" },
  { "c.checkpoint", "delete", { "vm1", "s" }, "DeleteCheckpoint" },
  { "c.backup", "schedule_get", { "vm1" }, "GetBackupSchedule" },
  { "c.backup", "schedule_clear", { "vm1" }, "ClearBackupSchedule" },
  { "c.backup", "list", { "vm1" }, "ListBackups" },
  { "c.backup", "trigger", { "vm1" }, "TriggerBackup" },
  { "c.backup", "restore", { "vm1", "b" }, "RestoreBackup" },
  { "c.backup", "delete", { "vm1", "b" }, "DeleteBackup" },
  { "c.env", "set", { "A", "1" }, "SetVar" },
  { "c.env", "list", {}, "ListVars" },
  { "c.env", "delete", { "A" }, "RemoveVar" },
  { "c.env", "move", { "A", "private", "all" }, "SetSecretScope" },
  { "c.secret", "set", { "A", "1" }, "SetVar" },
  { "c.secret", "list", {}, "ListVars" },
  { "c.secret", "delete", { "A" }, "RemoveVar" },
  { "c.secret", "move", { "A", "private", "all" }, "SetSecretScope" },
  { "c.backup", "schedule_set", { "vm1" }, "SetBackupSchedule",
    { interval = 3600, retention = 86400 } },
}

describe("every method", function()
  local s, holders

  -- The objects whose methods take options, by the names of the rows.
  local function objects(c)
    local box = c.box:create()
    local all = { c = c, box = box, ["box.files"] = box.files, disk = c.disk:create("d", 1) }
    for _, name in ipairs { "box", "template", "disk", "domain", "network",
      "token", "api_key", "snapshot", "checkpoint", "backup", "env",
      "secret" } do
      all["c." .. name] = c[name]
    end
    return all
  end

  -- Calls the method of a row with its arguments and then `last`.
  local function invoke(row, last)
    local args = table.move(row[3], 1, #row[3], 1, {})
    local holder = holders[row[1]]
    for k, v in pairs(type(last) == "table" and row[5] or {}) do last[k] = v end
    args[#args + 1] = last
    local result = holder[row[2]](holder, table.unpack(args))
    return result
  end

  local function each(f)
    for _, row in ipairs(ROWS) do
      local ok, e = pcall(f, row, row[1] .. ":" .. row[2])
      if not ok then error(row[1] .. ":" .. row[2] .. ": " .. tostring(e), 0) end
    end
  end

  setup(function()
    s = scripted.start(REPLIES)
    holders = objects(s.c)
  end)

  teardown(function()
    s:close()
    os.remove(LOCAL)
  end)

  it("is in this spec", function()
    local here = {}
    for _, row in ipairs(ROWS) do here[row[1] .. ":" .. row[2]] = true end
    for name, holder in pairs(holders) do
      if name == "c" then goto continue end
      for method in pairs(methods(holder)) do
        -- box.files has what its box has, but for rename.
        local of = method == "rename" and name or name:gsub("%.files$", "")
        local class = of == "box" and "Box." or "Boxes."
        if method ~= "temporary" and method ~= "publish"
          and not composed[class .. method] then
          assert.is_true(here[of .. ":" .. method], name .. ":" .. method)
        end
      end
      ::continue::
    end
  end)

  it("takes `timeout`, seconds for this call", function()
    each(function(row)
      local before = #s.seen
      local result = invoke(row, { timeout = 17 })
      if row[4] == "StreamLogs" then result() end -- it starts when it is read
      local left
      for i = before + 1, #s.seen do
        if s.seen[i].rpc == row[4] then left = s.seen[i].deadline end
      end
      assert.truthy(left, "no deadline")
      assert.is_true(left <= 18 and left > 7, left) -- gRPC rounds it up
    end)
  end)

  it("refuses a timeout that is none", function()
    each(function(row)
      local before = #s.seen
      for _, timeout in ipairs { 0, -1, 0 / 0 } do
        local e = failure(invoke, row, { timeout = timeout })
        assert.equal("InvalidArgumentError", e.class)
        assert.matches("timeout", e.message)
      end
      assert.matches("bad option 'timeout' to '" .. row[2] .. "' %(number of "
        .. "seconds expected, got string%)",
        refused(invoke, row, { timeout = "5" }))
      assert.equal(before, #s.seen)
    end)
  end)

  it("names an unknown option and the nearest one", function()
    each(function(row)
      local before = #s.seen
      local e = failure(invoke, row, { timout = 5 })
      assert.equal("InvalidArgumentError", e.class)
      assert.matches("'timout'", e.message, 1, true)
      assert.matches("did you mean 'timeout'", e.message, 1, true)
      assert.is_nil(e.grpc_code)
      assert.is_nil(e.method)
      e = failure(invoke, row, { zzzzzzzz = 5 })
      assert.matches("'zzzzzzzz'", e.message, 1, true)
      assert.equal(before, #s.seen)
    end)
  end)

  it("wants a table for its options, at the script's line", function()
    each(function(row)
      if row[2] == "exec" then return end -- another argument of the command
      local before = #s.seen
      local line = debug.getinfo(invoke, "S").linedefined + 5
      local ok, e = pcall(function() invoke(row, true); return end)
      assert.is_false(ok)
      assert.matches("bad argument #%d to '" .. row[2] .. "'", e)
      assert.matches("got boolean[:)]", e)
      assert.matches("options_spec.lua:" .. line .. ":", e, 1, true)
      assert.equal(before, #s.seen)
    end)
  end)

  it("takes a list with its n, as table.pack gives it", function()
    local box = holders.box
    box:set_networks(table.pack("a", "b"))
    assert.same({ "a", "b" }, s:request "SetVmNetworks".networks)
    s.c.box:create("x", { config = { cmd = table.pack("ls") } })
    assert.same({ "ls" }, s:request "CreateVm".cmd)
    for _, list in ipairs { { "a", x = "b" }, { "a", nil, "c" },
      table.pack("a", nil, "c") } do
      assert.equal("InvalidArgumentError",
        failure(box.set_networks, box, list).class)
    end
  end)

  it("names the first argument that is missing", function()
    each(function(row)
      local holder = holders[row[1]]
      if #row[3] == 0 or row[2] == "exec" then return end
      if row[1] == "c.box" and row[2] == "create" then return end
      if row[1] == "c.network" then return end
      local before = #s.seen
      local e = refused(holder[row[2]], holder)
      assert.matches("bad argument #1 to '" .. row[2] .. "' %(.- expected, got "
        .. "nil%)", e)
      assert.equal(before, #s.seen)
    end)
  end)

  it("raises CancelledError once its Compute is closed", function()
    local t = scripted.start(REPLIES)
    local kept = holders
    holders = objects(t.c)
    t:close()
    each(function(row)
      local e = failure(invoke, row, row[5])
      assert.equal("CancelledError", e.class)
      assert.matches("closed", e.message)
    end)
    holders = kept
  end)

  it("has its RPC's name in the error of a status", function()
    local kept = s.handlers
    local refusing = setmetatable({}, { __index = function()
      return function(_, call) call:finish("RESOURCE_EXHAUSTED", "too many") end
    end })
    s.handlers = refusing
    each(function(row)
      local e = failure(function()
        local result = invoke(row, row[5])
        if row[4] == "StreamLogs" then result() end
      end)
      assert.equal("QuotaExceededError", e.class)
      assert.equal("too many", e.message)
      assert.equal("RESOURCE_EXHAUSTED", e.code)
      assert.equal(8, e.grpc_code)
      assert.truthy(e.method)
      assert.is_true(boxd.is_error(e, boxd.QuotaExceededError))
    end)
    s.handlers = kept
  end)
end)
