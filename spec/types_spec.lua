-- lua/boxd/types.lua against what is there at run time, both ways.

local boxd = require "boxd"
local scripted = require "spec.support.scripted"

local f <close> = assert(io.open "lua/boxd/types.lua")
local text = f:read "a"

-- The names that the file gives to a class: its functions.
local function annotated(class)
  local names = {}
  for name in text:gmatch("\nfunction " .. class .. "[.:]([%w_]+)%(") do
    names[name] = true
  end
  return names
end

local function methods(object)
  local names, class = {}, debug.getmetatable(object).__index
  for name, v in pairs(class) do
    if type(v) == "function" and name ~= "resolve" then names[name] = true end
  end
  return names
end

describe("lua/boxd/types.lua", function()
  it("has every name of the module and no other", function()
    local there, said = {}, annotated "boxd"
    for name in pairs(boxd) do there[name] = true end
    local fields = text:match "%-%-%-@class boxd\n(.-)\nlocal boxd"
    for name in fields:gmatch "%-%-%-@field ([%w_]+)" do said[name] = true end
    assert.same(there, said)
  end)

  it("has every method of every service and object", function()
    local s <close> = scripted.start {
      CreateDisk = { disk_id = "d" } }
    local c = s.c
    for class, object in pairs { Boxes = c.box, Templates = c.template,
      Disks = c.disk, Domains = c.domain, Networks = c.network,
      Tokens = c.token, ApiKeys = c.api_key, Box = s:box(),
      Disk = c.disk:create("d", 1) } do
      assert.same(methods(object), annotated(class))
    end
    for name in pairs(annotated "Compute") do
      assert.equal("function", type(c[name]), name)
    end
  end)

  it("has the parts of json and http", function()
    for class, module in pairs { Json = boxd.json, Http = boxd.http } do
      for name in pairs(annotated(class)) do
        assert.equal("function", type(module[name]), name)
      end
      for name, v in pairs(module) do
        if type(v) == "function" then
          assert.is_true(annotated(class)[name], name)
        end
      end
    end
  end)

  it("is loaded by nothing", function()
    for name in pairs(package.loaded) do
      assert.not_equal("boxd.types", name)
    end
  end)
end)

describe("the README's table of the Python SDK's names", function()
  it("has only names of ours that exist", function()
    local readme <close> = assert(io.open "README.md")
    local table_ = readme:read("a"):match "## Coming from the Python SDK\n(.-)\n## "
    local class = { box = "Box", p = "ExecProcess", d = "Disk", c = "Compute" }
    local service = { box = "Boxes", template = "Templates", disk = "Disks",
      domain = "Domains", network = "Networks", token = "Tokens" }
    local n = 0
    for ours in table_:gmatch "\n|[^\n]-|([^\n|]*)|" do
      for name in ours:gmatch "boxd%.([%w_]+)" do
        assert.truthy(boxd[name], name)
      end
      for holder, name in ours:gmatch "`([%w_.]+):([%w_]+)" do
        local of = service[holder:match "^c%.(.*)"] or class[holder]
        assert.is_true(annotated(of)[name], holder .. ":" .. name)
        n = n + 1
      end
    end
    assert.is_true(n > 40, tostring(n))
  end)
end)
