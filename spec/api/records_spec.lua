-- The objects that have methods are userdata over the service's messages: what
-- their fields are, errors of names that they lack, and hidden fields.

local boxd = require "boxd"
local collector = require "spec.support.collector"
local core = require "boxd.core"
local scripted = require "spec.support.scripted"

local failure, refused = scripted.failure, scripted.refused

local VM = { vm_id = "vm1", name = "web", image_ref = "ubuntu:24.04",
  status = "running", labels = { tier = "front" }, vcpu = 2,
  networks = { "n1" }, created_at = 5 }

local REPLIES = {
  GetVm = VM, ListVms = { vms = { VM } }, CreateVm = { vm_id = "vm1" },
  ListDisks = { disks = { { disk_id = "d1", name = "data" } } },
  ListTemplates = { templates = { { template_id = "t1" } } },
  ListSnapshots = { snapshots = { { snapshot_id = "s1" } } },
}

local function read(object, name) return object[name] end
local function write(object, name, v) object[name] = v end

describe("an object", function()
  local s, c, box, objects

  setup(function()
    s = scripted.start(REPLIES)
    c = s.c
    box = c.box:get "vm1"
    objects = { Compute = c, Box = box, Boxes = c.box, Files = box.files,
      Disk = c.disk:list()[1], Disks = c.disk,
      Template = c.template:list()[1], Templates = c.template,
      Snapshot = c.snapshot:list()[1], Snapshots = c.snapshot,
      Checkpoints = c.checkpoint, Backups = c.backup, Domains = c.domain,
      Networks = c.network, Tokens = c.token, ApiKeys = c.api_key,
      Env = c.env, Secrets = c.secret }
  end)
  teardown(function() s:close() end)

  it("with methods is a userdata of a named type", function()
    for name, object in pairs(objects) do
      assert.equal("userdata", type(object), name)
      assert.equal("boxd." .. name, debug.getmetatable(object).__name)
      assert.equal(name, boxd.type(object))
      assert.equal("boxd." .. name, getmetatable(object))
    end
  end)

  it("has its type asked of it as io.type asks", function()
    for _, v in ipairs { 1, "Box", {}, print, io.stdout,
      setmetatable({}, { __name = "boxd.Box" }) } do
      assert.is_nil(boxd.type(v))
    end
    assert.is_nil(boxd.type(nil))
    assert.matches("bad argument #1 to '.-type' %(value expected%)",
      refused(boxd.type))
    assert.equal("Task", boxd.type(boxd.spawn(print)))
    assert.equal("Error", boxd.type(failure(c.box.create, c.box, "", {
      nonsense = 1 })))
  end)

  it("says what a name that it lacks may have been", function()
    for name, wanted in pairs {
      staus = "Box has no field or method 'staus' (did you mean 'status'?)",
      vm_id = "Box has no field 'vm_id': it is called 'id' here",
      hibernated_at_ms = "Box has no field 'hibernated_at_ms': it is called "
        .. "'hibernated_at' here",
      frobnicate = "Box has no field or method 'frobnicate'",
    } do
      assert.equal(wanted, (refused(read, box, name):gsub("^[^ ]+ ", "")))
    end
    for name, object in pairs(objects) do
      assert.matches("^spec/api/records_spec.lua:%d+: " .. name
        .. " has no field or method 'zzzzzzzz'$",
        refused(read, object, "zzzzzzzz"))
    end
  end)

  it("reads nil for a field that is unset, whichever answer has it", function()
    local made = c.box:create()
    for _, name in ipairs { "labels", "vcpu", "created_at", "forked_from",
      "restart_policy", "spec", "boot_time_ms", "ssh_port", "name", "url" } do
      assert.is_nil(made[name], name)
    end
    assert.same({ "front", "n1" }, { box.labels.tier, box.networks[1] })
    for _, name in ipairs { "ssh_port", "boot_time_ms", "hibernated_at" } do
      assert.is_nil(box[name], name)
    end
  end)

  it("reads nil for what libraries probe any value for", function()
    for _, object in pairs(objects) do
      for _, key in ipairs { "_name", "__pairs", "_init", 1, 2.5, true, {},
        print } do
        assert.is_nil(object[key])
      end
    end
  end)

  it("may be asked by penlight what it is", function()
    local types, pretty = require "pl.types", require "pl.pretty"
    for name, object in pairs(objects) do
      assert.equal("unknown userdata", types.type(object), name)
      for _, ask in ipairs { "is_callable", "is_indexable", "is_iterable",
        "is_writeable", "is_empty" } do
        assert.is_true(pcall(types[ask], object), name .. ask)
      end
      assert.truthy(pretty.write { object }:find(tostring(object):match "^%w+",
        1, true))
      assert.is_true(require "pl.tablex".deepcompare({ object }, { object }))
    end
    assert.same({ box }, { c.box:get "vm1" })
  end)

  it("can be asked for a name without an error", function()
    assert.is_true(boxd.has(box, "labels"))
    assert.is_true(boxd.has(box, "hibernated_at"))
    assert.is_true(boxd.has(box, "start"))
    assert.is_true(boxd.has(box, "wait_until_ready"))
    assert.is_true(boxd.has(box, "files"))
    assert.is_false(boxd.has(box, "vm_id"))
    assert.is_false(boxd.has(box, "frobnicate"))
    assert.is_true(boxd.has(c, "box"))
    assert.is_true(boxd.has(c, "timeout"))
    assert.is_false(boxd.has(c, "boxes"))
    assert.is_true(boxd.has({ url = "x" }, "url"))
    assert.is_false(boxd.has({ url = "x" }, "name"))
    for _, v in ipairs { 1, "x", print } do
      assert.is_false(boxd.has(v, "x"))
    end
    assert.is_false(boxd.has(nil, "x"))
  end)

  it("is read-only, and names the method that changes a field", function()
    for name, wanted in pairs {
      id = "Box.id is read-only: the service sets it",
      status = "Box.status is read-only: its method 'start' changes it",
      name = "Box.name is read-only: its method 'rename' changes it",
      labels = "Box.labels is read-only: its method 'set_labels' changes it",
      vcpu = "Box.vcpu is read-only: its method 'resize' changes it",
      delete_at = "Box.delete_at is read-only: its method 'set_delete_after' "
        .. "changes it",
      memory_bytes = "Box.memory_bytes is read-only: its method 'resize' changes it",
      bot_protection_mode = "Box.bot_protection_mode is read-only: its method "
        .. "'set_bot_protection' changes it",
      spec = "Box.spec is read-only: its method 'update_spec' changes it",
      isolated = "Box.isolated is read-only: its method 'update_spec' changes it",
      files = "Box.files is read-only: it stays as it was made",
      start = "Box.start is a method, which can't be replaced",
      exec = "Box.exec is a method, which can't be replaced",
      staus = "Box has no field or method 'staus' (did you mean 'status'?)",
      _mine = "a Box takes no fields: keep yours in a table, by its id",
    } do
      assert.equal(wanted,
        (refused(write, box, name, "x"):gsub("^[^ ]+ ", "")))
    end
    assert.matches("Disk.attachments is read%-only: its method 'attach' changes",
      refused(write, objects.Disk, "attachments", {}))
    assert.matches("Compute.timeout is read%-only: it stays as it was made",
      refused(write, c, "timeout", 5))
    assert.matches("Compute.box is read%-only", refused(write, c, "box", {}))
    assert.equal("vm1", box.id)
  end)

  it("of a command or a task is read-only, as a record is", function()
    local process <close> = box:sh("true", { stream = true })
    for name, value in pairs { ["Task.status"] = boxd.spawn(function() end),
      ["ExecProcess.stdin"] = process, ["ExecStdin.write"] = process.stdin,
      ["Stream.close"] = c:stream("StreamLogs", { vm_id = "vm1" }) } do
      assert.matches("^[^ ]+_spec.lua:%d+: " .. name .. " is read%-only$",
        refused(write, value, name:match "%.(.*)", "x"))
    end
  end)

  it("equals another of the same id and Compute, and no other", function()
    assert.is_true(box == c.box:get "vm1")
    assert.is_true(box == c.box:list()[1])
    assert.is_false(rawequal(box, c.box:list()[1]))
    assert.is_true(c.box == c.box)
    local other = boxd.Compute { api_url = s.address, token = "t" }
    local _close <close> = other
    assert.is_false(box == other.box:get "vm1")
    assert.is_false(box == objects.Disk)
    s.handlers.CreateVm = {}
    assert.is_false(c.box:create() == c.box:create())
    s.handlers.CreateVm = REPLIES.CreateVm
  end)

  it("lists its fields to pairs and to JSON", function()
    local seen = {}
    for k, v in pairs(box) do seen[k] = v end
    assert.same({ "vm1", "web", 2, "front" }, { seen.id, seen.name, seen.vcpu,
      seen.labels.tier })
    assert.is_nil(seen.vm_id)
    local text = boxd.json.encode(box)
    local plain = boxd.json.decode(text)
    assert.same({ "vm1", { "n1" } }, { plain.id, plain.networks })
    local list = boxd.json.decode(boxd.json.encode(c.box:list()))
    assert.equal("vm1", list[1].id)
    assert.equal(text, boxd.json.encode { box }:sub(2, -2))
    assert.equal(c.box, (function()
      for k, v in pairs(c) do if k == "box" then return v end end
    end)())
    assert.is_nil(next((function()
      local out = {}
      for k in pairs(c.box) do out[k] = true end
      return out
    end)()))
  end)

  it("gives a list that is empty as one that JSON writes []", function()
    s.handlers.ListVms = { vms = {} }
    assert.equal("[]", boxd.json.encode(c.box:list()))
    s.handlers.ListVms = REPLIES.ListVms
    assert.equal("[]", boxd.json.encode(c.box:list { labels = { "gpu" } }))
    for rpc, list in pairs { ListNetworks = function() return c.network:list() end,
      ListProxies = function() return box:proxies() end,
      ListExposedPorts = function() return box:exposed_ports() end,
      ListDir = function() return (box:list_dir "/") end,
      ListCheckpoints = function() return c.checkpoint:list(box) end,
      ListBackups = function() return c.backup:list(box) end,
      ListTokens = function() return c.token:list() end,
      ListApiKeys = function() return c.api_key:list() end,
      ListDomains = function() return c.domain:list() end,
      ListVars = function() return c.env:list() end,
      ListVms = function() return c.box:sweep { prefix = "none" } end,
      Exec = function() return box:jobs() end } do
      s.handlers[rpc] = {}
      if rpc == "Exec" then
        s.handlers.Exec = function(_, call)
          call:send { exit_code = 0 }
          call:finish()
        end
      end
      assert.equal("[]", boxd.json.encode(list()), rpc)
    end
    assert.equal("[]", boxd.json.encode(c.secret:list()))
    s.handlers.ListVms = REPLIES.ListVms
    s.handlers.GetVm = { vm_id = "vm1" }
    local bare = c.box:get "vm1"
    s.handlers.GetVm = VM
    assert.matches('"networks":%[%]', boxd.json.encode(bare))
    assert.matches('"labels":{}', boxd.json.encode(bare))
    assert.equal('{"vms":[]}', boxd.json.encode(
      (function()
        s.handlers.ListVms = {}
        local reply = c:call("ListVms", {})
        s.handlers.ListVms = REPLIES.ListVms
        return reply
      end)()))
  end)

  it("gives the same nested table each time", function()
    assert.equal(box.labels, box.labels)
    assert.equal(box.networks, box.networks)
  end)

  it("has metamethods that refuse values of other types", function()
    for name, object in pairs(objects) do
      local meta = debug.getmetatable(object)
      for key, f in pairs(meta) do
        if key ~= "__gc" and key ~= "__close" and type(f) == "function" then
          for _, v in ipairs { 1, "id", {}, print, io.stdout, c, c.disk,
            objects.Disk, box } do
            for _, args in ipairs { { v }, { v, v }, { v, "id" }, { object, v },
              { v, object }, { v, "id", v } } do
              local ok, e = pcall(f, table.unpack(args))
              assert.is_true(ok or type(e) == "string", name .. key)
            end
          end
          pcall(f)
        end
      end
    end
    assert.is_false(debug.getmetatable(box).__eq(c, c))
  end)

  it("has no length", function()
    assert.matches("attempt to get length of a boxd.Box value",
      refused(function() return #box end))
  end)

  it("refuses a method of another type's as an argument error", function()
    local disk = objects.Disk
    local list, exec, destroy = c.box.list, box.exec, disk.destroy
    local before = #s.seen
    assert.matches("bad argument #1 to 'list' %(boxd.Boxes expected, got "
      .. "boxd.Box", refused(list, box))
    assert.matches("bad argument #1 to 'exec' %(boxd.Box expected, got "
      .. "boxd.Disk", refused(exec, disk, "true"))
    assert.matches("bad argument #1 to 'destroy' %(boxd.Disk expected, got "
      .. "boxd.Box", refused(destroy, box))
    assert.matches("bad argument #1 to 'start' %(boxd.Box expected, got "
      .. "boxd.Files", refused(box.start, box.files))
    assert.equal(before, #s.seen)
  end)

  it("says that its Compute is closed", function()
    local other = scripted.start(REPLIES)
    local kept = other.c.box:get "vm1"
    local boxes = other.c.box
    other:close()
    for _, f in ipairs { function() kept:start() end,
      function() kept:exec "true" end, function() boxes:list() end,
      function() kept:forward(80) end,
      function() boxes:create() end, function() other.c:whoami() end } do
      local e = failure(f)
      assert.equal("CancelledError", e.class)
      assert.matches("^this Compute is closed: make a new one", e.message)
    end
    assert.equal("web", kept.name)
  end)
end)

describe("a process", function()
  it("says what a name that it lacks may have been", function()
    local s <close> = scripted.start { Exec = function(_, call)
      call:send { exit_code = 0 }
      call:finish()
    end }
    local p <close> = s:box():exec("true", { stream = true })
    assert.equal("ExecProcess", boxd.type(p))
    assert.matches("records_spec.lua:%d+: ExecProcess has no field or method "
      .. "'read_stdot' %(did you mean 'read_stdout'%?%)",
      refused(read, p, "read_stdot"))
    assert.matches("has no field or method 'zzzzzzzz'$",
      refused(read, p, "zzzzzzzz"))
    assert.is_nil(p._x)
    assert.is_nil(p[1])
    local task, stream = boxd.spawn(print), s.c:stream("StreamLogs", {})
    for wanted, f in pairs {
      ["ExecStdin has no field or method 'writ' (did you mean 'write'?)"] =
        function() return p.stdin.writ end,
      ["Stream has no field or method 'recieve'"] =
        function() return stream.recieve end,
      ["Task has no field or method 'joint' (did you mean 'join'?)"] =
        function() return task.joint end,
    } do
      assert.truthy(refused(f):find(wanted, 1, true), refused(f))
    end
    for _, v in ipairs { task, stream, p.stdin } do
      assert.is_nil(v[1])
      assert.is_nil(v._x)
      assert.is_nil(v[{}])
    end
    assert.is_true(boxd.has(p, "lines"))
    assert.is_true(boxd.has(p, "stdin"))
    assert.is_false(boxd.has(p, "stdinn"))
  end)
end)

-- All that a script can reach from a value, without the registry.
local function reachable(v, visit, seen)
  if v == nil or seen[v] then return end
  visit(v)
  local kind = type(v)
  if kind ~= "table" and kind ~= "userdata" and kind ~= "function" then
    return
  end
  seen[v] = true
  reachable(debug.getmetatable(v), visit, seen)
  if kind == "table" then
    for k, x in next, v do
      reachable(k, visit, seen)
      reachable(x, visit, seen)
    end
  elseif kind == "userdata" then
    for i = 1, 8 do reachable(debug.getuservalue(v, i), visit, seen) end
  else
    for i = 1, 255 do
      local name, x = debug.getupvalue(v, i)
      if not name then break end
      if name ~= "_ENV" then reachable(x, visit, seen) end
    end
  end
end

describe("a secret", function()
  it("cannot be reached from an object, its user values, upvalues or metatable", function()
    for _, options in ipairs { { token = "hush-token" },
      { api_key = "hush-key" } } do
      local s <close> = scripted.start(REPLIES)
      options.api_url, options.exchange_url = s.address, "http://127.0.0.1:1/x"
      local c <close> = boxd.Compute(options)
      options.token, options.api_key = nil, nil
      pcall(c.box.get, c.box, "vm1")
      local found, seen = 0, {}
      local function visit(v)
        found = found + 1
        if type(v) == "string" then
          assert.is_nil(v:find("hush", 1, true), v)
        end
      end
      for _, object in ipairs { c, c.box, c.disk, c.backup, c.env } do
        reachable(object, visit, seen)
      end
      assert.is_true(found > 100, found)
    end
  end)
end)

describe("a finalizer", function()
  it("may refresh an object while its fields are read", function()
    local version = 0
    local s <close> = scripted.start { GetVm = function()
      version = version + 1
      local labels = {}
      for i = 1, 300 do labels["k" .. i] = ("v%d"):format(version) end
      return { vm_id = "vm1", name = "web", labels = labels }
    end }
    local box = s.c.box:get "vm1"
    local pause <const>, running = collector.set("pause", 0), true
    local function litter()
      setmetatable({}, { __gc = function()
        if not running then return end
        box:refresh()
        litter()
      end })
    end
    litter()
    for _ = 1, 30 do
      for _, labels in ipairs { box.labels, core.table(box).labels } do
        for i = 1, 300 do assert.equal(labels.k1, labels["k" .. i]) end
      end
      assert.equal("vm1", box.files.id)
    end
    running = false
    collector.set("pause", pause)
    assert.is_true(version > 3, version)
  end)
end)
