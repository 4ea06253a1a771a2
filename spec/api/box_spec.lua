-- c.box and Box: making, getting, listing, fields and logs.

local boxd = require "boxd"
local scripted = require "spec.support.scripted"

local failure, refused = scripted.failure, scripted.refused

local WEB = { vm_id = "vm1", name = "web", image = "ubuntu:24.04",
  public_ip = "10.0.0.1", url = "https://web.boxd.sh", status = "pending",
  boot_time_ms = 42 }

local function not_found(_, call) call:finish("NOT_FOUND", "no such vm") end

describe("c.box:create", function()
  it("takes a name and options, options alone, or nothing", function()
    local s <close> = scripted.start { CreateVm = WEB }
    local create = s.c.box.create
    for _, args in ipairs {
      { "web", { image = "alpine" } },
      { { name = "web", image = "alpine" } },
      { nil, { name = "web", image = "alpine" } },
    } do
      create(s.c.box, table.unpack(args, 1, 2))
      local request = s:request "CreateVm"
      assert.equal("web", request.name)
      assert.equal("alpine", request.image_ref)
    end
    for _, args in ipairs { {}, { {} }, { nil, {} } } do
      create(s.c.box, table.unpack(args, 1, 2))
      local request = s:request "CreateVm"
      assert.is_nil(request.name)
      assert.is_nil(request.image_ref)
    end
    create(s.c.box, "web")
    assert.equal("web", s:request "CreateVm".name)
  end)

  it("gives a Box with the reply's fields", function()
    local s <close> = scripted.start { CreateVm = WEB }
    local box = s.c.box:create { config = {} }
    for field, value in pairs { id = "vm1", name = "web",
      image = "ubuntu:24.04", public_ip = "10.0.0.1", status = "pending",
      url = "https://web.boxd.sh", boot_time_ms = 42,
      restart_policy = "always" } do
      assert.equal(value, box[field], field)
    end
    assert.matches("Box has no field 'vm_id': it is called 'id' here",
      refused(function() return box.vm_id end))
    assert.is_nil(box.forked_from)
    assert.is_nil(s.c.box:create().restart_policy)
  end)

  it("shows its name and settings only", function()
    local s <close> = scripted.start { CreateVm = WEB }
    assert.equal('Box(id="vm1", name="web", image="ubuntu:24.04", '
      .. 'public_ip="10.0.0.1", status="pending")', tostring(s.c.box:create()))
    s.handlers.CreateVm = { vm_id = "vm2" }
    assert.equal('Box(id="vm2", name="", image="", public_ip="", status="")',
      tostring(s.c.box:create()))
  end)

  it("says that a name is taken", function()
    local s <close> = scripted.start { CreateVm = function(_, call)
      call:finish("ALREADY_EXISTS", "the name web is taken")
    end }
    local e = failure(s.c.box.create, s.c.box, "web")
    assert.same({ "ConflictError", "ALREADY_EXISTS", 6, "CreateVm",
      "the name web is taken" },
      { e.class, e.code, e.grpc_code, e.method, e.message })
  end)

  it("refuses other arguments and options", function()
    local s <close> = scripted.start {}
    local create = s.c.box.create
    assert.matches("bad argument #1 to 'create' %(string expected, got number",
      refused(create, s.c.box, 5))
    assert.matches("bad argument #2 to 'create' %(table expected, got string",
      refused(create, s.c.box, "web", "alpine"))
    assert.matches('two names, "a" and "b"',
      failure(s.c.box.create, s.c.box, "a", { name = "b" }).message)
    assert.matches("bad argument #2 to 'create' %(no value expected",
      refused(create, s.c.box, {}, {}))
    assert.matches("'name' to 'create' %(string expected",
      refused(create, s.c.box, { name = 1 }))
    assert.matches("'image' to 'create' %(string expected",
      refused(create, s.c.box, "web", { image = 1 }))
    local e = failure(create, s.c.box, "web", { img = "x" })
    assert.matches("'img'", e.message)
    assert.matches("did you mean 'image'",
      failure(create, s.c.box, { imag = "x" }).message)
    assert.equal(0, s:count())
  end)
end)

