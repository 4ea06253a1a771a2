-- Methods of one call: each by what it sends, what it refuses of its arguments,
-- and the state it leaves alone when the service refuses it.

local boxd = require "boxd"
local core = require "boxd.core"
local scripted = require "spec.support.scripted"

local failure, refused = scripted.failure, scripted.refused

local VM = { vm_id = "vm1", name = "web", status = "running", vcpu = 1,
  memory_bytes = 2, labels = { a = "b" } }

local function missing(_, call) call:finish("NOT_FOUND", "there is none") end

-- Of a method: its object, its name, arguments that are right, the RPC, a call
-- with a wrong type (nil: options_spec has it) and what that must say.
local ROWS = {
  { "box", "reboot", {}, "RebootVm", { { wait = 1 } },
    "bad option 'wait' to 'reboot' %(boolean expected, got number%)" },
  { "box", "destroy", {}, "DestroyVm", { { missing_ok = "yes" } },
    "bad option 'missing_ok' to 'destroy' %(boolean expected, got string%)" },
  { "box", "resize", { { vcpu = 2 } }, "ResizeVm", { { vcpu = "2" } },
    "bad option 'vcpu' to 'resize' %(integer expected, got string%)" },
  { "box", "resize", { { memory = "4G" } }, "ResizeVm", { { memory = {} } },
    "bad option 'memory' to 'resize' %(size expected, got table%)" },
  { "box", "set_labels", { { c = "d" } }, "UpdateVmLabels", { {}, { remove = "a" } },
    "bad option 'remove' to 'set_labels' %(table expected, got string%)" },
  { "box", "set_delete_after", { 60 }, "SetDeleteAfter", { "60" },
    "bad argument #1 to 'set_delete_after' %(integer expected, got string%)" },
  { "box", "set_delete_after", { { cron = "0 3 * * *" } }, "SetDeleteAfter",
    { { cron = 3 } },
    "bad option 'cron' to 'set_delete_after' %(string expected, got number%)" },
  { "box", "set_bot_protection", { "on" }, "SetBotProtection", { 1 },
    "bad argument #1 to 'set_bot_protection' %(string expected, got number%)" },
  { "box", "proxies", {}, "ListProxies" },
  { "box", "create_proxy", { "api", 80 }, "CreateProxy", { "api", "80" },
    "bad argument #2 to 'create_proxy' %(integer expected, got string%)" },
  { "box", "set_proxy_port", { 80, "api" }, "SetProxyPort", { "80" },
    "bad argument #1 to 'set_proxy_port' %(integer or \"auto\" expected" },
  { "box", "delete_proxy", { "api" }, "DeleteProxy", { 80 },
    "bad argument #1 to 'delete_proxy' %(string expected, got number%)" },
  { "box", "mkdir", { "/d" }, "Mkdir", { "/d", { owner = 1 } },
    "bad option 'owner' to 'mkdir' %(string expected, got number%)" },
  { "files", "mkdir", { "/d" }, "Mkdir", { 1 },
    "bad argument #1 to 'mkdir' %(string expected, got number%)" },
  { "disk", "attach", { "box", "/data" }, "AttachDisk", { "vm1" },
    "bad argument #2 to 'attach' %(string expected, got nil%)" },
  { "disk", "detach", { "box" }, "DetachDisk", { {} },
    "bad argument #1 to 'detach' %(boxd.Box or string expected, got table%)" },
  { "c.backup", "schedule_get", { "vm1" }, "GetBackupSchedule", { 1 },
    "bad argument #1 to 'schedule_get' %(boxd.Box or string expected" },
  { "c.backup", "schedule_set", { "vm1", { cron = "0 3 * * *", retention = 60 } },
    "SetBackupSchedule", { "vm1", { cron = 3, retention = 60 } },
    "bad option 'cron' to 'schedule_set' %(string expected, got number%)" },
  { "c.env", "list", {}, "ListVars", { { org = 1 } },
    "bad option 'org' to 'list' %(string expected, got number%)" },
  { "c.secret", "list", {}, "ListVars", { { org = {} } },
    "bad option 'org' to 'list' %(string expected, got table%)" },
  { "c.domain", "bind", { "a.example", "box" }, "BindDomain", { "a.example", 1 },
    "bad argument #2 to 'bind' %(boxd.Box or string expected, got number%)" },
  { "c.domain", "list", {}, "ListDomains" },
  { "c.domain", "unbind", { "a.example" }, "UnbindDomain", { 1 },
    "bad argument #1 to 'unbind' %(string expected, got number%)" },
  { "c.box", "destroy", { "box" }, "DestroyVm", { 1 },
    "bad argument #1 to 'destroy' %(boxd.Box or string expected, got number%)" },
  { "c", "call", { "GetVm", {} }, "GetVm", { "GetVm", "vm1" },
    "bad argument #2 to 'call' %(table expected, got string%)" },
  { "c", "stream", { "StreamLogs", {} }, "StreamLogs", { "StreamLogs", 1 },
    "bad argument #2 to 'stream' %(table expected, got number%)" },
}

