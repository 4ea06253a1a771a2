-- The lines of "Snapshots, forks, checkpoints" in the known facts of boxd.sh as
-- it runs, which a client of the embedded service can show.

local support = require "spec.support.service"

local refused = support.refused

describe("a saved state of a box, as on boxd.sh:", function()
  local service, compute, call = support.of_block()
  after_each(function() service:empty() end)

  local function state_of(name)
    return call("GetSnapshot", { name = name }).snapshot
  end

  -- A box whose copy takes a moment.
  local function create(name)
    local box = compute.box:create(name)
    box:sh "head -c 60000000 /dev/urandom >/tmp/big; mkdir -p /tmp/t"
    return box
  end

  it("the source of a snapshot or a checkpoint must be running", function()
    local box = compute.box:create "src"
    for state, rpcs in pairs { suspended = { "SuspendVm", "ResumeVm" },
      hibernated = { "HibernateVm", "WakeVm" },
      stopped = { "StopVm", "StartVm" } } do
      call(rpcs[1], { vm_id = box.id })
      for _, rpc in ipairs { "CreateSnapshot", "CreateCheckpoint" } do
        assert.matches("is " .. state, refused("FAILED_PRECONDITION", call, rpc,
          { vm = "src", name = "s" }))
      end
      call(rpcs[2], { vm_id = box.id })
    end
  end)

  it("a snapshot is pending, and refused until it is ready", function()
    create "p"
    local made = call("CreateSnapshot", { vm = "p", name = "s" })
    assert.equal("pending", made.status)
    assert.equal(1, made.version)
    assert.equal("pending", state_of("s").status)
    assert.equal("pending", call("ListSnapshots").snapshots[1].status)
    assert.matches("is pending", refused("FAILED_PRECONDITION", call,
      "CreateVmFromSnapshot", { snapshot = "s" }))
    support.eventually(function() return state_of("s").status == "ready" end)
    call("CreateVmFromSnapshot", { snapshot = "s" })
  end)

  it("saving a snapshot again raises its version, pending first", function()
    local box = create "v"
    support.save(call, { vm = "v", name = "s" })
    box:write_file("two", "/tmp/f")
    assert.equal(2, call("CreateSnapshot", { vm = "v", name = "s" }).version)
    local s = state_of "s"
    assert.same({ "pending", 2 }, { s.status, s.version })
    refused("FAILED_PRECONDITION", call, "CreateVmFromSnapshot",
      { snapshot = "s" })
    support.eventually(function() return state_of("s").status == "ready" end)
    assert.equal(2, state_of("s").version)
    local made = call("CreateVmFromSnapshot", { snapshot = "s" })
    assert.equal("two", compute.box:get(made.vm_id):read_file "/tmp/f")
  end)

  it("a program that writes two files in step is never torn", function()
    local box = create "torn"
    box:write_file([[
import os
i = 0
while True:
    i += 1
    for name in ("a", "z"):
        fd = os.open("/tmp/t/" + name, os.O_WRONLY | os.O_CREAT)
        os.pwrite(fd, b"%012d" % i, 0); os.close(fd)
]], "/tmp/step.py")
    box:sh "python3 /tmp/step.py >/dev/null 2>&1 &"
    support.eventually(function() return box:sh("test -s /tmp/t/z").success end)
    for _ = 1, 3 do
      support.save(call, { vm = "torn", name = "s" })
      local made = call("CreateVmFromSnapshot", { snapshot = "s" })
      local copy = compute.box:get(made.vm_id)
      local a = tonumber(copy:read_file "/tmp/t/a")
      local z = tonumber(copy:read_file "/tmp/t/z")
      assert.is_true(a == z or a == z + 1, a .. " and " .. z)
      copy:destroy()
    end
  end)

  it("commands, stop and destroy wait while a box is copied", function()
    for _, verb in ipairs { "exec", "stop", "destroy" } do
      local box = create("w-" .. verb)
      call("CreateSnapshot", { vm = box.id, name = verb })
      local argument = verb == "exec" and "true" or nil
      box[verb](box, argument)
      assert.equal("ready", state_of(verb).status)
    end
  end)

  it("a snapshot that is deleted while it is pending is gone", function()
    create "d"
    call("CreateSnapshot", { vm = "d", name = "s" })
    call("DeleteSnapshot", { name = "s" })
    refused("NOT_FOUND", call, "GetSnapshot", { name = "s" })
    assert.same({}, call("ListSnapshots").snapshots or {})
  end)

  it("what a service that ended was copying is not there after", function()
    create "k"
    call("CreateSnapshot", { vm = "k", name = "s" })
    service:restart "KILL"
    local ok, s = pcall(state_of, "s")
    assert.is_true(not ok and s.code == "NOT_FOUND" or s.status == "ready")
  end)

  it("a copy has files, not memory, and the service says so once", function()
    local own <close> = support.new()
    local box = own.compute.box:create "o"
    assert.is_nil(own:errors():find("not memory", 1, true))
    own.compute.box:fork(box)
    support.save(function(...) return own.compute:call(...) end,
      { vm = "o", name = "s" })
    local _, n = own:errors():gsub("copy files, not memory", "")
    assert.equal(1, n)
  end)

  it("another image than this machine's system is kept, and said once",
    function()
      local own <close> = support.new()
      own.compute.box:create()
      assert.is_nil(own:errors():find("image", 1, true))
      for _ = 1, 2 do
        local box = own.compute.box:create { config = {}, image = "alpine:3.20" }
        assert.equal("alpine:3.20", box.image)
      end
      local _, n = own:errors():gsub("image 'alpine:3.20' is recorded", "")
      assert.equal(1, n)
    end)
end)
