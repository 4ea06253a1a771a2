-- boxd.local.snapshots, boxd.local.checkpoints, boxd.local.captures.

local boxd = require "boxd"
local support = require "spec.support.service"

local refused = support.refused

describe("captures of the embedded service", function()
  local service, compute, call = support.of_block()
  after_each(function() service:empty() end)

  -- How many folders hold captured files.
  local function kept()
    local f <close> = io.popen("ls " .. service.state .. "/captures | wc -l")
    return f:read "n"
  end

  local function folders_of_boxes()
    local f <close> = io.popen("ls " .. service.state .. "/files | wc -l")
    return f:read "n"
  end

  local function create(request)
    return compute.box:get(call("CreateVm", request).vm_id)
  end

  local function restore(snapshot, name, more)
    local request = { snapshot = snapshot, name = name }
    for k, v in pairs(more or {}) do request[k] = v end
    return compute.box:get(call("CreateVmFromSnapshot", request).vm_id)
  end

  it("are snapshots that two boxes are made from, whose source is gone",
    function()
      local box = create { name = "origin",
        env = { { key = "MODE", value = "first" } },
        config = { vcpu = 3, memory_bytes = 1 << 30 } }
      box:write_file("one", "/home/boxd/f")
      local made = support.save(call, { vm = "origin", name = "base" })
      assert.equal("ready", made.status)
      assert.equal(1, made.version)
      box:write_file("two", "/home/boxd/f")
      box:destroy()
      local a, b = restore("base", "a"), restore(made.snapshot_id, "b")
      assert.equal("a\n", a:exec("hostname").stdout)
      assert.equal("one", a:read_file "/home/boxd/f")
      a:write_file("of a", "/home/boxd/f")
      assert.equal("one", b:read_file "/home/boxd/f")
      assert.equal("first\n", b:sh("echo $MODE").stdout)
      local vm = call("GetVm", { vm_id = "b" })
      assert.equal("snapshot", vm.source)
      assert.equal("snapshot", vm.source_info.kind)
      assert.equal("base", vm.source_info.name)
      assert.equal(1, vm.source_info.version)
      assert.equal(made.snapshot_id, vm.source_info.id)
      assert.equal(3, vm.vcpu)
      local s = call("GetSnapshot", { name = "base" }).snapshot
      assert.equal(2, s.use_count)
      assert.equal(3, s.vcpu)
      assert.equal(1 << 30, s.memory_bytes)
      assert.is_true(s.size_bytes > 0)
      assert.is_true(s.created_at > 1000000000000)
      local c = restore("base", "c", { config = { memory_bytes = 2 << 30 } })
      assert.equal(2 << 30, call("GetVm", { vm_id = c.id }).memory_bytes)
    end)

  it("have a version more when their name is saved again", function()
    local box = compute.box:create "again"
    box:write_file("1", "/home/boxd/f")
    local first = support.save(call, { vm = box.id, name = "s" })
    box:write_file("2", "/home/boxd/f")
    local second = support.save(call, { vm = box.id, name = "s" })
    assert.equal(first.snapshot_id, second.snapshot_id)
    assert.equal(2, second.version)
    assert.equal(1, #call("ListSnapshots").snapshots)
    assert.equal(1, kept())
    assert.equal("2", restore("s"):read_file "/home/boxd/f")
    call("DeleteSnapshot", { name = "s" })
    assert.equal(0, kept())
    refused("NOT_FOUND", restore, "s")
    refused("NOT_FOUND", call, "GetSnapshot", { name = "s" })
    refused("NOT_FOUND", call, "DeleteSnapshot", { name = "s" })
  end)

  it("hold the box still: a file is in them whole", function()
    local box = compute.box:create "writer"
    box:sh [[cat >/home/boxd/w.sh <<'E'
i=0
while :; do i=$((i+1)); echo $i >/home/boxd/a; echo $i >/home/boxd/b; done
E
sh /home/boxd/w.sh >/dev/null 2>&1 &]]
    support.eventually(function()
      return box:sh("test -s /home/boxd/b").success
    end)
    support.save(call, { vm = "writer", name = "still" })
    local copy = restore "still"
    local a, b = copy:read_file "/home/boxd/a", copy:read_file "/home/boxd/b"
    assert.is_true(math.abs((tonumber(a) or tonumber(b))
      - (tonumber(b) or tonumber(a))) <= 1, a .. "/" .. b)
    -- It goes on afterwards.
    local before = box:read_file "/home/boxd/a"
    support.eventually(function() return box:read_file "/home/boxd/a" ~= before end)
  end)

  it("are saved and restored by many at once", function()
    local box = compute.box:create "busy"
    box:write_file("x", "/home/boxd/f")
    support.save(call, { vm = "busy", name = "n" })
    boxd.map({ 1, 2, 3, 4, 5, 6 }, function(i)
      if i % 2 == 0 then
        support.save(call, { vm = "busy", name = "n" })
      else
        local ok, made = pcall(restore, "n")
        if ok then
          assert.equal("x", made:read_file "/home/boxd/f")
        else
          assert.matches("is pending", made.message)
        end
      end
    end)
    assert.equal(4, call("GetSnapshot", { name = "n" }).snapshot.version)
    assert.equal(1, kept())
  end)

  it("refuse requests that make no sense", function()
    compute.box:create "r"
    for _, name in ipairs { "", "-x", "a b", "../x", ("n"):rep(64) } do
      refused("INVALID_ARGUMENT", call, "CreateSnapshot",
        { vm = "r", name = name })
      refused("INVALID_ARGUMENT", call, "CreateCheckpoint",
        { vm = "r", name = name })
    end
    refused("NOT_FOUND", call, "CreateSnapshot", { vm = "nobody", name = "s" })
    refused("INVALID_ARGUMENT", call, "CreateSnapshot", { name = "s" })
    refused("INVALID_ARGUMENT", call, "CreateVmFromSnapshot", { name = "x" })
    assert.matches("no organisations", refused("UNIMPLEMENTED", call,
      "ListSnapshots", { org = "acme" }))
    support.save(call, { vm = "r", name = "ok" })
    refused("ALREADY_EXISTS", restore, "ok", "r")
    refused("NOT_FOUND", call, "RestoreCheckpoint", { vm = "r", name = "no" })
    call("CreateCheckpoint", { vm = "r", name = "twice" })
    refused("ALREADY_EXISTS", call, "CreateCheckpoint",
      { vm = "r", name = "twice" })
  end)

  it("are checkpoints, to which a box goes back", function()
    local box = create { name = "cp",
      env = { { key = "KEPT", value = "yes" } } }
    box:write_file("good", "/home/boxd/f")
    local made = call("CreateCheckpoint", { vm = "cp", name = "good" })
    assert.equal("ready", made.status)
    local c = call("ListCheckpoints", { vm = "cp" }).checkpoints[1]
    assert.equal(made.checkpoint_id, c.checkpoint_id)
    assert.is_true(c.available)
    assert.is_true(c.created_at > 1000000000000)
    box:sh "rm -rf /home/boxd/f /usr/bin/env; sleep 1000 >/dev/null 2>&1 &"
    call("RestoreCheckpoint", { vm = "cp", name = "good" })
    assert.equal("good", box:read_file "/home/boxd/f")
    assert.equal("running", call("GetVm", { vm_id = "cp" }).status)
    assert.is_false(box:sh("pgrep -x sleep").success)
    assert.is_true(box:sh("env | grep -q KEPT=yes").success)
    -- Once more, of a box that does not run.
    box:sh "rm /home/boxd/f"
    box:stop()
    call("RestoreCheckpoint", { vm = "cp", name = made.checkpoint_id })
    assert.equal("stopped", call("GetVm", { vm_id = "cp" }).status)
    box:start()
    assert.equal("good", box:read_file "/home/boxd/f")
    assert.equal(1, folders_of_boxes())
    call("DeleteCheckpoint", { vm = "cp", name = "good" })
    assert.same({}, call("ListCheckpoints", { vm = "cp" }).checkpoints)
    assert.equal(0, kept())
    call("CreateCheckpoint", { vm = "cp", name = "goes" })
    box:destroy()
    assert.equal(0, kept())
    assert.equal(0, folders_of_boxes())
  end)

  it("bring a box back as it was, or to its files where it is up", function()
    local box = compute.box:create "down"
    box:write_file("x", "/home/boxd/f")
    call("CreateCheckpoint", { vm = "down", name = "c" })
    for state, rpcs in pairs { suspended = { "SuspendVm", "ResumeVm" },
      hibernated = { "HibernateVm", "WakeVm" },
      stopped = { "StopVm", "StartVm" } } do
      box:sh "rm /home/boxd/f"
      call(rpcs[1], { vm_id = box.id })
      call("RestoreCheckpoint", { vm = "down", name = "c" })
      -- A suspended one had processes: it runs anew.
      assert.equal(state == "suspended" and "running" or state,
        call("GetVm", { vm_id = box.id }).status)
      if state ~= "suspended" then call(rpcs[2], { vm_id = box.id }) end
      assert.equal("x", box:read_file "/home/boxd/f")
    end
  end)

  it("are there after a kill, except unfinished ones", function()
    local box = compute.box:create "k"
    box:write_file("kept", "/home/boxd/f")
    support.save(call, { vm = "k", name = "s" })
    call("CreateCheckpoint", { vm = "k", name = "c" })
    call("RestoreCheckpoint", { vm = "k", name = "c" })
    os.execute("mkdir -p " .. service.state .. "/captures/files-half/fs "
      .. service.state .. "/files/" .. box.id .. ".half")
    service:restart "KILL"
    assert.equal(2, kept())
    assert.equal(1, folders_of_boxes())
    assert.equal("kept", compute.box:get("k"):read_file "/home/boxd/f")
    assert.equal("kept", restore("s"):read_file "/home/boxd/f")
    call("RestoreCheckpoint", { vm = "k", name = "c" })
    assert.equal("kept", compute.box:get("k"):read_file "/home/boxd/f")
  end)

  it("leave a box old or new when a restore is killed", function()
    local box = compute.box:create "torn"
    box:sh "for i in $(seq 300); do echo old >/home/boxd/f$i; done"
    call("CreateCheckpoint", { vm = "torn", name = "old" })
    box:sh "for i in $(seq 300); do echo new >/home/boxd/f$i; done"
    for i = 1, 4 do
      local task = boxd.spawn(pcall, call, "RestoreCheckpoint",
        { vm = "torn", name = "old" })
      boxd.sleep(i * 0.02)
      os.execute("kill -9 " .. service.pid)
      task:join()
      service:restart "KILL"
      box = compute.box:get "torn"
      assert.equal("1\n", box:sh("cat /home/boxd/f* | sort -u | wc -l").stdout)
      assert.equal(1, folders_of_boxes())
      box:sh "for i in $(seq 300); do echo new >/home/boxd/f$i; done"
    end
  end)
end)
