-- What today's methods refuse before any call, how specs merge, and what errors
-- say of RPCs that are gone.

local boxd = require "boxd"
local scripted = require "spec.support.scripted"

local failure, refused = scripted.failure, scripted.refused

-- The message of the InvalidArgumentError that f(...) raises.
local function invalid(f, ...)
  local e = failure(f, ...)
  assert.equal("InvalidArgumentError", e.class)
  assert.is_nil(e.grpc_code)
  return e.message
end

describe("boxd.spec", function()
  it("merges maps, joins lists, and leaves its pieces as they are", function()
    local eng = { env = { A = "1", B = "1" }, networks = { "x", "y", "x" },
      size = "2X8", labels = { team = "eng" } }
    local one = boxd.spec { eng, { secrets = { "KEY" } }, env = { A = "2" },
      networks = { "y", "z" }, size = " 2x8 " }
    assert.same({ version = 1, size = "2x8", env = { A = "2", B = "1" },
      networks = { "x", "y", "z" }, labels = { team = "eng" },
      secrets = { "KEY" } }, one)
    assert.same({ env = { A = "1", B = "1" }, networks = { "x", "y", "x" },
      size = "2X8", labels = { team = "eng" } }, eng)
    assert.same(one, boxd.spec { one, one })
    one.env.A = "3"
    assert.equal("1", eng.env.A)
  end)

  it("only ever turns isolation on, and takes a spec as it was read", function()
    assert.same({ version = 1, isolated = true },
      boxd.spec { { isolated = true }, { isolated = false } })
    assert.same({ version = 1 }, boxd.spec { version = 0, size = "",
      labels = {}, networks = {}, isolated = false })
    assert.same({ version = 1 }, boxd.spec {})
  end)

  it("names the field that is set twice to different values", function()
    for field, values in pairs {
      version = { 1, 2 }, size = { "1x4", "2x8" },
      assign_to = { "u-1", "u-2" },
      base = { { team = "eng" }, { snapshot = "eng" } },
    } do
      assert.matches("^spec%." .. field .. ": set twice to different values, "
        .. ".* and .*", invalid(boxd.spec, { { [field] = values[1] },
        { [field] = values[2] } }))
      assert.not_nil(boxd.spec { { [field] = values[1] },
        { [field] = values[1] } }[field])
    end
    assert.matches("^spec.base: .*{ team = \"a\" } and { team = \"b\" }",
      invalid(boxd.spec, { { base = { team = "a" } },
        { base = { team = "b" } } }))
  end)

  it("names the field of an invalid spec", function()
    assert.matches("sized.*did you mean 'size'", invalid(boxd.spec,
      { sized = "1x4" }))
    assert.matches("^spec.networks: a list", invalid(boxd.spec,
      { networks = "x" }))
    assert.matches("^spec.networks%[2%]: text", invalid(boxd.spec,
      { networks = { "x", 2 } }))
    assert.matches("^spec.env.A: text", invalid(boxd.spec, { env = { A = 1 } }))
    assert.matches("^spec.base: exactly one", invalid(boxd.spec,
      { base = { team = "a", snapshot = "b" } }))
    assert.matches("^spec.base: exactly one", invalid(boxd.spec, { base = {} }))
    assert.matches("^spec.secrets: \"A\" is in env", invalid(boxd.spec,
      { { env = { A = "1" } }, { secrets = { "A" } } }))
    assert.matches("^spec: a piece is a table", invalid(boxd.spec, { "x" }))
    assert.matches("bad argument #1 to 'spec'", refused(boxd.spec, 1))
  end)
end)