describe("c.box:get", function()
  it("looks by id, then by name", function()
    local s <close> = scripted.start {
      GetVm = function(request, call)
        if request.vm_id == "vm1" then
          return { vm_id = "vm1", name = "web", image_ref = "alpine" }
        end
        not_found(request, call)
      end,
      ListVms = { vms = { { vm_id = "vm1", name = "web" },
        { vm_id = "vm2", name = "db" } } },
    }
    local box = s.c.box:get "vm1"
    assert.equal("alpine", box.image)
    assert.matches("Box has no field 'image_ref': it is called 'image' here",
      refused(function() return box.image_ref end))
    assert.equal(0, s:count "ListVms")
    assert.equal("vm2", s.c.box:get("db").id)
    assert.equal("vm1", s.c.box:get("web").id)
    local e = failure(s.c.box.get, s.c.box, "nope")
    assert.same({ "NotFoundError", "NOT_FOUND", 5, "GetVm" },
      { e.class, e.code, e.grpc_code, e.method })
    assert.equal('no box has the id or the name "nope": no such vm', e.message)
  end)

  it("has one time for all that it asks", function()
    local ends = {}
    local function slowly(_, call)
      ends[#ends + 1] = call.deadline
      boxd.sleep(0.2)
      call:finish("NOT_FOUND", "no")
    end
    local s <close> = scripted.start { GetVm = slowly, ListVms = slowly,
      ForkVm = slowly, AttachDisk = slowly }
    for _, f in ipairs {
      function(opts) s.c.box:get("x", opts) end,
      function(opts) s.c.box:fork("x", opts) end,
      function(opts) s.c.domain:bind("a.example", "x", opts) end,
    } do
      ends = {}
      failure(f, { timeout = 2 })
      assert.equal(2, #ends)
      assert.is_true(ends[2] - ends[1] < 0.12, ends[2] - ends[1])
    end
  end)

  it("is looked for where a disk is attached by name, and can be cancelled",
    function()
      local s <close> = scripted.start { AttachDisk = not_found,
        ListDisks = { disks = { { disk_id = "d1" } } },
        GetVm = function(_, call) call:wait_cancelled() end }
      local d = s.c.disk:get "d1"
      local ok, e = pcall(boxd.with_timeout, 0.1, d.attach, d, "web", "/mnt")
      assert.is_false(ok)
      assert.equal("TimeoutError", e.class)
    end)

  it("passes every other error on at once", function()
    local s <close> = scripted.start { GetVm = function(_, call)
      call:finish("PERMISSION_DENIED", "not yours: vm1")
    end }
    local e = failure(s.c.box.get, s.c.box, "vm1")
    assert.equal("PermissionDeniedError", e.class)
    assert.equal("not yours: vm1", e.message)
    assert.equal(0, s:count "ListVms")
  end)

  it("refuses an invalid name, at the script's line", function()
    local s <close> = scripted.start {}
    local line = debug.getinfo(1, "l").currentline + 1
    local ok, e = pcall(function() s.c.box:get(nil) end)
    assert.is_false(ok)
    assert.equal("box_spec.lua:" .. line .. ": bad argument #1 to 'get' "
      .. "(string expected, got nil)", e:match "box_spec.*")
    assert.matches("%(string expected, got boxd.Box%)",
      refused(s.c.box.get, s.c.box, s:box()))
    assert.equal("InvalidArgumentError",
      failure(s.c.box.get, s.c.box, "").class)
    assert.equal(0, s:count "GetVm")
  end)
end)

describe("c.box:list", function()
  it("gives Boxes with their fields", function()
    local s <close> = scripted.start { ListVms = { vms = {
      { vm_id = "a", name = "x", image_ref = "i", disk_bytes = 1 << 40 },
      { vm_id = "b" } } }, DestroyVm = {} }
    local boxes = s.c.box:list()
    assert.equal(2, #boxes)
    assert.equal("a", boxes[1].id)
    assert.equal("i", boxes[1].image)
    assert.equal(1 << 40, boxes[1].disk_bytes)
    boxes[2]:destroy()
    assert.equal("b", s:request "DestroyVm".vm_id)
  end)
end)

describe("c.box:fork", function()
  it("takes a Box, an id or a name", function()
    local s <close> = scripted.start {
      CreateVm = WEB,
      GetVm = function(request, call)
        if request.vm_id == "vm1" then return { vm_id = "vm1" } end
        not_found(request, call)
      end,
      ListVms = { vms = { { vm_id = "vm1", name = "web" } } },
      ForkVm = function(request)
        return { vm_id = "vm9", name = request.name, status = "pending",
          forked_from = request.source_vm_id, url = "https://f", image = "i" }
      end,
    }
    local box = s.c.box:create()
    for _, source in ipairs { box, "vm1", "web" } do
      local before = s:count "GetVm"
      local fork = s.c.box:fork(source, { name = "copy" })
      assert.same({ "vm9", "copy", "vm1", "https://f", "i", "pending" },
        { fork.id, fork.name, fork.forked_from, fork.url, fork.image,
          fork.status })
      assert.equal(source == box and 0 or 1, s:count "GetVm" - before)
    end
    assert.is_nil(s.c.box:fork(box).name)
    assert.equal("NotFoundError", failure(s.c.box.fork, s.c.box, "no").class)
    assert.matches("#1 to 'fork' %(boxd.Box or string expected, got nil",
      refused(s.c.box.fork, s.c.box))
    assert.matches("did you mean 'name'",
      failure(s.c.box.fork, s.c.box, box, { nam = "x" }).message)
  end)
end)

describe("a Box", function()
  it("changes its status as it changes", function()
    local s <close> = scripted.start { StartVm = {}, StopVm = {},
      RebootVm = {}, DestroyVm = {}, SuspendVm = { suspend_us = 1234 },
      ResumeVm = { resume_us = 567 } }
    local box = s:box()
    for _, row in ipairs { { "stop", "StopVm", "stopped" },
      { "start", "StartVm", "running" }, { "reboot", "RebootVm", "running" },
      { "destroy", "DestroyVm", "destroyed" } } do
      assert.is_nil(box[row[1]](box))
      assert.equal(row[3], box.status)
      assert.equal("vm1", s:request(row[2]).vm_id)
    end
    assert.same({ suspend_us = 1234 }, box:suspend())
    assert.equal("suspended", box.status)
    assert.same({ resume_us = 567 }, box:resume())
    assert.equal("running", box.status)
  end)

  it("keeps its status when a change is refused", function()
    local s <close> = scripted.start { StopVm = function(_, call)
      call:finish("FAILED_PRECONDITION", "web is busy")
    end }
    local box = s:box()
    local e = failure(box.stop, box)
    assert.same({ "ConflictError", "FAILED_PRECONDITION", "StopVm" },
      { e.class, e.code, e.method })
    assert.equal("running", box.status)
  end)

  it("re-reads all of its fields", function()
    local now = { vm_id = "vm1", name = "web", image_ref = "i2",
      public_ip = "10.0.0.2", status = "running", restart_policy = "never",
      disk_bytes = 20 << 30, auto_suspend_timeout_secs = 30, ssh_port = 2222,
      vcpu = 2, memory_bytes = 4 << 30, created_at = 1700000000,
      labels = { a = "b" } }
    local s <close> = scripted.start { CreateVm = WEB,
      GetVm = function() return now end }
    local box = s.c.box:create()
    assert.equal(box, box:refresh())
    for field, value in pairs(now) do
      local name = field == "vm_id" and "id"
        or field == "image_ref" and "image" or field
      assert.same(value, box[name], name)
    end
    -- What only create answers stays.
    assert.equal("https://web.boxd.sh", box.url)
    assert.equal(42, box.boot_time_ms)
    -- Absent fields go.
    now = { vm_id = "vm1", name = "web", status = "stopped" }
    box:refresh()
    assert.is_nil(box.public_ip)
    assert.is_nil(box.restart_policy)
    assert.is_nil(box.image)
    assert.equal("stopped", box.status)
    assert.equal(0, box.disk_bytes)
    assert.same({}, box.labels)
  end)

  it("suggests ':' where '.' was written", function()
    local s <close> = scripted.start {}
    local box = s:box()
    assert.matches("':'", refused(box.start))
    assert.matches("':'", refused(s.c.box.list))
    assert.matches("':'", refused(s.c.whoami))
  end)
end)

describe("box:stream_logs", function()
  it("gives chunks of bytes, none of them empty", function()
    local s <close> = scripted.start { StreamLogs = function(_, call)
      for _, data in ipairs { "a\0\xff", "", "b\n" } do
        call:send { data = data }
      end
      call:finish()
    end }
    local box, got = s:box(), {}
    for chunk in box:stream_logs() do got[#got + 1] = chunk end
    assert.same({ "a\0\xff", "b\n" }, got)
    assert.equal("vm1", s:request "StreamLogs".vm_id)
    assert.is_false(s:request "StreamLogs".follow)
    for _ in box:stream_logs { follow = true } do end -- luacheck: ignore 542
    assert.is_true(s:request "StreamLogs".follow)
  end)

  it("raises what cuts it short, after what arrived", function()
    local s <close> = scripted.start { StreamLogs = function(_, call)
      call:send { data = "first" }
      call:finish("UNAVAILABLE", "the host went down")
    end }
    local got = {}
    local e = failure(function()
      for chunk in s:box():stream_logs { follow = true } do
        got[#got + 1] = chunk
      end
    end)
    assert.same({ "first" }, got)
    assert.equal("ConnectionError", e.class)
    assert.matches("the host went down", e.message)
  end)

  it("is left early, which ends the call", function()
    local ended = false
    local s <close> = scripted.start { StreamLogs = function(_, call)
      while pcall(call.send, call, { data = "x" }) do boxd.sleep(0.001) end
      ended = true
    end }
    for _ in s:box():stream_logs { follow = true } do break end -- luacheck: ignore 512
    local limit = boxd.now() + 5
    while not ended and boxd.now() < limit do boxd.sleep(0.005) end
    assert.is_true(ended)
  end)

  it("checks its options", function()
    local s <close> = scripted.start {}
    local box = s:box()
    assert.matches("'follow' to 'stream_logs' %(boolean expected, got number",
      refused(box.stream_logs, box, { follow = 1 }))
    assert.matches("did you mean 'follow'",
      failure(box.stream_logs, box, { folow = true }).message)
  end)
end)
