-- c.box:ensure and sweep under failure: two creators, lost answers, failed boxes,
-- quotas, names of others.

local boxd = require "boxd"
local scripted = require "spec.support.scripted"

local failure = scripted.failure

-- A service that keeps boxes by name: { vm_id=, status= }. create: what CreateVm does
-- before or in place of making one.
local function service_of(boxes, create)
  local made = 0
  local s
  local function add(name)
    made = made + 1
    boxes[name] = { vm_id = "made" .. made, name = name, status = "running" }
    return boxes[name]
  end
  s = scripted.start {
    GetVm = function(request, call)
      for name, box in pairs(boxes) do
        box.name = name
        if box.vm_id == request.vm_id or name == request.vm_id then return box end
      end
      call:finish("NOT_FOUND", "no box")
    end,
    ListVms = function()
      local vms = {}
      for _, box in pairs(boxes) do vms[#vms + 1] = box end
      return { vms = vms }
    end,
    CreateVm = function(request, call)
      if create and create(call, function() add(request.name) end,
        s:count "CreateVm") then return nil end
      if boxes[request.name] then
        return call:finish("ALREADY_EXISTS", "the name is taken")
      end
      return add(request.name)
    end,
    DestroyVm = function(request, call)
      for name, box in pairs(boxes) do
        if box.vm_id == request.vm_id then
          boxes[name] = nil
          return {}
        end
      end
      call:finish("NOT_FOUND", "no box")
    end,
    WakeVm = function()
      for _, box in pairs(boxes) do box.status = "running" end
      return {}
    end,
    Exec = function(_, call)
      call:send { exit_code = 0 }
      call:finish()
    end,
  }
  return s
end

describe("c.box:ensure", function()
  it("adopts what another makes at the same time", function()
    local s <close> = service_of({}, function(_, add, n)
      if n == 1 then add() end
    end)
    local box, created = s.c.box:ensure("web", { timeout = 5 })
    assert.equal("made1", box.id)
    assert.is_false(created)
  end)

  it("takes a box for its own when the answer to create was lost", function()
    local s <close> = service_of({}, function(call, add)
      add()
      call:finish("UNAVAILABLE", "lost")
      return true
    end)
    local box, created = s.c.box:ensure("web", { timeout = 5 })
    assert.equal("made1", box.id)
    assert.is_true(created)
    assert.equal(1, s:count "CreateVm")
  end)

  it("tries again when create was lost before the service acted", function()
    local s <close> = service_of({}, function(call, _, n)
      if n > 1 then return false end
      call:finish("UNAVAILABLE", "lost")
      return true
    end)
    assert.equal("made1", s.c.box:ensure("web", { timeout = 5 }).id)
    assert.equal(2, s:count "CreateVm")
  end)

  it("replaces a failed box, or raises when it may not", function()
    local s <close> = service_of { web = { vm_id = "old", status = "failed" } }
    local e = failure(s.c.box.ensure, s.c.box, "web", { replace_failed = false })
    assert.matches("box web is failed", e.message, 1, true)
    assert.equal(0, s:count "DestroyVm")
    local box, created = s.c.box:ensure("web", { timeout = 5 })
    assert.equal("made1", box.id)
    assert.is_true(created)
    assert.equal(1, s:count "DestroyVm")
  end)

  it("wakes a hibernated box, and lists its differences", function()
    local s <close> = service_of { web = { vm_id = "old", status = "hibernated",
      vcpu = 2 } }
    local box, created, differences = s.c.box:ensure("web",
      { timeout = 5, config = { vcpu = 4 } })
    assert.equal("running", box.status)
    assert.is_false(created)
    assert.same({ { field = "vcpu", want = 4, have = 2 } }, differences)
  end)

  it("says which boxes hold a quota", function()
    local s <close> = service_of({ db = { vm_id = "a", name = "db",
      status = "hibernated" } }, function(call)
      call:finish("RESOURCE_EXHAUSTED", "50 of 50 machines")
      return true
    end)
    local e = failure(s.c.box.ensure, s.c.box, "web")
    assert.equal("QuotaExceededError", e.class)
    assert.matches("50 of 50 machines; the boxes there are: db (hibernated)",
      e.message, 1, true)
  end)

  it("raises when the name is that of a box it can't see", function()
    local s <close> = service_of({}, function(call)
      call:finish("ALREADY_EXISTS", "the name is taken")
      return true
    end)
    local e = failure(s.c.box.ensure, s.c.box, "web", { timeout = 5 })
    assert.equal("ConflictError", e.class)
    assert.matches("does not see", e.message)
  end)
end)

-- A box that is otherwise than any option of `EVERY` asks for.
local OTHER = { vm_id = "old", status = "running", image_ref = "debian:12",
  restart_policy = "always", vcpu = 2, memory_bytes = 8 << 30,
  disk_bytes = 100 << 30, auto_destroy_timeout_secs = 7, networks = { "dev" },
  billing_org = "acme", org_id = "o-1", isolated = false,
  labels = { keep = "1", env = "old" }, auto_suspend_timeout_secs = 30,
  source_info = { kind = "snapshot", name = "base", id = "s-1", version = 3 },
  spec = { size = "1x4", env = { A = "old" }, base = { team = "old" } } }

-- Each option of create: the difference of OTHER { field, want, have }, or
-- the RPC that sets it.
local EVERY = {
  image = { "ubuntu:24.04", { "image", "ubuntu:24.04", "debian:12" } },
  org = { "other", { "org", "other", "acme" } },
  shared = { true, { "shared", true, false } },
  team = { "new", { "team", "new", "old" } },
  networks = { { "a", "b" }, { "networks", { "a", "b" }, { "dev" } } },
  isolated = { true, { "isolated", true, false } },
  from_snapshot = { "fresh", { "from_snapshot", "fresh",
    { kind = "snapshot", name = "base", id = "s-1", version = 3 } } },
  auto_destroy_timeout = { 9, { "auto_destroy_timeout_secs", 9, 7 } },
  labels = { { keep = "1", env = "new" }, "UpdateVmLabels",
    { vm = "old", set = { env = "new" } } },
  auto_suspend_timeout = { 60, "SetAutoSuspendTimeout",
    { vm_id = "old", timeout_secs = 60 } },
  auto_hibernate_timeout = { 50, "SetAutoHibernateTimeout",
    { vm_id = "old", timeout_secs = 50 } },
  delete_after = { 40, "SetDeleteAfter",
    { vm_id = "old", delete_after_secs = 40 } },
  delete_after_cron = { "0 1 * * *", "SetDeleteAfter",
    { vm_id = "old", delete_after_cron = "0 1 * * *" } },
  ["config.vcpu"] = { 4, { "vcpu", 4, 2 } },
  ["config.memory"] = { "16G", { "memory_bytes", 16 << 30, 8 << 30 } },
  ["config.disk"] = { "20G", { "disk_bytes", 20 << 30, 100 << 30 } },
  ["config.env"] = { { A = "new" }, { "env", { A = "new" }, { A = "old" } } },
  ["config.cmd"] = { { "top" }, { "cmd", { "top" } } },
  ["config.restart_policy"] = { "never",
    { "restart_policy", "never", "always" } },
  ["config.idle_ignore_outbound"] = { true, "SetIdleIgnoreOutbound",
    { vm_id = "old", enabled = true } },
  ["config.volumes"] = { { { disk_id = "data", mount_path = "/data" } },
    { "volumes", { { disk_id = "data", mount_path = "/data" } },
      { { disk_id = "d-1", mount_path = "/data", read_only = true } } } },
  ["config.lifecycle.auto_suspend_timeout"] = { 70, "SetAutoSuspendTimeout",
    { vm_id = "old", timeout_secs = 70 } },
  ["config.lifecycle.auto_destroy_timeout"] = { 9,
    { "auto_destroy_timeout_secs", 9, 7 } },
  ["config.network.ssh"] = { true, { "ssh", true } },
  ["config.network.proxies"] = { { { name = "api", port = 81 } },
    { "proxies", { { name = "api", port = 81 } },
      { { port = 0 }, { name = "api", port = 80 } } } },
  ["spec.version"] = { 2, { "spec.version", 2, 1 } },
  ["spec.size"] = { "2x8", { "spec.size", "2x8", "1x4" } },
  ["spec.base"] = { { team = "new" },
    { "spec.base", { team = "new" }, { team = "old" } } },
  ["spec.env"] = { { A = "new" }, { "spec.env", { A = "new" }, { A = "old" } } },
  ["spec.labels"] = { { env = "new" }, "UpdateVmLabels",
    { vm = "old", set = { env = "new" } } },
  ["spec.assign_to"] = { "u", { "spec.assign_to", "u" } },
  ["spec.networks"] = { { "n" }, { "spec.networks", { "n" }, {} } },
  ["spec.isolated"] = { true, { "spec.isolated", true, false } },
  ["spec.egress"] = { { "h" }, { "spec.egress", { "h" }, {} } },
  ["spec.secrets"] = { { "S" }, { "spec.secrets", { "S" }, {} } },
  ["spec.agents"] = { { "claude" }, { "spec.agents", { "claude" }, {} } },
  ["spec.packages"] = { { "apt" }, { "spec.packages", { "apt" }, {} } },
  ["spec.connections"] = { { github = "personal" },
    { "spec.connections", { github = "personal" }, {} } },
}

-- The options with one value, at a path like "config.vcpu".
local function options_with(path, value)
  local options = { timeout = 5 }
  local at, last = options, nil
  for name in path:gmatch "[^.]+" do
    if last then
      at[last] = {}
      at = at[last]
    end
    last = name
  end
  at[last] = value
  return options
end

local function known(f, ...)
  local names = {}
  for name in tostring(select(2, pcall(f, ...))):match "%(known: (.-)%)"
    :gmatch "[%w_]+" do names[#names + 1] = name end
  return names
end

describe("a box that c.box:ensure adopts", function()
  local function start(box)
    local s = service_of { web = box }
    local h = s.handlers
    h.ListProxies = { proxies = { { port = 0 }, { name = "api", port = 80 } } }
    h.ListDisks = { disks = { { disk_id = "d-1", name = "data", attachments = {
      { vm_id = "old", mount_path = "/data", mount_mode = "ro" },
      { vm_id = "another", mount_path = "/data", mount_mode = "rw" } } } } }
    for _, rpc in ipairs { "UpdateVmLabels", "SetAutoSuspendTimeout",
      "SetAutoHibernateTimeout", "SetDeleteAfter", "SetIdleIgnoreOutbound" } do
      h[rpc] = {}
    end
    return s
  end

  local function other()
    local box = {}
    for k, v in pairs(OTHER) do box[k] = v end
    box.spec = { version = 1, size = "1x4", env = { A = "old" },
      base = { team = "old" } }
    return box
  end

  for path, row in pairs(EVERY) do
    local does = type(row[2]) == "string" and "has " .. path .. " set"
      or "has " .. path .. " listed"
    it(does .. ", where that differs", function()
      local s <close> = start(other())
      local _, created, list = s.c.box:ensure("web", options_with(path, row[1]))
      assert.is_false(created)
      if type(row[2]) == "string" then
        assert.same({}, list)
        local request = s:request(row[2])
        for name, v in pairs(row[3]) do assert.same(v, request[name], name) end
      else
        assert.equal(1, #list)
        local one = list[1]
        assert.same(row[2], { one.field, one.want, one.have })
      end
    end)
  end

  it("has every option of create set or listed", function()
    local s <close> = start(other())
    local bad = { zzzzzzzzzz = 1 }
    local skip = { timeout = true, replace_failed = true, config = true,
      spec = true, lifecycle = true, network = true }
    for prefix, names in pairs {
      [""] = known(s.c.box.ensure, s.c.box, "web", bad),
      ["config."] = known(boxd.BoxConfig, bad),
      ["config.lifecycle."] = known(boxd.BoxConfig, { lifecycle = bad }),
      ["config.network."] = known(boxd.BoxConfig, { network = bad }),
      ["spec."] = known(boxd.spec, bad),
    } do
      assert.is_true(#names > 1)
      for _, name in ipairs(names) do
        if not skip[name] then assert.is_table(EVERY[prefix .. name], name) end
      end
    end
  end)

  it("is left alone where it is as asked, or asked nothing", function()
    local s <close> = start(other())
    local _, _, list = s.c.box:ensure("web", { image = "debian:12",
      org = "acme", shared = false, team = "old", networks = { "dev" },
      isolated = false, from_snapshot = "base", auto_destroy_timeout = 7,
      labels = { keep = "1" }, auto_suspend_timeout = 30,
      auto_hibernate_timeout = 0, delete_after = 0, config = { vcpu = 2,
        memory = "8G", disk = "100G", env = { A = "old" },
        restart_policy = "always", idle_ignore_outbound = false,
        network = { proxies = { { name = "api", port = 80 } } },
        volumes = { { disk_id = "data", mount_path = "/data",
          read_only = true } } },
      spec = { size = "1x4", env = { A = "old" }, base = { team = "old" },
        labels = { keep = "1" } } })
    assert.same({}, list)
    list = select(3, s.c.box:ensure "web")
    assert.same({}, list)
    for _, one in ipairs(s.seen) do
      assert.matches("^[GLE]", one.rpc) -- GetVm, ListProxies, ListDisks, Exec
    end
  end)

  it("has an option listed without `have` where the service says nothing of it", function()
    local s <close> = start { vm_id = "old", status = "running" }
    local _, _, list = s.c.box:ensure("web", { team = "eng",
      from_snapshot = "base", config = { env = { A = "1" } } })
    assert.same({ { field = "env", want = { A = "1" } },
      { field = "from_snapshot", want = "base" },
      { field = "team", want = "eng" } }, list)
  end)

  it("has bad options refused, as a new box has", function()
    local s <close> = start(other())
    for _, bad in ipairs { { image = 1 }, { shared = "x" }, { networks = "a" },
      { labels = { a = 1 } }, { delete_after = -1 }, { auto_suspend_timeout = "x" },
      { config = { vcpuu = 1 } }, { spec = { sise = "1x4" } },
      { delete_after = 1, delete_after_cron = "* * * * *" } } do
      assert.is_false(pcall(s.c.box.ensure, s.c.box, "web", bad))
    end
    assert.equal(0, s:count())
  end)
end)

describe("c.box:sweep", function()
  it("destroys what matches all that is given, and nothing without it", function()
    local s <close> = service_of { a1 = { vm_id = "1", name = "a1",
      status = "running", created_at = 1 }, a2 = { vm_id = "2", name = "a2",
      status = "running", created_at = os.time() }, b = { vm_id = "3", name = "b",
      status = "running", created_at = 1 } }
    assert.equal("InvalidArgumentError",
      failure(s.c.box.sweep, s.c.box, { older_than = 1 }).class)
    assert.matches("keep is a list of boxes and their names or ids, not of 7",
      failure(s.c.box.sweep, s.c.box, { prefix = "a", keep = { 7 } }).message)
    local what = { prefix = "a", older_than = 60, dry_run = true }
    assert.same({ "a1" }, s.c.box:sweep(what))
    assert.equal(0, s:count "DestroyVm")
    assert.same({ "a2" }, s.c.box:sweep { prefix = "a", keep = { "a1" } })
    assert.equal("2", s:request "DestroyVm".vm_id)
  end)
end)