describe("today's methods", function()
  local s, c, box

  setup(function()
    s = scripted.start {}
    c, box = s.c, s:box()
  end)
  teardown(function() s:close() end)

  it("refuse before any call what can't be right", function()
    local before = #s.seen
    for message, f in pairs {
      ["create: image does not go with from_snapshot"] = function()
        c.box:create { from_snapshot = "s", image = "alpine" }
      end,
      ["create: shared does not go with from_snapshot"] = function()
        c.box:create { from_snapshot = "s", shared = true }
      end,
      ["create: networks does not go with from_snapshot"] = function()
        c.box:create { from_snapshot = "s", networks = {} }
      end,
      ["create: team does not go with from_snapshot"] = function()
        c.box:create { from_snapshot = "s", team = "t" }
      end,
      ["config.env: a box from a snapshot takes it from there"] = function()
        c.box:create { from_snapshot = "s", config = { env = { A = "1" } } }
      end,
      ["config.cmd: a box from a snapshot"] = function()
        c.box:create { from_snapshot = "s", config = { cmd = { "x" } } }
      end,
      ["create: labels does not go with spec"] = function()
        c.box:create { spec = {}, labels = { a = "b" } }
      end,
      ["create: config.memory does not go with spec"] = function()
        c.box:create { spec = {}, config = { memory = "1G" } }
      end,
      ["create: from_snapshot: an id or a name expected"] = function()
        c.box:create { from_snapshot = "" }
      end,
      ["spec.size: set twice"] = function()
        c.box:create { spec = { { size = "1x4" }, size = "2x8" } }
      end,
      ["create: labels.a: text expected, not 1"] = function()
        c.box:create { labels = { a = 1 } }
      end,
      ["create: networks%[1%]: text"] = function()
        c.box:create { networks = { true } }
      end,
      ["list: labels.env: text"] = function()
        c.box:list { labels = { env = true } }
      end,
      ["list: labels.env: text without a NUL"] = function()
        c.box:list { labels = { env = "prod\0x" } }
      end,
      ["list: labels: text without a NUL expected, not \"a"] = function()
        c.box:list { labels = { "a\0=x" } }
      end,
      ["list: labels: text without a NUL expected, not 1.5"] = function()
        c.box:list { labels = { [1.5] = "x" } }
      end,
      ["resize: vcpu or memory expected"] = function() box:resize {} end,
      ["resize: vcpu: an integer from 0"] = function()
        box:resize { vcpu = -1 }
      end,
      ["set_auto_suspend_timeout: timeout_secs: an integer from 0"] = function()
        box:set_auto_suspend_timeout(-1)
      end,
      ["set_delete_after: seconds: an integer from 0"] = function()
        box:set_delete_after(-1)
      end,
      ["set_delete_after: a number of seconds, or"] = function()
        box:set_delete_after {}
      end,
      ["set_labels: replace_all removes every other"] = function()
        box:set_labels({}, { replace_all = true, remove = { "a" } })
      end,
      ["set_labels.a: text"] = function() box:set_labels { a = 1 } end,
      ["set_bot_protection: \"on\", \"sleep_only\" or \"off\""] = function()
        box:set_bot_protection "maybe"
      end,
      ["expose: vm_port: an integer from 0 to 65535"] = function()
        box:expose(65536)
      end,
      ["'sized'.*did you mean 'size'"] = function()
        box:update_spec { sized = "1x4" }
      end,
      ["update_spec: networks: a list"] = function()
        box:update_spec { networks = "x" }
      end,
      ["update_spec: labels.a: text"] = function()
        box:update_spec { labels = { a = 1 } }
      end,
      ["schedule_set: exactly one of interval and cron"] = function()
        c.backup:schedule_set(box, { retention = 60 })
      end,
      ["schedule_set: exactly one of"] = function()
        c.backup:schedule_set(box, { retention = 60, interval = 1, cron = "" })
      end,
      ["schedule_set: retention"] = function()
        c.backup:schedule_set(box, { interval = 1 })
      end,
      ["create: an id or a name expected"] = function()
        c.snapshot:create("", "x")
      end,
    } do
      assert.matches(message, invalid(f))
    end
    assert.equal(before, #s.seen)
  end)

  it("name the argument or option of a wrong type", function()
    local before = #s.seen
    for message, f in pairs {
      ["bad argument #1 to 'rename' %(string"] = function() box:rename(1) end,
      ["bad argument #1 to 'expose' %(integer"] = function()
        box:expose "80"
      end,
      ["bad argument #1 to 'set_networks' %(table"] = function()
        box:set_networks "a"
      end,
      ["bad argument #2 to 'copy' %(string"] = function() box:copy "/a" end,
      ["bad argument #1 to 'create' %(boxd.Box or string"] = function()
        c.checkpoint:create(5, "x")
      end,
      ["bad argument #2 to 'create' %(string"] = function()
        c.checkpoint:create(box)
      end,
      ["bad argument #1 to 'get' %(boxd.Snapshot or string"] = function()
        c.snapshot:get(box)
      end,
      ["bad argument #2 to 'set' %(string"] = function() c.env:set "A" end,
      ["bad option 'org' to 'list' %(string"] = function()
        c.snapshot:list { org = 1 }
      end,
      ["bad option 'from_snapshot' to 'create' %(boxd.Snapshot or string "
        .. "expected, got boxd.Box"]
        = function() c.box:create { from_snapshot = box } end,
      ["bad option 'shared' to 'create' %(boolean"] = function()
        c.box:create { shared = "yes" }
      end,
      ["bad option 'dry_run' to 'update_spec' %(boolean"] = function()
        box:update_spec({}, { dry_run = 1 })
      end,
    } do
      assert.matches(message, refused(f))
    end
    assert.equal(before, #s.seen)
  end)

  it("name the replacement of a removed call", function()
    for successor, f in pairs {
      ["c.snapshot:create"] = function()
        c.template:create { name = "t" }
      end,
      ["c.snapshot:list"] = function() c.template:list() end,
      ["c.snapshot:delete"] = function() c.template:delete "t" end,
      ["from_snapshot = name"] = function() c.template:create_vm "t" end,
      ["box:resize"] = function() c:call("ChangeShape", {}) end,
      ["c.domain:bind"] = function() c:call("BindDomain", {}) end,
    } do
      local e = failure(f)
      assert.equal("UNIMPLEMENTED", e.code)
      assert.matches("no handler of", e.message, 1, true)
      assert.matches(successor, e.message, 1, true)
    end
    assert.equal("no handler of CreateTeam",
      failure(c.call, c, "CreateTeam", {}).message)
  end)

  it("take objects where ids are", function()
    s.handlers.GetSnapshot = { snapshot = { snapshot_id = "s-1" } }
    s.handlers.CreateVmFromSnapshot = { vm_id = "vm2" }
    s.handlers.CreateDisk = { disk_id = "d-1" }
    s.handlers.CreateVm = { vm_id = "vm3" }
    c.box:create { from_snapshot = c.snapshot:get "x" }
    assert.equal("s-1", s:request "CreateVmFromSnapshot".snapshot)
    c.box:create { config = { volumes = { {
      disk_id = c.disk:create("d", 1), mount_path = "/d" } } } }
    assert.equal("d-1", s:request "CreateVm".config.volumes[1].disk_id)
    assert.matches("config.volumes%[1%].disk_id: text expected, not a "
      .. "boxd.Box", invalid(c.box.create, c.box, { config = { volumes = {
        { disk_id = box, mount_path = "/d" } } } }))
  end)

  it("raise for a snapshot that is not in its answer", function()
    s.handlers.GetSnapshot = {}
    assert.equal("NotFoundError", failure(c.snapshot.get, c.snapshot, "x").class)
  end)
end)
