-- The requests of every method, message by message, and its results:
-- rows for conformance_spec.lua, written from the API's documentation and the
-- contract, not from our code. Adding a method is adding a row. Those of exec,
-- files and logs are in surface_exec.lua.

local boxd = require "boxd"
local rows = require "spec.support.rows"

local row, unary, stream = rows.row, rows.unary, rows.stream
local refused, exec, with = rows.refused, rows.exec, rows.with
local VM, ID = rows.VM, rows.ID

-- The whole config, and the messages that it becomes.
local CONFIG = {
  vcpu = 2, memory = "4G", disk = 21474836480,
  lifecycle = { auto_suspend_timeout = 0, auto_destroy_timeout = 60 },
  network = { ssh = true, proxies = { { name = "api", port = 3000 } } },
  volumes = { { disk_id = "d-1", mount_path = "/data", read_only = true },
    { disk_id = "d-2", mount_path = "/more" } },
}
local VM_CONFIG = {
  vcpu = 2, memory_bytes = 4 << 30, disk_bytes = 20 << 30,
  -- auto_suspend_timeout has a presence of its own: 0 is not unset.
  srf = { auto_suspend_timeout_secs = 0, auto_destroy_timeout_secs = 60 },
  network = { ssh = true, proxies = { { name = "api", port = 3000 } } },
  volumes = { { disk_id = "d-1", mount_path = "/data", read_only = true },
    { disk_id = "d-2", mount_path = "/more" } },
}

-- Compute ---------------------------------------------------------------------

row("Compute.whoami", "", { unary("Whoami", {}, { user_id = "u-1",
  pubkey_fingerprints = { "SHA256:a" }, default_network_id = "n-1",
  display_name = "Ada" }) }, function(s) return s.c:whoami() end,
  { user_id = "u-1", fingerprints = { "SHA256:a" }, default_network_id = "n-1",
    display_name = "Ada" })
row("Compute.config", "", { unary("GetConfig", {}, { default_image = "ubuntu",
  zone = "fsn1" }) }, function(s) return s.c:config() end,
  { default_image = "ubuntu", zone = "fsn1" })
row("Compute.call", "any unary RPC", { unary("UpdateVmLabels", { vm = "web",
  set = { tier = "front" }, remove = { "old" } }, { labels = { a = "b" } }) },
  function(s)
    return s.c:call("UpdateVmLabels", { vm = "web", set = { tier = "front" },
      remove = { "old" }, replace_all = false })
  end, { labels = { a = "b" } })
row("Compute.call", "fields with a presence of their own",
  { unary("SetOrgMachineDefaults", { org_id = "o", vcpu = 0 }) },
  function(s)
    return s.c:call("SetOrgMachineDefaults", { org_id = "o", vcpu = 0 })
  end, {})
