-- Wrong arguments: each error has the script's line, and the remedy.

local boxd = require "boxd"
local scripted = require "spec.support.scripted"
local types = require "scripts.doc.types"

local function value_of(type_)
  return type_:find "^fun" and print or type_:find "string" and "x"
    or type_:find "integer" and 1 or {}
end

-- What f raises, called by this file.
local function raised(f)
  local ok, e = pcall(f)
  assert.is_false(ok)
  return tostring(e)
end

describe("a method", function()
  it("called with '.' says so, whatever it is given", function()
    local s <close> = scripted.start { CreateDisk = { disk_id = "d" } }
    local c = s.c
    local objects = { Compute = c, Boxes = c.box, Templates = c.template,
      Disks = c.disk, Domains = c.domain, Networks = c.network,
      Tokens = c.token, ApiKeys = c.api_key, Box = s:box(),
      Disk = c.disk:create("d", 1) }
    local called, count = s:count(), 0
    for _, f in ipairs(types.read(types.files)) do
      local object = f.kind == "function" and objects[f.class]
      local method, args = object and object[f.name], {}
      for i, p in ipairs(object and f.params or {}) do
        args[i] = value_of(p.type)
      end
      for n = 0, object and #args or -1 do
        local e = raised(function()
          local result = method(table.unpack(args, 1, n))
          return result
        end)
        assert.matches("^spec/api/check_spec.lua:%d+: bad argument #1 to '"
          .. f.name .. "' %(boxd%.%a+ expected, got .-: is there a '%.' in "
          .. "place of its ':'%?%)$", e)
        count = count + 1
      end
    end
    assert.is_true(count > 80, tostring(count))
    assert.equal(called, s:count())
  end)

  it("given a wrong value for its options lists them", function()
    local s <close> = scripted.start()
    local box = s:box()
    assert.matches("bad argument #1 to 'wait_until_ready' %(table expected, got "
      .. "number: options have names, as in { timeout = 30 }%)$",
      raised(function() box:wait_until_ready(30) end))
  end)

  it("given its arguments in a table says how exec takes them", function()
    local s <close> = scripted.start()
    local box = s:box()
    assert.matches('exec: arguments come one by one, as in box:exec%("ls", "%-l"%)',
      raised(function() box:exec { "ls", "-l" } end))
  end)
end)

describe("temporary", function()
  it("reports a wrong config and a refusal by the service at the script's line",
    function()
      local s <close> = scripted.start { CreateVm = function(_, call)
        call:finish("ALREADY_EXISTS", "the name is taken")
      end }
      local boxes = s.c.box
      assert.matches("^spec/api/check_spec.lua:%d+: InvalidArgumentError: config: "
        .. "unknown option 'memroy' %(did you mean 'memory'%?%)$",
        raised(function() boxes:temporary { config = { memroy = "4G" } } end))
      assert.equal(0, s:count "CreateVm")
      assert.matches("^spec/api/check_spec.lua:%d+: ConflictError: the name is "
        .. "taken", raised(function() boxes:temporary "x" end))
      boxd.run(function()
        assert.matches("^spec/api/check_spec.lua:%d+: ConflictError: the name",
          raised(function() boxes:temporary "x" end))
      end)
    end)
end)
