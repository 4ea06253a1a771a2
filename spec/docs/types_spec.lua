-- lua/boxd/types/ against the run time, both ways, and the
-- reference that is made of it.

local boxd = require "boxd"
local calls = require "spec.support.calls"
local methods_at_run_time = require "spec.support.methods"
local program = require "spec.support.program"
local types = require "scripts.doc.types"

local items = types.read(types.files)

local classes, functions = {}, {}
for _, item in ipairs(items) do
  if item.kind == "class" then
    classes[item.name:gsub("^boxd%.", "")] = item
  else
    functions[#functions + 1] = item
  end
end

local function methods_of(class)
  local names = {}
  for _, f in ipairs(functions) do
    if f.class == class then names[f.name] = true end
  end
  return names
end

-- With those of its parents.
local function fields_of(class)
  local names = {}
  for _, parent in ipairs(classes[class].parents) do
    for name in pairs(fields_of(parent:gsub("^boxd%.", ""))) do
      names[name] = true
    end
  end
  for _, field in ipairs(classes[class].fields) do names[field.name] = true end
  return names
end

local function methods(object)
  local names = {}
  for name in pairs(methods_at_run_time(object)) do names[name] = true end
  return names
end

-- An object of every class that has methods; `s` answers what that needs.
local function start()
  return calls.start { Exec = function(call) call:finish() end,
    CreateDisk = function(call) call:send { disk_id = "d" } call:finish() end }
end

local function objects(s)
  local c = s.compute
  local p = s.box:exec("x", { stream = true })
  return { Compute = c, Boxes = c.box, Templates = c.template, Disks = c.disk,
    Domains = c.domain, Networks = c.network, Tokens = c.token,
    ApiKeys = c.api_key, Snapshots = c.snapshot,
    Checkpoints = c.checkpoint, Backups = c.backup, Env = c.env,
    Secrets = c.secret, Box = s.box, Files = s.box.files, Disk = c.disk:create("d", 1),
    ExecProcess = p, ExecStdin = p.stdin, Task = boxd.spawn(function() end),
    Job = require("boxd.job").new(s.box, { name = "a", status = "running" }),
    Forward = s.box:forward(80),
    Error = select(2, pcall(boxd.Compute, { nonsense = 1 })) }
end

-- The fields of a message of the contract.
local function message_fields(...)
  local wanted, names = {}, {}
  for _, name in ipairs { ... } do wanted[name] = true end
  for line in io.lines "spec/support/contract.tsv" do
    local message, number, name = line:match "^field\t([^\t]*)\t(%d+)\t([^\t]*)"
    if wanted[message] and number ~= "0" then names[name] = true end
  end
  return names
end

describe("the annotations", function()
  it("are in the files that the reference is made of", function()
    local listed, there = {}, {}
    for _, path in ipairs(types.files) do listed[path] = true end
    local list <close> = assert(io.popen "ls lua/boxd/types/*")
    for path in list:lines() do there[path] = true end
    assert.same(there, listed)
  end)

  it("may tell of a class in several files", function()
    local first, second = os.tmpname(), os.tmpname()
    finally(function()
      os.remove(first)
      os.remove(second)
    end)
    local function write(path, text)
      local file <close> = assert(io.open(path, "w"))
      file:write("---@meta\n\n", text)
    end
    write(first, "--- A thing.\n---@class boxd.Thing\n---@field id string\n"
      .. "local Thing = {}\n\n--- One.\nfunction Thing:one() end\n")
    local more = "---@class (partial) boxd.Thing\nlocal Thing = {}\n\n"
      .. "--- Two.\nfunction Thing:two() end\n"
    write(second, more)
    local list = types.read { first, second }
    assert.same({ "class", "function", "function" },
      { list[1].kind, list[2].kind, list[3].kind })
    assert.is_nil(list[4])
    assert.same({ "A thing.", "Thing", "two", "Two." },
      { list[1].text, list[3].class, list[3].name, list[3].text })
    assert.has_error(function() types.read { second } end)
    write(second, more .. "\n---@class boxd.Thing\n")
    assert.has_error(function() types.read { first, second } end)
    write(second, "---@class (partial) boxd.Thing\n---@field name string\n")
    assert.has_error(function() types.read { first, second } end)
  end)

  it("has every name of the module and no other", function()
    local there, said = {}, methods_of "boxd"
    for name in pairs(boxd) do there[name] = true end
    for name in pairs(fields_of "boxd") do said[name] = true end
    assert.same(there, said)
  end)

  it("has every method of every class, and no other", function()
    local s <close> = start()
    local all = objects(s)
    for class, object in pairs(all) do
      assert.same(methods(object), methods_of(class), class)
    end
    all.boxd, all.Json, all.Http = true, true, true
    for _, f in ipairs(functions) do assert.truthy(all[f.class], f.class) end
  end)

  it("has the parts of json and http", function()
    for class, module in pairs { Json = boxd.json, Http = boxd.http } do
      local there, said = {}, methods_of(class)
      for name in pairs(module) do there[name] = true end
      for name in pairs(fields_of(class)) do said[name] = true end
      assert.same(there, said)
    end
  end)

  it("has the fields of objects as the contract has them", function()
    local ours = { vm_id = "id", image_ref = "image", disk_id = "id",
      template_id = "id", snapshot_id = "id", checkpoint_id = "id",
      backup_id = "id", last_connected_ms = "last_connected_at",
      hibernated_at_ms = "hibernated_at", delete_at_ms = "delete_at" }
    for class, row in pairs {
      Box = { "GetVmResponse", "CreateVmResponse", "ForkVmResponse",
        files = true },
      Snapshot = { "SnapshotInfo" }, Checkpoint = { "CheckpointInfo" },
      Backup = { "BackupInfo" }, DirEntry = { "DirEntry" },
      Disk = { "DiskInfo" }, Template = { "TemplateInfo" },
      ApiKey = { "ApiKeyInfo" }, Proxy = { "ProxyInfo", url = true },
    } do
      local there = {}
      for name in pairs(message_fields(table.unpack(row))) do
        there[class ~= "Proxy" and ours[name] or name] = true
      end
      for name in pairs(row) do
        if type(name) == "string" then there[name] = true end
      end
      assert.same(there, fields_of(class), class)
    end
  end)

  it("has the fields of types that are not messages", function()
    local s <close> = start()
    local all = objects(s)
    local function has(class, object)
      for name in pairs(fields_of(class)) do
        assert.not_nil(object[name], class .. "." .. name)
      end
    end
    has("Compute", all.Compute)
    has("Task", all.Task)
    has("ExecProcess", all.ExecProcess)
    has("Path", boxd.path "x")
    has("ErrorClass", boxd.NotFoundError)
    local known = fields_of "Error"
    for name in pairs(all.Error) do assert.is_true(known[name], name) end
  end)

  it("describes each parameter, by its name", function()
    for _, f in ipairs(functions) do
      local names = {}
      for i, p in ipairs(f.params) do names[i] = p.name end
      assert.equal(f.arguments, table.concat(names, ", "),
        f.class .. f.mark .. f.name)
    end
  end)

  it("names classes, errors and RPCs that exist", function()
    local rpcs = {}
    for line in io.lines "spec/support/contract.tsv" do
      local name = line:match "^rpc\t([^\t]*)"
      if name then rpcs[name] = true end
    end
    for _, f in ipairs(functions) do
      for _, name in ipairs(f.rpc) do assert.is_true(rpcs[name], name) end
      for name in (f.raises or ""):gmatch "%u%a+Error" do
        assert.truthy(boxd.errors[name], name)
      end
    end
    for _, path in ipairs(types.files) do
      for line in io.lines(path) do
        for name in (line:match "^%-%-%-@(.*)" or ""):gmatch "boxd%.(%u%w*)" do
          assert.truthy(classes[name] or boxd[name], name)
        end
      end
    end
  end)

  it("says of each method of a service which RPC it makes", function()
    local silent = { close = true, call = true, stream = true }
    for _, f in ipairs(functions) do
      local service = classes[f.class].text:find "^c%."
      if service or f.class == "Box" or f.class == "Disk"
        or f.class == "Compute" and not silent[f.name] then
        assert.is_true(#f.rpc > 0, f.class .. ":" .. f.name)
      end
    end
  end)

  it("name more than one RPC, or a stream, of each method that is not a row in C",
    function()
      local s <close> = start()
      local polls = { ["Snapshots.wait_until_ready"] = true }
      local rpcs = {}
      for _, f in ipairs(functions) do rpcs[f.class .. "." .. f.name] = f.rpc end
      local streams, made = {}, 0
      for _, rpc in ipairs(require "scripts.doc.rpcs".contract()) do
        streams[rpc.name] = rpc.stream
      end
      for class, object in pairs(objects(s)) do
        for name, f in pairs(type(object) == "userdata"
          and methods_at_run_time(object) or {}) do
          local _, lua = debug.getupvalue(f, 3)
          local said = rpcs[class .. "." .. name] or {}
          if type(lua) == "string" and #said == 1
            and not polls[class .. "." .. name] then
            assert.is_true(streams[said[1]], class .. ":" .. name)
          end
          made = made + (type(lua) == "userdata" and 1 or 0)
        end
      end
      assert.is_true(made > 80, made)
    end)

  -- A value of an annotated type, for a call that goes no further than to look
  -- at its options.
  local function value_of(type_, s)
    return type_:find "^fun" and function() end
      or (type_:find "^table" or type_:find "%[%]$") and {}
      or type_ == "boolean" and true
      or type_:find "integer" and 1 or type_:find "string" and "x"
      or type_:find "boxd%.Box" and s.box or {}
  end

  it("has the options that are taken, and no others", function()
    local s <close> = start()
    local all = objects(s)
    all.boxd = boxd
    local count = 0
    for _, f in ipairs(functions) do
      local last = f.params[#f.params]
      local class = last and last.type:match "^boxd%.(%w*Options)$"
        or f.name == "exec" and "ExecOptions"
      if class and not (f.class == "ExecProcess" or f.class == "Task") then
        local args = {}
        if f.name ~= "exec" then
          for i = 1, #f.params - 1 do
            args[i] = value_of(f.params[i].type, s)
          end
        end
        args[#args + 1] = { zzzzzzzzzzzzzz = 1 }
        if f.mark == ":" then table.insert(args, 1, all[f.class]) end
        local what = f.class .. f.mark .. f.name
        local _, e = pcall(all[f.class][f.name], table.unpack(args))
        local known = tostring(e):match "unknown option 'z+' %(known: (.-)%)"
        assert.truthy(known, what .. ": " .. tostring(e))
        local taken = {}
        for name in known:gmatch "[%w_]+" do taken[name] = true end
        assert.same(taken, fields_of(class), what)
        count = count + 1
      end
    end
    assert.is_true(count > 35, tostring(count))
  end)

  it("has the fields of a config, and those of a request of HTTP", function()
    -- What an error of an unknown one says is known.
    local function taken(f, arg)
      local _, e = pcall(f, arg)
      local out = {}
      for name in tostring(e):match "%(known: (.-)%)":gmatch "[%w_]+" do
        out[name] = true
      end
      return out
    end
    local wrong = { zzzzzzzzzzzzzz = 1 }
    for class, config in pairs { Config = wrong,
      Lifecycle = { lifecycle = wrong }, NetworkConfig = { network = wrong },
      ProxyEntry = { network = { proxies = { wrong } } },
      Volume = { volumes = { wrong } } } do
      assert.same(fields_of(class), taken(boxd.BoxConfig, config), class)
    end
    assert.same(fields_of "Spec", taken(boxd.spec, wrong))
    for name in pairs(fields_of "HttpRequest") do
      local _, e = pcall(boxd.http.request, { [name] = print })
      assert.is_nil(tostring(e):find "unknown", name)
    end
    assert.matches("unknown",
      tostring(select(2, pcall(boxd.http.request, { other = print }))))
  end)

  it("are loaded by nothing", function()
    for name in pairs(package.loaded) do
      assert.is_nil(name:find "^boxd%.types")
    end
  end)
end)

describe("the API reference", function()
  local result = program.run { program.lua5, "scripts/doc/api.lua" }
  local text = result.out

  it("is made, and has every public name", function()
    assert.equal("", result.err)
    assert.equal(0, result.status)
    for name in pairs(boxd) do
      assert.truthy(text:find("\n### boxd." .. name .. "\n", 1, true)
        or text:find("\n| `" .. name .. "` |", 1, true), name)
    end
    for _, f in ipairs(functions) do
      assert.truthy(text:find("\n### [%w_.]+%" .. f.mark .. f.name .. "\n"),
        f.name)
    end
    for name, class in pairs(classes) do
      assert.truthy(text:find("\n## " .. name .. "\n", 1, true), name)
      for _, field in ipairs(class.fields) do
        assert.truthy(text:find("\n| `" .. field.name .. "%??` |"), field.name)
      end
    end
  end)

  it("leads to sections that exist", function()
    local count = 0
    for name in text:gmatch "%]%(#(%w+)%)" do
      assert.truthy(text:lower():find("\n## " .. name .. "\n", 1, true), name)
      count = count + 1
    end
    assert.is_true(count > 100)
  end)

  it("refuses an annotation that it does not know", function()
    local file = program.file "---@class boxd\n---@filed x string\n"
    finally(function() os.remove(file) end)
    local refused = program.run { program.lua5, "scripts/doc/api.lua", file }
    assert.equal(1, refused.status)
    assert.truthy(refused.err:find("unknown annotation: ---@filed", 1, true))
  end)
end)

describe("the tables of the Python SDK's names", function()
  it("has only names of ours that exist", function()
    local page <close> = assert(io.open "scripts/doc/python.md")
    local tables = page:read "a"
    local class = { box = "Box", p = "ExecProcess", d = "Disk", c = "Compute",
      ["box.files"] = "Files" }
    local service = { box = "Boxes", template = "Templates", disk = "Disks",
      domain = "Domains", network = "Networks", token = "Tokens",
      api_key = "ApiKeys", snapshot = "Snapshots", checkpoint = "Checkpoints",
      backup = "Backups", env = "Env", secret = "Secrets" }
    local n = 0
    for ours in tables:gmatch "\n|[^\n]-|([^\n|]*)|" do
      for name in ours:gmatch "boxd%.([%w_]+)" do
        assert.truthy(boxd[name], name)
      end
      for holder, name in ours:gmatch "`([%w_.]+):([%w_]+)" do
        local of = service[holder:match "^c%.(.*)"] or class[holder]
        assert.is_true(methods_of(of)[name], holder .. ":" .. name)
        n = n + 1
      end
    end
    assert.is_true(n > 40, tostring(n))
  end)
end)