row("Compute.stream", "any server-streaming RPC",
  { stream("DownloadFileStream", { { vm_id = "vm-1", path = "/f" } }, 1,
    { "half_close" }, { "send", { total_size = 3, data = "ab" } },
    { "send", { data = "c" } }) },
  function(s)
    local out = {}
    for chunk in s.c:stream("DownloadFileStream",
      { vm_id = "vm-1", path = "/f" }) do
      out[#out + 1] = chunk.data
    end
    return out
  end, { "ab", "c" })

-- Boxes -----------------------------------------------------------------------

local CREATED = { vm_id = "vm-2", name = "web", public_ip = "10.0.0.2",
  url = "https://web.boxd.sh", image = "ubuntu:24.04", status = "pending",
  boot_time_ms = 12 }
local CREATED_BOX = { id = "vm-2", name = "web", public_ip = "10.0.0.2",
  url = "https://web.boxd.sh", image = "ubuntu:24.04", status = "pending",
  boot_time_ms = 12 }

row("Boxes.create", "nothing given, nothing sent",
  { unary("CreateVm", {}, CREATED) },
  function(s) return s.c.box:create() end, CREATED_BOX)
row("Boxes.create", "a name and options", { unary("CreateVm", { name = "web",
  image_ref = "alpine" }, CREATED) },
  function(s) return s.c.box:create("web", { image = "alpine" }) end)
row("Boxes.create", "one table, and a config of each kind",
  { unary("CreateVm", { name = "web", image_ref = "ubuntu:24.04",
    env = { { key = "A", value = "1" }, { key = "B", value = "two words" } },
    cmd = { "sleep", "inf" }, restart_policy = "never", config = VM_CONFIG },
    CREATED) },
  function(s)
    return s.c.box:create { name = "web", image = "ubuntu:24.04",
      config = with(CONFIG, { env = { B = "two words", A = "1" },
        cmd = { "sleep", "inf" }, restart_policy = "never" }) }
  end, with(CREATED_BOX, { restart_policy = "never" }))
row("Boxes.create", "a config restarts always unless it says otherwise",
  { unary("CreateVm", { restart_policy = "always", config = { vcpu = 1 } },
    CREATED) },
  function(s) return s.c.box:create { config = boxd.BoxConfig { vcpu = 1 } } end)
row("Boxes.create", "sizes in any writing", {
  unary("CreateVm", { restart_policy = "always",
    config = { memory_bytes = 512 << 20, disk_bytes = 10 << 30 } }, CREATED),
  unary("CreateVm", { restart_policy = "always",
    config = { memory_bytes = 1 << 40, disk_bytes = 1024 } }, CREATED),
}, function(s)
  s.c.box:create { config = { memory = "512MiB", disk = "10gb" } }
  s.c.box:create { config = { memory = "1t", disk = "1K" } }
end)
row("Boxes.temporary", "destroyed at the end of its scope: three round trips", {
  unary("CreateVm", { name = "web" }, CREATED),
  unary("SetDeleteAfter", { vm_id = "vm-2", delete_after_secs = 3600 }, {}),
  unary("DestroyVm", { vm_id = "vm-2" }),
}, function(s)
  local box <close> = s.c.box:temporary { name = "web" }
  return { box.id }
end, { "vm-2" })
row("Boxes.temporary", "without a lease: two round trips", {
  unary("CreateVm", { name = "web" }, CREATED),
  unary("DestroyVm", { vm_id = "vm-2" }),
}, function(s)
  local box <close> = s.c.box:temporary { name = "web", lease = false }
  return { box.id }
end, { "vm-2" })
row("Boxes.list", "", { unary("ListVms", {}, { vms = { VM } }) },
  function(s) return s.c.box:list() end, { { id = "vm-1", name = "web",
    image = "ubuntu:24.04", status = "running", restart_policy = "always",
    disk_bytes = 20 << 30, auto_suspend_timeout_secs = 30 } })
row("Boxes.get", "by id", { unary("GetVm", ID, VM) },
  function(s) return s.c.box:get("vm-1") end, { id = "vm-1", name = "web" })
row("Boxes.get", "by name, where the id is not found", {
  refused(unary("GetVm", { vm_id = "db" }), 5),
  unary("ListVms", {}, { vms = { VM, with(VM, { vm_id = "vm-9",
    name = "db" }) } }),
}, function(s) return s.c.box:get("db") end, { id = "vm-9", name = "db" })

local FORKED = { vm_id = "vm-3", name = "copy", status = "pending",
  forked_from = "vm-1", boot_time_ms = 5 }
row("Boxes.fork", "a Box", { unary("ForkVm", { source_vm_id = "vm-1" },
  FORKED) }, function(s) return s.c.box:fork(s.box) end,
  { id = "vm-3", name = "copy", forked_from = "vm-1" })
row("Boxes.fork", "a name, with a config", {
  refused(unary("GetVm", { vm_id = "web" }), 5),
  unary("ListVms", {}, { vms = { VM } }),
  unary("ForkVm", { source_vm_id = "vm-1", name = "copy", config = VM_CONFIG },
    FORKED),
}, function(s)
  return s.c.box:fork("web", { name = "copy", config = CONFIG })
end, { id = "vm-3" })

for name, of in pairs {
  start = { "StartVm", "running" }, stop = { "StopVm", "stopped" },
  reboot = { "RebootVm", "running" }, destroy = { "DestroyVm", "destroyed" },
} do
  row("Box." .. name, "", { unary(of[1], ID) }, function(s)
    s.box[name](s.box)
    return { s.box.status }
  end, { of[2] })
end
row("Box.suspend", "", { unary("SuspendVm", ID, { suspend_us = 900 }) },
  function(s) return { s.box:suspend(), s.box.status } end,
  { { suspend_us = 900 }, "suspended" })
row("Box.resume", "", { unary("ResumeVm", ID, { resume_us = 800 }) },
  function(s) return { s.box:resume(), s.box.status } end,
  { { resume_us = 800 }, "running" })
row("Box.refresh", "reads all fields again",
  { unary("GetVm", ID, with(VM, { status = "stopped", public_ip = "1.2.3.4",
    ssh_port = 2222, labels = { a = "b" } })) },
  function(s) return { s.box:refresh() == s.box, s.box } end,
  { true, { status = "stopped", public_ip = "1.2.3.4", ssh_port = 2222,
    labels = { a = "b" } } })
-- Its execs are bounded by its own time.
local function try_shell(exit_code)
  local call = exec({ vm_id = "vm-1", command = "true" }, 1, { "half_close" },
    { "send", { exit_code = exit_code } })
  call.deadline = true
  return call
end

row("Box.wait_until_ready", "until it runs and a shell answers", {
  unary("GetVm", ID, with(VM, { status = "pending" })),
  unary("GetVm", ID, VM),
  try_shell(1),
  unary("GetVm", ID, VM),
  try_shell(0),
}, function(s)
  return s.box:wait_until_ready { timeout = 30, poll_interval = 0.02 }
end, { status = "running" })

-- Proxies: 0.1 knows a box by its name here, today by `vm` ----------------------------------

row("Box.proxies", "", { unary("ListProxies", { vm = "vm-1",
  vm_name = "web" }, { proxies = {
  { name = "default", vm_name = "web", domain = "web.boxd.sh", port = 8000,
    is_default = true },
  { name = "api", vm_name = "web", domain = "127.0.0.1:4000", port = 3000 },
} }) }, function(s) return s.box:proxies() end, {
  { name = "default", vm_name = "web", domain = "web.boxd.sh", port = 8000,
    is_default = true, url = "https://web.boxd.sh" },
  { name = "api", is_default = false, url = "http://127.0.0.1:4000" },
})
row("Box.create_proxy", "port 0 is detected, and unset", {
  unary("CreateProxy", { name = "api", vm = "vm-1", vm_name = "web" },
    { name = "api", vm_name = "web", domain = "api.web.boxd.sh" }),
  unary("CreateProxy", { name = "api", vm = "vm-1", vm_name = "web", port = 3000 },
    { name = "api", vm_name = "web", domain = "api.web.boxd.sh",
      port = 3000 }),
}, function(s)
  return { s.box:create_proxy("api"), s.box:create_proxy("api", 3000) }
end, { { name = "api", port = 0 }, { name = "api", vm_name = "web",
  domain = "api.web.boxd.sh", port = 3000, is_default = false,
  url = "https://api.web.boxd.sh" } })
row("Box.set_proxy_port", "its port is a string", {
  unary("SetProxyPort", { vm = "vm-1", vm_name = "web", port = "9000" }),
  unary("SetProxyPort", { vm = "vm-1", vm_name = "web", port = "0", name = "api" }),
}, function(s)
  s.box:set_proxy_port(9000)
  s.box:set_proxy_port(0, "api")
end)
row("Box.delete_proxy", "", {
  unary("DeleteProxy", { name = "api", vm = "vm-1", vm_name = "web" }),
}, function(s) s.box:delete_proxy("api") end)

-- Templates -------------------------------------------------------------------

row("Templates.create", "", { unary("CreateTemplate", { name = "base",
  image_ref = "ubuntu:24.04", config = VM_CONFIG },
  { template_id = "t-1", name = "base", status = "ready" }) }, function(s)
  return s.c.template:create { name = "base", image = "ubuntu:24.04",
    config = CONFIG }
end, { id = "t-1", name = "base", status = "ready", image = "ubuntu:24.04",
  vcpu = 2, memory_bytes = 4 << 30 })
row("Templates.list", "", { unary("ListTemplates", {}, { templates = {
  { template_id = "t-1", name = "base", image_ref = "alpine", status = "ready",
    vcpu = 1, memory_bytes = 1024 } } }) },
  function(s) return s.c.template:list() end, { { id = "t-1", name = "base",
    image = "alpine", status = "ready", vcpu = 1, memory_bytes = 1024 } })
row("Templates.create_vm", "by id, and of a Template with a config", {
  unary("CreateVmFromTemplate", { template_id = "t-9" },
    { vm_id = "vm-2" }),
  unary("CreateVmFromTemplate", { template_id = "t-1", name = "web",
    config = VM_CONFIG }, { vm_id = "vm-2", name = "web", status = "pending" }),
}, function(s)
  return { s.c.template:create_vm("t-9"),
    s.c.template:create_vm(s.template, { name = "web", config = CONFIG }) }
end, { { id = "vm-2" }, { id = "vm-2", name = "web", status = "pending" } })
row("Templates.delete", "by id, and a Template", {
  unary("DeleteTemplate", { template_id = "t-9" }),
  unary("DeleteTemplate", { template_id = "t-1" }),
}, function(s)
  s.c.template:delete("t-9")
  s.c.template:delete(s.template)
end)

-- Disks -----------------------------------------------------------------------

row("Disks.create", "a size in text or bytes", {
  unary("CreateDisk", { name = "data", size_bytes = 20 << 30 },
    { disk_id = "d-1", name = "data", size_bytes = 20 << 30,
      status = "ready" }),
  unary("CreateDisk", { name = "data", size_bytes = 4096 }, {}),
}, function(s)
  return s.c.disk:create("data", "20G"), s.c.disk:create("data", 4096)
end, { id = "d-1", name = "data", size_bytes = 20 << 30, status = "ready",
  attachments = {} })
row("Disks.list", "", { unary("ListDisks", {}, { disks = { { disk_id = "d-1",
  name = "data", size_bytes = 1, status = "attached", attachments = { {
    vm_id = "vm-1", vm_name = "web", mount_path = "/d",
    mount_mode = "ro" } } } } }) },
  function(s) return s.c.disk:list() end, { { id = "d-1", name = "data",
    size_bytes = 1, status = "attached", attachments = { { vm_id = "vm-1",
      vm_name = "web", mount_path = "/d", mount_mode = "ro" } } } })
row("Disk.attach", "to a Box or an id", {
  unary("AttachDisk", { disk_id = "d-1", vm_id = "vm-1", mount_path = "/d" }),
  unary("AttachDisk", { disk_id = "d-1", vm_id = "vm-7", mount_path = "/d",
    read_only = true }),
}, function(s)
  s.disk:attach(s.box, "/d")
  local first = s.disk.attachments
  s.disk:attach("vm-7", "/d", { read_only = true })
  return { first, s.disk.attachments }
end, { { { vm_id = "vm-1", vm_name = "web", mount_path = "/d",
  mount_mode = "rw" } }, { { mount_path = "/d", mount_mode = "ro" } } })
row("Disk.detach", "from a Box or an id", {
  unary("DetachDisk", { disk_id = "d-1", vm_id = "vm-1" }),
  unary("DetachDisk", { disk_id = "d-1", vm_id = "vm-7" }),
}, function(s)
  s.disk:detach(s.box)
  s.disk:detach("vm-7")
  return s.disk.attachments
end, {})
row("Disk.destroy", "", { unary("DestroyDisk", { disk_id = "d-1" }) },
  function(s)
    s.disk:destroy()
    return { s.disk.status, s.disk.attachments }
  end, { "destroyed", {} })

-- Domains, networks, tokens, keys ---------------------------------------------

row("Domains.bind", "to a Box", {
  unary("BindDomain", { domain = "a.example", vm_id = "vm-1" }),
}, function(s) s.c.domain:bind("a.example", s.box) end)
row("Domains.bind", "to a name", {
  refused(unary("GetVm", { vm_id = "web" }), 5),
  unary("ListVms", {}, { vms = { VM } }),
  unary("BindDomain", { domain = "a.example", vm_id = "vm-1" }),
}, function(s) s.c.domain:bind("a.example", "web") end)
row("Domains.list", "", { unary("ListDomains", {}, { domains = {
  { domain = "a.example", vm_id = "vm-1" } } }) },
  function(s) return s.c.domain:list() end,
  { { domain = "a.example", vm_id = "vm-1" } })
row("Domains.unbind", "", { unary("UnbindDomain", { domain = "a.example" }) },
  function(s) s.c.domain:unbind("a.example") end)
row("Networks.create", "with and without a name", {
  unary("CreateNetwork", {}, { network_id = "n-1" }),
  unary("CreateNetwork", { name = "lan" }, { network_id = "n-2" }),
}, function(s) return { s.c.network:create(), s.c.network:create("lan") } end,
  { { id = "n-1" }, { id = "n-2" } })
row("Networks.list", "", { unary("ListNetworks", {}, { networks = {
  { network_id = "n-1", subnet = "10.1.0.0/24", status = "active" } } }) },
  function(s) return s.c.network:list() end,
  { { id = "n-1", subnet = "10.1.0.0/24", status = "active" } })
row("Tokens.create", "for the default time, and for another", {
  unary("CreateToken", {}, { token = "eyJ", expires_at = 1893456000 }),
  unary("CreateToken", { expires_in_secs = 60 }, { token = "eyK" }),
}, function(s)
  return { s.c.token:create(), s.c.token:create { expires_in = 60 } }
end, { { token = "eyJ", expires_at = 1893456000 }, { token = "eyK" } })
row("Tokens.list", "", { unary("ListTokens", {}, { tokens = { { jti = "j-1",
  created_at = 1, expires_at = 2 } } }) },
  function(s) return s.c.token:list() end,
  { { jti = "j-1", created_at = 1, expires_at = 2 } })
row("Tokens.revoke", "", { unary("RevokeToken", { jti = "j-1" }) },
  function(s) s.c.token:revoke("j-1") end)
row("ApiKeys.create", "", {
  unary("CreateApiKey", { name = "ci", expires_in_secs = 3600 },
    { id = "k-1", api_key = "bxk_x", expires_at = 9 }),
}, function(s) return s.c.api_key:create { name = "ci", expires_in = 3600 } end,
  { id = "k-1", api_key = "bxk_x", expires_at = 9 })
row("ApiKeys.list", "", { unary("ListApiKeys", {}, { keys = { { id = "k-1",
  name = "ci", key_prefix = "bxk_a", created_at = 5 } } }) },
  function(s) return s.c.api_key:list() end,
  { { id = "k-1", name = "ci", key_prefix = "bxk_a", created_at = 5 } })
row("ApiKeys.delete", "", { unary("DeleteApiKey", { id = "k-1" }) },
  function(s) s.c.api_key:delete("k-1") end)
