-- boxd.local.settings, hostname, box_info: what can be changed of a box that is
-- there, and its reports.

local boxd = require "boxd"
local settings = require "boxd.local.settings"
local status = require "boxd.local.status"
local support = require "spec.support.service"

local refused = support.refused

describe("settings of boxes of the embedded service", function()
  local service, compute, call = support.of_block()
  after_each(function() service:empty() end)

  local function get(box) return call("GetVm", { vm_id = box.id }) end

  describe("the name", function()
    it("stays as it was when the box cannot be given another", function()
      local record = { id = "vm-1", name = "before" }
      local all = setmetatable({ records = { ["vm-1"] = record },
        live = { ["vm-1"] = 1 }, lock = function() end,
        change = function(_, _, changes) record.name = changes.name end,
        spawner = { hostname = function() return nil, "no memory" end } },
        { __index = require "boxd.local.boxes" })
      local ok, e = pcall(settings.rpcs.RenameVm, { boxes = all },
        { vm_id = "vm-1", new_name = "after" })
      assert.is_false(ok)
      local code, message = status.of(e)
      assert.equal("INTERNAL", code)
      assert.equal("can't name the box: no memory", message)
      assert.equal("before", record.name)
    end)

    it("changes under what runs, in the box too", function()
      local box = compute.box:create "before"
      box:sh "echo '10.1.1.1 before.example my-before' | sudo tee -a /etc/hosts"
      box:sh [[(while :; do date +%N > /home/boxd/tick; sleep 0.02; done) \
        >/dev/null 2>&1 &]]
      local id = box:sh("cat /etc/machine-id").stdout
      assert.equal("after",
        call("RenameVm", { vm_id = "before", new_name = "after" }).name)
      assert.equal("after\nafter\n",
        box:sh("hostname; cat /etc/hostname").stdout)
      assert.matches("127.0.1.1\tafter\n10.1.1.1 before.example my%-before\n$",
        (box:read_file "/etc/hosts"):gsub("::1.-\n", ""):gsub("ff0.-\n", ""))
      local tick = box:read_file "/home/boxd/tick"
      support.eventually(function()
        return box:read_file "/home/boxd/tick" ~= tick
      end)
      assert.equal(box.id, call("GetVm", { vm_id = "after" }).vm_id)
      refused("NOT_FOUND", call, "GetVm", { vm_id = "before" })
      for _, field in ipairs { "vm", "vm_name" } do
        local proxies = call("ListProxies", { [field] = "after" }).proxies
        assert.equal("after", proxies[1].vm_name)
      end
      box:reboot()
      assert.equal("after\n" .. id,
        box:sh("hostname; cat /etc/machine-id").stdout)
      service:restart "KILL"
      box = compute.box:get "after"
      assert.equal("after\n", box:sh("hostname").stdout)
      compute.box:create "before"
    end)

    it("changes while the box is down, or suspended", function()
      local box = compute.box:create "down"
      local id = box:sh("cat /etc/machine-id").stdout
      box:sh "echo '# mine' | sudo tee -a /etc/hosts"
      box:stop()
      call("RenameVm", { vm_id = box.id, new_name = "up" })
      service:restart()
      box = compute.box:get "up"
      call("RenameVm", { vm_id = box.id, new_name = "up2" })
      box:start()
      assert.equal("up2\nup2\n" .. id, box:sh(
        "hostname; cat /etc/hostname /etc/machine-id").stdout)
      assert.matches("up2\n.*# mine", box:read_file "/etc/hosts")
      box:suspend()
      call("RenameVm", { vm_id = box.id, new_name = "up3" })
      assert.equal("suspended", get(box).status)
      assert.equal("up3\n", box:sh("hostname").stdout)
      box:stop()
      call("RenameVm", { vm_id = box.id, new_name = "up4" })
      call("RenameVm", { vm_id = box.id, new_name = "up3" })
      box:start()
      assert.equal("up3\n", box:sh("hostname").stdout)
    end)

    it("is one that is free, and a name", function()
      local box = compute.box:create "mine"
      compute.box:create "theirs"
      assert.matches("'theirs' already", refused("ALREADY_EXISTS", call,
        "RenameVm", { vm_id = box.id, new_name = "theirs" }))
      refused("INVALID_ARGUMENT", call, "RenameVm",
        { vm_id = box.id, new_name = "No Name" })
      refused("INVALID_ARGUMENT", call, "RenameVm", { vm_id = box.id })
      refused("NOT_FOUND", call, "RenameVm",
        { vm_id = "nobody", new_name = "x" })
      call("RenameVm", { vm_id = box.id, new_name = "mine" })
      assert.equal("mine", get(box).name)
    end)

    it("goes to one of many concurrent callers", function()
      local boxes, won = {}, 0
      for i = 1, 4 do boxes[i] = compute.box:create("r" .. i) end
      boxd.map(boxes, function(box)
        local ok, e = pcall(call, "RenameVm",
          { vm_id = box.id, new_name = "prize" })
        if ok then won = won + 1 else assert.equal("ALREADY_EXISTS", e.code) end
      end)
      assert.equal(1, won)
    end)

    it("is suggested, and free", function()
      local names = {}
      for i = 1, 5 do
        names[i] = call("SuggestVmName", {}).name
        local box = compute.box:create(names[i])
        assert.equal(names[i], box.name)
      end
    end)
  end)

  describe("the size", function()
    it("is that of a running box at once, where limits are", function()
      local enforced = service:errors():find("memory: limited for each", 1,
        true)
      local box = compute.box:create { name = "s", config = { memory = "1G" } }
      local reply = call("ResizeVm", { vm_id = box.id, vcpu = 1,
        memory_bytes = 64 << 20 })
      assert.equal(64 << 20, reply.memory_bytes)
      assert.is_false(reply.rebooted)
      assert.equal(1, get(box).vcpu)
      local function eat()
        return box:exec("sh", "-c",
          "head -c 200000000 /dev/zero | tail -c 199000000 | wc -c").stdout
      end
      if enforced then
        assert.not_equal("199000000\n", eat())
        call("ResizeVm", { vm_id = box.id, memory_bytes = 1 << 30 })
      end
      assert.equal("199000000\n", eat())
    end)

    it("follows from one number, as a class", function()
      local box = compute.box:create "class"
      local reply = call("ResizeVm", { vm_id = box.id, vcpu = 4 })
      assert.equal(16 << 30, reply.memory_bytes)
      reply = call("ResizeVm", { vm_id = box.id, memory_bytes = 8 << 30 })
      assert.equal(2, reply.vcpu)
      refused("INVALID_ARGUMENT", call, "ResizeVm", { vm_id = box.id })
      refused("INVALID_ARGUMENT", call, "ResizeVm",
        { vm_id = box.id, vcpu = 65 })
      box:suspend()
      refused("FAILED_PRECONDITION", call, "ResizeVm",
        { vm_id = box.id, vcpu = 1 })
      box:resume()
      box:stop()
      assert.is_false(call("ResizeVm", { vm_id = box.id, vcpu = 1 }).rebooted)
      service:restart()
      assert.equal(4 << 30, get(box).memory_bytes)
    end)
  end)

  it("keep the settings of the network and of sharing", function()
    local box = compute.box:create "n"
    local vm = get(box)
    assert.equal("off", vm.bot_protection_mode)
    assert.is_false(vm.isolated)
    assert.is_nil(vm.created_by) -- only of one that is made for somebody else
    assert.is_nil(vm.org)
    call("ShareVm", { vm_id = box.id })
    call("SetVmNetworks", { vm_id = box.id, networks = { "x", "y", "x" } })
    local entries = call("SetVmEgressAllow", { vm = box.id,
      entries = { "API.example.com", "*.example.com", "10.0.0.0/8" } }).entries
    assert.same({ "api.example.com", "*.example.com", "10.0.0.0/8" }, entries)
    call("SetBotProtection", { vm_id = box.id, mode = "sleep_only",
      enabled = true })
    call("SetIdleIgnoreOutbound", { vm_id = box.id, enabled = true })
    service:restart "KILL"
    vm = get(box)
    assert.equal("local", vm.org)
    assert.same({ "x", "y" }, vm.networks)
    assert.same(entries, vm.egress_allow)
    assert.equal("sleep_only", vm.bot_protection_mode)
    assert.is_true(vm.bot_protection and vm.idle_ignore_outbound)
    assert.matches("nothing holds the box to it", service:errors())
    call("UnshareVm", { vm_id = box.id })
    assert.is_nil(get(box).org)
    call("SetBotProtection", { vm_id = box.id })
    assert.is_false(get(box).bot_protection)
    refused("INVALID_ARGUMENT", call, "SetBotProtection",
      { vm_id = box.id, mode = "maybe" })
    for _, entry in ipairs { "", "a b", "-x.com", "300.1.1.1", "1.1.1.1/33",
      "nodot", "*" } do
      refused("INVALID_ARGUMENT", call, "SetVmEgressAllow",
        { vm = box.id, entries = { entry } })
    end
    refused("INVALID_ARGUMENT", call, "SetVmNetworks",
      { vm_id = box.id, networks = { "No" } })
  end)

  it("are given at create, and a fork's of its source", function()
    local made = call("CreateVm", { name = "iso", isolated = true,
      shared = true, networks = { "n1" },
      config = { idle_ignore_outbound = true } })
    local vm = call("GetVm", { vm_id = made.vm_id })
    assert.is_true(vm.isolated and vm.idle_ignore_outbound)
    assert.same({ "n1" }, vm.networks)
    assert.equal("local", vm.org)
    local fork = call("ForkVm", { source_vm_id = made.vm_id, name = "iso2" })
    vm = call("GetVm", { vm_id = fork.vm_id })
    assert.is_true(vm.isolated and vm.idle_ignore_outbound)
    assert.equal("fork", vm.source_info.kind)
    assert.equal("iso", vm.source_info.name)
    assert.equal(made.vm_id, vm.source_info.id)
    assert.is_nil(vm.org)
  end)

  it("have no organisations but the user's own", function()
    call("CreateVm", { name = "o", org = "local" })
    assert.equal(1, #call("ListVms",
      { org = "local", all_contexts = true }).vms)
    for rpc, request in pairs { CreateVm = { org = "acme" },
      ListVms = { org = "acme" },
      GetVmUsage = { vm_id = "o", org = "acme" } } do
      assert.matches("acme", refused("UNIMPLEMENTED", call, rpc, request))
    end
    assert.matches("team", refused("UNIMPLEMENTED", call, "CreateVm",
      { team = "a" }))
  end)

  it("return the time of the last client", function()
    local before = os.time()
    local box = compute.box:create "seen"
    assert.equal(0, get(box).last_connected_ms)
    box:exec "true"
    local at = get(box).last_connected_ms
    assert.is_true(at >= before * 1000 and at <= os.time() * 1000)
    service:restart "KILL"
    assert.is_true(get(box).last_connected_ms >= before * 1000)
  end)

  it("were served without a fault", function()
    assert.is_nil(service:errors():find("traceback", 1, true),
      service:errors())
  end)
end)
