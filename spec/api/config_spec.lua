-- The config of boxes and templates: its form in a request, the values
-- it refuses, and boxd.BoxConfig.

local boxd = require "boxd"
local scripted = require "spec.support.scripted"

local failure, refused = scripted.failure, scripted.refused
local GIB = 1 << 30

local function created(s, config)
  s.c.box:create { name = "web", config = config }
  return s:request "CreateVm"
end

describe("a config", function()
  local s

  setup(function()
    s = scripted.start {
      CreateVm = { vm_id = "v", name = "web", status = "running" },
      GetVm = { vm_id = "v", name = "web", status = "running" },
      ForkVm = { vm_id = "f" }, CreateTemplate = { template_id = "t" },
      CreateVmFromTemplate = { vm_id = "x" },
    }
  end)
  teardown(function() s:close() end)

  it("reaches the request, each field where the contract has it", function()
    local request = created(s, {
      vcpu = 2, memory = "4G", disk = 20 * GIB,
      env = { B = 2, A = "1" }, cmd = { "sleep", "infinity" },
      restart_policy = "never",
      lifecycle = { auto_suspend_timeout = 30, auto_destroy_timeout = 3600 },
      network = { ssh = true, proxies = { { name = "api", port = 3001 },
        { name = "web" } } },
      volumes = { { disk_id = "d1", mount_path = "/data", read_only = true } },
    })
    assert.same({ { key = "A", value = "1" }, { key = "B", value = "2" } },
      request.env)
    assert.same({ "sleep", "infinity" }, request.cmd)
    assert.equal("never", request.restart_policy)
    local config = request.config
    assert.equal(2, config.vcpu)
    assert.equal(4 * GIB, config.memory_bytes)
    assert.equal(20 * GIB, config.disk_bytes)
    assert.same({ auto_suspend_timeout_secs = 30,
      auto_destroy_timeout_secs = 3600 }, config.srf)
    assert.is_true(config.network.ssh)
    assert.same({ { name = "api", port = 3001 }, { name = "web", port = 0 } },
      config.network.proxies)
    assert.same({ { disk_id = "d1", mount_path = "/data", read_only = true } },
      config.volumes)
  end)

  it("may name disks, for services that know them by id alone", function()
    local asked = {}
    local by_id <close> = scripted.start {
      CreateVm = function(request, call)
        local ids = {}
        for i, v in ipairs(request.config.volumes) do ids[i] = v.disk_id end
        asked[#asked + 1] = table.concat(ids, " ")
        for _, id in ipairs(ids) do
          if not id:find "^d%-%d$" then
            return call:finish("NOT_FOUND", "no disk " .. id)
          end
        end
        return { vm_id = "vm-1" }
      end,
      -- The one called "d-1" does not hide the one with that id.
      ListDisks = { disks = { { disk_id = "d-2", name = "d-1" },
        { disk_id = "d-1", name = "data" }, { disk_id = "d-3", name = "data" },
      } },
    }
    local c = by_id.c
    local function create(...)
      local list = {}
      for i, id in ipairs { ... } do
        list[i] = { disk_id = id, mount_path = "/" .. i }
      end
      return pcall(c.box.create, c.box, { config = { volumes = list } })
    end
    assert.is_true(create("d-2", "d-1"))
    assert.same({ "d-2 d-1" }, asked)
    assert.is_true(create("d-1", "data"))
    assert.same({ "d-2 d-1", "d-1 data", "d-1 d-1" }, asked)
    local ok, e = create "none"
    assert.is_false(ok)
    assert.equal("NotFoundError", e.class)
    assert.equal("CreateVm", e.method)
    assert.equal(4, #asked)
  end)

  it("leaves unnamed fields unset", function()
    local request = created(s, nil)
    assert.is_nil(request.config)
    assert.is_nil(request.restart_policy)
    request = created(s, {})
    assert.is_nil(request.config)
    assert.equal("always", request.restart_policy)
    request = created(s, { vcpu = 1 })
    assert.equal("always", request.restart_policy)
    assert.equal(0, request.config.memory_bytes)
    assert.is_nil(request.config.srf)
    assert.is_nil(request.config.network)
    assert.same({}, request.config.volumes)
  end)

  it("keeps ssh on unless it is turned off", function()
    assert.is_true(created(s, { network = {} }).config.network.ssh)
    assert.is_true(created(s, { network = { proxies = { { name = "a" } } } })
      .config.network.ssh)
    assert.is_false(created(s, { network = { ssh = false } })
      .config.network.ssh)
  end)

  it("has sizes as text or an integer of bytes", function()
    for size, bytes in pairs { ["1024"] = 1024, ["1K"] = 1024,
      ["2k"] = 2048, ["512M"] = 512 << 20, ["4g"] = 4 * GIB,
      ["4GiB"] = 4 * GIB, ["4GB"] = 4 * GIB, ["1T"] = 1 << 40,
      [4096] = 4096 } do
      assert.equal(bytes, created(s, { memory = size }).config.memory_bytes)
      assert.equal(bytes, created(s, { disk = size }).config.disk_bytes)
    end
  end)

  local function bad(config, ...)
    local before = s:count()
    local e = failure(created, s, config)
    assert.equal("InvalidArgumentError", e.class)
    for _, part in ipairs { ... } do
      assert.truthy(e.message:find(part, 1, true), e.message)
    end
    assert.equal(before, s:count())
    assert.equal(e.message, failure(boxd.BoxConfig, config).message)
  end

  it("refuses wrong sizes, saying what a size is", function()
    for _, size in ipairs { "4X", "", "G", "-1G", "4 G B", "1e3", "4.5G" } do
      bad({ memory = size }, "4G")
      bad({ disk = size }, "4G")
    end
    bad({ memory = -1 }, "config.memory", "negative")
    bad({ memory = 1.5 }, "config.memory", "\"4G\"")
    bad({ disk = true }, "config.disk", "not true")
    bad({ disk = "9999999999999T" })
  end)

  it("refuses unknown names at every level, naming the nearest", function()
    bad({ vcpus = 2 }, "config", "'vcpus'", "did you mean 'vcpu'")
    bad({ ram = "4G" }, "config", "'ram'")
    bad({ lifecycle = { auto_suspend = 1 } }, "config.lifecycle",
      "'auto_suspend'")
    bad({ lifecycle = { auto_destroy_timeou = 1 } },
      "did you mean 'auto_destroy_timeout'")
    bad({ network = { shh = true } }, "config.network", "did you mean 'ssh'")
    bad({ network = { proxies = { { name = "a", prt = 1 } } } },
      "config.network.proxies[1]", "did you mean 'port'")
    bad({ volumes = { { disk_id = "d", mount_path = "/" },
      { disk = "d", mount_path = "/x" } } }, "config.volumes[2]",
      "did you mean 'disk_id'")
  end)

  it("refuses wrong types and ranges, naming the field", function()
    bad({ vcpu = "2" }, "config.vcpu", "integer", "\"2\"")
    bad({ vcpu = 1.5 }, "config.vcpu", "1.5")
    bad({ vcpu = -1 }, "config.vcpu")
    bad({ vcpu = 1 << 32 }, "config.vcpu")
    bad({ env = "A=1" }, "config.env", "a table")
    bad({ env = { PORT = true } }, "config.env.PORT", "text", "not true")
    bad({ env = { ["1A"] = "x" } }, "config.env", "\"1A\"")
    bad({ env = { "A=1" } }, "config.env", "1")
    bad({ cmd = "sleep 1" }, "config.cmd", "a list")
    bad({ cmd = { "sleep", 1 } }, "config.cmd[2]", "text")
    -- Where the list ends before its hole, as in Lua 5.5, the error says that.
    bad({ cmd = { "sleep", nil, "x" } }, "config.cmd", "hole")
    bad({ cmd = { x = "y" } }, "config.cmd", "list")
    bad({ restart_policy = "sometimes" }, "config.restart_policy", "always",
      "never", "\"sometimes\"")
    bad({ restart_policy = true }, "config.restart_policy")
    bad({ lifecycle = 30 }, "config.lifecycle", "a table")
    bad({ lifecycle = { auto_suspend_timeout = "30" } },
      "config.lifecycle.auto_suspend_timeout", "\"30\"")
    bad({ network = { ssh = "yes" } }, "config.network.ssh")
    bad({ network = { proxies = {} , ssh = 1 } }, "config.network.ssh")
    bad({ network = { proxies = { 80 } } }, "config.network.proxies[1]")
    bad({ network = { proxies = { { port = 80 } } } },
      "config.network.proxies[1].name is missing")
    bad({ network = { proxies = { { name = "a", port = 65536 } } } },
      "config.network.proxies[1].port", "65535")
    bad({ volumes = { { disk_id = "d" } } },
      "config.volumes[1].mount_path is missing")
    bad({ volumes = { { disk_id = 1, mount_path = "/" } } },
      "config.volumes[1].disk_id")
  end)

  it("is a table", function()
    local e = failure(created, s, "4G")
    assert.equal("InvalidArgumentError", e.class)
    assert.matches("config: a table expected", e.message)
    assert.matches("bad argument #1 to 'BoxConfig' %(table expected, got str",
      refused(boxd.BoxConfig, "4G"))
  end)

  it("may be a boxd.BoxConfig, which is the same table", function()
    local config = { vcpu = 3 }
    assert.equal(config, boxd.BoxConfig(config))
    assert.equal(3, created(s, boxd.BoxConfig { vcpu = 3 }).config.vcpu)
    assert.same({}, boxd.BoxConfig())
  end)

  it("is not changed by its use", function()
    local config = { vcpu = 1, env = { A = "1" }, cmd = { "a" },
      network = { proxies = { { name = "x" } } } }
    created(s, config)
    assert.same({ vcpu = 1, env = { A = "1" }, cmd = { "a" },
      network = { proxies = { { name = "x" } } } }, config)
  end)

  it("of a fork and of a template holds no env, cmd or restart_policy",
    function()
      local c = s.c
      local uses = {
        function(config) c.box:fork("v", { config = config }) end,
        function(config) c.template:create { name = "t", config = config } end,
        function(config) c.template:create_vm("t", { config = config }) end,
      }
      for _, use in ipairs(uses) do
        for name, value in pairs { env = { A = "1" }, cmd = { "a" },
          restart_policy = "never" } do
          local e = failure(use, { [name] = value })
          assert.equal("InvalidArgumentError", e.class)
          assert.matches("config." .. name, e.message, 1, true)
        end
        use { vcpu = 7, memory = "1G" }
      end
      for _, rpc in ipairs { "ForkVm", "CreateTemplate",
        "CreateVmFromTemplate" } do
        assert.equal(7, s:request(rpc).config.vcpu)
        assert.equal(GIB, s:request(rpc).config.memory_bytes)
      end
    end)
end)
