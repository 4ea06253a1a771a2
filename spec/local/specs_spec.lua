-- boxd.local.specs, boxd.local.machine_spec, boxd.local.packages.

local boxd = require "boxd"
local support = require "spec.support.service"

local refused = support.refused

describe("machine specs of the embedded service", function()
  local service, compute, call = support.of_block()
  after_each(function() service:empty() end)

  local function create(spec, more)
    local request = { spec = spec }
    for k, v in pairs(more or {}) do request[k] = v end
    return compute.box:get(call("CreateVm", request).vm_id)
  end

  local function vm_of(box) return call("GetVm", { vm_id = box.id }) end

  local function update(box, patch, more)
    local request = { vm = box.id, patch = boxd.json.encode(patch) }
    for k, v in pairs(more or {}) do request[k] = v end
    return call("UpdateMachineSpec", request)
  end

  local function packages_of(box, state)
    local list
    support.eventually(function()
      list = vm_of(box).packages
      return list[#list].state == state
    end)
    return list
  end

  it("refuse an environment that no program can be started with", function()
    refused("INVALID_ARGUMENT", create, { env = { A = ("x"):rep(128 << 10) } })
    local box = create { env = { A = "1" } }
    refused("INVALID_ARGUMENT", update, box,
      { env = { A = ("x"):rep(128 << 10) } })
    local many = {}
    for i = 1, 30 do many["A" .. i] = ("x"):rep(100000) end
    refused("INVALID_ARGUMENT", update, box, { env = many })
    assert.equal("1\n", box:sh("echo $A").stdout)
  end)

  it("make boxes: size, labels, networks, environment, secrets", function()
    call("SetVar", { kind = "secret", name = "NPM_TOKEN", value = "hush",
      scope = "unattached" })
    local box = create({ size = "2X8", labels = { team = "eng" },
      networks = { "eng", "eng" }, env = { NODE_ENV = "dev" }, isolated = true,
      secrets = { "NPM_TOKEN" }, egress = { "API.example.com" },
      connections = { github = "shared:bot" }, agents = { "claude" },
      assign_to = "local" }, { name = "spec" })
    local vm = vm_of(box)
    assert.equal(2, vm.vcpu)
    assert.equal(8 << 30, vm.memory_bytes)
    assert.equal("eng", vm.labels.team)
    assert.same({ "eng" }, { table.unpack(vm.networks) })
    assert.same({ "api.example.com" }, { table.unpack(vm.egress_allow) })
    assert.is_true(vm.isolated)
    assert.equal("dev hush\n", box:sh("echo $NODE_ENV $NPM_TOKEN").stdout)
    assert.equal("2x8", vm.spec.size)
    assert.equal(1, vm.spec.version)
    assert.equal("eng", vm.spec.labels.team)
    assert.equal("local", vm.spec.assign_to)
    assert.equal("dev", vm.created_spec.env.NODE_ENV)
    assert.equal(2, #vm.requirements)
    assert.is_false(vm.requirements[1].met or false)
    assert.equal(1, call("ListVars").vars[1].bound_machines)
    -- Changes by other calls show in the spec, not in the earlier one.
    call("UpdateVmLabels", { vm = "spec", set = { owner = "mike" } })
    vm = vm_of(box)
    assert.equal("mike", vm.spec.labels.owner)
    assert.is_nil(vm.created_spec.labels.owner)
    call("RemoveVar", { kind = "secret", name = "NPM_TOKEN",
      scope = "unattached" })
  end)

  it("are kept over a kill", function()
    local box = create { env = { A = "1" }, size = "1x1" }
    local before = vm_of(box).spec
    service:restart "KILL"
    assert.equal(boxd.json.encode(before), boxd.json.encode(vm_of(box).spec))
    assert.equal("1\n", compute.box:get(box.id):sh("echo $A").stdout)
  end)

  it("keep the end of what packages say, whatever they say", function()
    local box = create { packages = {
      "printf '\\377a\\0b\\n'",
      "printf '#!/bin/sh\\nexec head -c 20000000 /dev/zero' "
        .. ">/usr/local/bin/tail; chmod +x /usr/local/bin/tail" } }
    local p = packages_of(box, "done")
    assert.truthy(p[1].output_tail:find("a.+b\n$"), p[1].output_tail)
    assert.is_true(#p[2].output_tail <= 3 * 4096)
  end)

  it("run packages once, in order, to the first failure", function()
    local box = create { env = { WORD = "of-env" }, packages = {
      "echo one $WORD $DEBIAN_FRONTEND; echo 1 >>/home/boxd/ran",
      "echo two >&2; exit 7", "echo 3 >>/home/boxd/ran" } }
    support.eventually(function()
      return vm_of(box).packages[2].state == "failed"
    end)
    local p = vm_of(box).packages
    assert.equal("done", p[1].state)
    assert.equal(0, p[1].exit_code)
    assert.equal("one of-env noninteractive\n", p[1].output_tail)
    assert.is_true(p[1].started_at_ms > 1000000000000)
    assert.equal(7, p[2].exit_code)
    assert.equal("two\n", p[2].output_tail)
    assert.equal("pending", p[3].state)
    assert.matches("one of%-env.*two", box:read_file
      "/var/log/boxd/packages.log")
    assert.is_nil(compute:call("ListVms").vms[1].packages[1].output_tail)
    box:reboot()
    assert.equal("1\n", box:read_file "/home/boxd/ran")
    -- The failed one is removed: it is skipped, and what follows runs.
    local reply = update(box, { packages = {
      p[1].command, p[3].command } })
    assert.same({ p[2].command },
      { table.unpack(reply.changes[1].skipped) })
    support.eventually(function()
      return vm_of(box).packages[2].state == "done"
    end)
    assert.equal("1\n3\n", box:read_file "/home/boxd/ran")
    assert.equal("skipped", vm_of(box).packages[3].state)
  end)

  it("run failed packages again when asked", function()
    local box = create { packages = { "test -e /home/boxd/go", "echo x >/home/boxd/x" } }
    support.eventually(function()
      return vm_of(box).packages[1].state == "failed"
    end)
    box:write_file("", "/home/boxd/go")
    local reply = update(box, {}, { retry_packages = true })
    assert.equal("test -e /home/boxd/go", reply.changes[1].changed[1])
    packages_of(box, "done")
    assert.equal("x\n", box:read_file "/home/boxd/x")
  end)

  it("run again what the box's end cut short, without secrets in its output",
    function()
      call("SetVar", { kind = "secret", name = "HUSH", value = "a.b%c" })
      local box = create { packages = { "echo $HUSH; echo >>/home/boxd/n; "
        .. "test $(wc -l </home/boxd/n) = 2 || exec sleep 1000" } }
      support.eventually(function()
        return box:sh("test -s /home/boxd/n").success
      end)
      service:restart "KILL"
      local p = packages_of(box, "done")[1]
      assert.equal("[secret HUSH]\n", p.output_tail)
      call("RemoveVar", { kind = "secret", name = "HUSH" })
    end)

  it("start from snapshots, and merge with theirs", function()
    local source = create({ env = { A = "1", B = "1" }, networks = { "x" },
      labels = { k = "old" }, packages = { "echo >>/home/boxd/n" } },
      { name = "src" })
    packages_of(source, "done")
    source:write_file("kept", "/home/boxd/f")
    support.save(call, { vm = "src", name = "golden" })
    source:destroy()
    local box = create { base = { snapshot = "golden" }, env = { B = "2" },
      networks = { "y" }, labels = { k = "new" },
      packages = { "echo more >/home/boxd/m" } }
    assert.equal("kept", box:read_file "/home/boxd/f")
    assert.equal("1 2\n", box:sh("echo $A $B").stdout)
    local vm = vm_of(box)
    assert.equal("new", vm.labels.k)
    assert.same({ "x", "y" }, { table.unpack(vm.networks) })
    assert.equal("snapshot", vm.source)
    assert.equal("golden", vm.spec.base.snapshot)
    packages_of(box, "done")
    assert.equal("\n", box:read_file "/home/boxd/n")
    assert.equal("more\n", box:read_file "/home/boxd/m")
    refused("INVALID_ARGUMENT", create, { base = { snapshot = "golden" },
      size = "1x1" })
    refused("NOT_FOUND", create, { base = { snapshot = "no" } })
    -- Without one of its own, a box has its snapshot's.
    local plain = compute.box:get(call("CreateVmFromSnapshot",
      { snapshot = "golden" }).vm_id)
    assert.equal("1", vm_of(plain).spec.env.B)
    local fork = compute.box:get(call("ForkVm",
      { source_vm_id = box.id }).vm_id)
    assert.equal("2", vm_of(fork).spec.env.B)
    assert.equal("1 2\n", fork:sh("echo $A $B").stdout)
  end)

  it("are updated by a patch, whose answer lists the changes", function()
    local box = create { labels = { a = "1", b = "2" }, env = { E = "1" },
      size = "1x1" }
    local null = boxd.json.null
    local patch = { labels = { a = null, c = "3" }, env = { E = "2" },
      networks = { "n" } }
    local dry = update(box, patch, { dry_run = true })
    assert.is_false(dry.applied or false)
    assert.equal("1\n", box:sh("echo $E").stdout)
    local reply = update(box, patch)
    assert.is_true(reply.applied)
    assert.is_true(reply.reboot_recommended)
    local by_field = {}
    for _, change in ipairs(reply.changes) do by_field[change.field] = change end
    assert.equal("live", by_field.labels.apply)
    assert.equal("c", by_field.labels.added[1])
    assert.equal("a", by_field.labels.removed[1])
    assert.equal("reboot_recommended", by_field.env.apply)
    assert.equal("E", by_field.env.changed[1])
    assert.equal("2\n", box:sh("echo $E").stdout)
    local vm = vm_of(box)
    assert.is_nil(vm.labels.a)
    assert.equal("3", vm.labels.c)
    assert.equal("n", vm.networks[1])
    -- A size needs a reboot.
    local size = { size = "2x2" }
    assert.is_true(update(box, size, { dry_run = true }).reboot_required)
    refused("FAILED_PRECONDITION", update, box, size)
    local sized = update(box, size, { reboot = true })
    assert.is_true(sized.rebooted)
    assert.equal("1x1", sized.changes[1].before)
    assert.equal("2x2", sized.changes[1].after)
    assert.equal(2 << 30, vm_of(box).memory_bytes)
    assert.same({}, update(box, {}).changes)
  end)

  it("are updated as they were read, or not at all", function()
    local box = create { labels = { a = "1" } }
    local expected = boxd.json.encode { version = 1, labels = { a = "1" } }
    update(box, { labels = { b = "2" } }, { expected_spec = expected })
    refused("ABORTED", update, box, { labels = { b = "3" } },
      { expected_spec = expected })
    refused("FAILED_PRECONDITION", update, box, { isolated = true,
      labels = { z = "1" } })
    assert.is_nil(vm_of(box).labels.z)
    refused("INVALID_ARGUMENT", update, box, { colour = "red" })
    refused("INVALID_ARGUMENT", call, "UpdateMachineSpec",
      { vm = box.id, patch = "[" })
    local other = compute.box:create()
    refused("FAILED_PRECONDITION", update, other, { labels = {} })
  end)

  it("are changed by a function, again where another change came first", function()
    local box = create { labels = { n = "0" }, env = { A = "1", B = "2" } }
    local runs = 0
    boxd.map({ 1, 2, 3, 4 }, function()
      local mine = compute.box:get(box.id)
      mine:update_spec(function(spec)
        runs = runs + 1
        boxd.sleep(0.02)
        spec.labels.n = tostring(tonumber(spec.labels.n) + 1)
        spec.env.B = nil
        spec.networks[1] = "n1"
      end)
    end)
    assert.equal("4", vm_of(box).labels.n)
    assert.same({ A = "1" }, vm_of(box).spec.env)
    assert.same({ "n1" }, vm_of(box).networks)
    assert.is_true(runs > 4, runs .. " runs: nothing came first")
    -- Fields of the object are as the spec.
    box:update_spec(function(spec) spec.labels, spec.networks = nil, nil end)
    assert.same({}, box.labels)
    assert.same({}, box.networks)
    local reply = box:update_spec(function() return { env = { A = "9" } } end,
      { dry_run = true })
    assert.equal("env", reply.changes[1].field)
    assert.equal("1", vm_of(box).spec.env.A)
    -- What the function raises is raised, and nothing is written.
    local ok, e = pcall(box.update_spec, box, function(spec)
      spec.env.A = "8"
      error("mine", 0)
    end)
    assert.same({ false, "mine" }, { ok, e })
    for _, bad in ipairs { function() return 1 end,
      function(spec) spec.colour = "red" end } do
      assert.is_false(pcall(box.update_spec, box, bad))
    end
    refused(nil, box.update_spec, box, print, { expected_spec = {} })
    assert.equal("1", vm_of(box).spec.env.A)
  end)

  it("are refused where they make no sense", function()
    for _, spec in ipairs { { version = 9 }, { size = "big" },
      { size = "0x4" }, { size = "99x4" }, { env = { ["a b"] = "" } },
      { env = { A = "" }, secrets = { "A" } }, { labels = { ["A!"] = "" } },
      { connections = { slack = "all" } }, { assign_to = "somebody" },
      { packages = { ("x"):rep(5000) } }, { egress = { "no host" } } } do
      refused("INVALID_ARGUMENT", create, spec)
    end
    assert.matches("no teams", refused("UNIMPLEMENTED", create,
      { base = { team = "eng" } }))
    assert.matches("in the spec", refused("INVALID_ARGUMENT", create, {},
      { labels = { a = "1" } }))
    assert.equal(0, #compute.box:list())
  end)
end)