describe("a method of one call", function()
  local s, holders

  before_each(function()
    s = scripted.start { GetVm = VM, CreateDisk = { disk_id = "d1" },
      CreateVm = { vm_id = "vm1", name = "web", status = "running" } }
    local box = s.c.box:get "vm1"
    holders = { c = s.c, box = box, files = box.files, disk = s.c.disk:create("d", 1) }
    for _, name in ipairs { "box", "domain", "backup", "env", "secret" } do
      holders["c." .. name] = s.c[name]
    end
  end)
  after_each(function() s:close() end)

  -- Calls the row's method; "box" is the Box.
  local function invoke(row, given)
    local args = {}
    for i, v in ipairs(given) do args[i] = v == "box" and holders.box or v end
    local holder = holders[row[1]]
    local result = holder[row[2]](holder, table.unpack(args))
    if row[2] == "stream" then result() end
  end

  for _, row in ipairs(ROWS) do
    local name = row[1] .. ":" .. row[2]
    if row[5] then
      it("names an argument of a wrong type: " .. name .. " of "
        .. row[6]:match "'(.-)'", function()
        local before = #s.seen
        assert.matches(row[6], refused(invoke, row, row[5]))
        assert.equal(before, #s.seen)
      end)
    end
    it("raises what the service refuses, and sets nothing: " .. name .. " by "
      .. row[4] .. (row[5] and row[6]:match "'(.-)'" or ""), function()
      s.handlers[row[4]] = missing
      local e = failure(invoke, row, row[3])
      assert.same({ "NotFoundError", "NOT_FOUND", row[4] },
        { e.class, e.code, e.method })
      assert.equal("there is none", e.message)
      local box, disk = holders.box, holders.disk
      assert.same({ "running", 1, 2, { a = "b" } },
        { box.status, box.vcpu, box.memory_bytes, box.labels })
      assert.is_nil(box.delete_at)
      assert.is_nil(box.bot_protection_mode)
      assert.same({}, disk.attachments)
    end)
  end

  it("refuses a mode or an owner of a folder that are none before any call",
    function()
      local before = #s.seen
      for _, opts in ipairs { { mode = 644 }, { mode = false }, { owner = "" },
        { owner = "a b" } } do
        assert.equal("InvalidArgumentError",
          failure(holders.box.mkdir, holders.box, "/d", opts).class)
      end
      assert.equal(before, #s.seen)
    end)

  it("that names a box by text is made again with the id of the box of that name",
    function()
      local function by_id(request, call)
        if request.vm_id == "vm1" then return {} end
        call:finish("NOT_FOUND", "no box " .. request.vm_id)
      end
      for _, rpc in ipairs { "AttachDisk", "DetachDisk", "DestroyVm" } do
        s.handlers[rpc] = by_id
      end
      s.handlers.GetVm = missing
      s.handlers.ListVms = { vms = { VM } }
      local disk = holders.disk
      disk:attach("web", "/data", { read_only = true })
      assert.same({ { vm_id = "vm1", vm_name = "web", mount_path = "/data",
        mount_mode = "ro" } }, disk.attachments)
      disk:detach "web"
      assert.same({}, disk.attachments)
      s.c.box:destroy "web"
      assert.equal("vm1", s.seen[#s.seen].request.vm_id)
      for _, f in ipairs { function() disk:attach("none", "/d") end,
        function() disk:detach "none" end,
        function() s.c.box:destroy "none" end } do
        local e = failure(f)
        assert.equal("no box none", e.message)
        assert.not_equal("GetVm", e.method)
      end
      s.c.box:destroy("none", { missing_ok = true })
    end)

  it("that looks up a name raises what refuses the look-up", function()
    s.handlers.AttachDisk = missing
    s.handlers.GetVm = function(_, call) call:finish("PERMISSION_DENIED", "no") end
    local e = failure(holders.disk.attach, holders.disk, "web", "/d")
    assert.same({ "PermissionDeniedError", "GetVm" }, { e.class, e.method })
  end)

  it("that destroys a Box tells it, whichever object has the method", function()
    s.handlers.DestroyVm = {}
    s.c.box:destroy(holders.box)
    assert.equal("destroyed", holders.box.status)
    s.handlers.DestroyVm = missing
    local other = s.c.box:create()
    assert.equal("NotFoundError", failure(other.destroy, other).class)
    assert.equal("running", other.status)
    s.c.box:destroy(other, { missing_ok = true })
    assert.equal("destroyed", other.status)
  end)

  it("that destroys a temporary box has it in no list any more", function()
    s.handlers.DestroyVm = {}
    local function count()
      local n = 0
      for _ in pairs(core.living) do n = n + 1 end
      return n
    end
    local first, second = s.c.box:temporary(), s.c.box:temporary()
    assert.equal(2, count())
    first:destroy()
    assert.equal(1, count())
    s.c.box:destroy(second)
    assert.equal(0, count())
    do
      local third <close> = s.c.box:temporary()
      assert.equal("vm1", third.id)
    end
    assert.equal(0, count())
  end)

  it("of domains is made of the contract that the service knows, from then on",
    function()
      s.handlers.AddCustomDomain = { domain = { domain = "a.example",
        vm_id = "vm1" } }
      s.handlers.ListCustomDomains = { domains = { { domain = "a.example" } } }
      s.handlers.RemoveCustomDomain = {}
      local before = #s.seen
      assert.equal("vm1", s.c.domain:bind("a.example", holders.box).vm_id)
      assert.equal("a.example", s.c.domain:list()[1].domain)
      s.c.domain:unbind "a.example"
      local rpcs = {}
      for i = before + 1, #s.seen do rpcs[#rpcs + 1] = s.seen[i].rpc end
      assert.same({ "AddCustomDomain", "ListCustomDomains",
        "RemoveCustomDomain" }, rpcs)
      s.handlers.AddCustomDomain, s.handlers.BindDomain = nil, {}
      assert.is_nil(s.c.domain:bind("a.example", holders.box))
      s.handlers.BindDomain = nil
      local e = failure(s.c.domain.bind, s.c.domain, "a", holders.box)
      assert.equal("UNIMPLEMENTED", e.code)
    end)

  it("of domains binds the box that a text names", function()
    s.handlers.GetVm, s.handlers.ListVms = missing, { vms = { VM } }
    s.handlers.BindDomain = {}
    s.c.domain:bind("a.example", "web")
    assert.same({ domain = "a.example", vm_id = "vm1" },
      s.seen[#s.seen].request)
    local e = failure(s.c.domain.bind, s.c.domain, "a.example", "none")
    assert.equal("NotFoundError", e.class)
    assert.matches("none", e.message)
  end)

  it("keeps its time for all of its calls", function()
    s.handlers.AttachDisk, s.handlers.GetVm = missing, missing
    s.handlers.ListVms = function()
      boxd.sleep(60)
      return {}
    end
    local started = boxd.now()
    local e = failure(holders.disk.attach, holders.disk, "web", "/d",
      { timeout = 0.3 })
    assert.equal("TimeoutError", e.class)
    assert.is_true(boxd.now() - started < 20)
  end)
end)
