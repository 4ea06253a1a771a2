-- The examples of lua/boxd/loop/README.md, each run by Lua as it stands against
-- an embedded service.

local loops = require "spec.support.loops"
local program = require "spec.support.program"
local service = require "spec.support.service"

local NEEDS = { luv = { "luv" }, cqueues = { "cqueues", "http" },
  copas = { "copas" }, glib = { "glib" }, ["another loop"] = { "copas" } }

local function read(path)
  local f <close> = assert(io.open(path))
  return f:read "a"
end

describe("the example of", function()
  local s, count = service.of_block(), 0

  for title, code in read "lua/boxd/loop/README.md"
    :gmatch "\n## ([^\n]+)\n[^#]-\n```lua\n(.-)\n```" do
    local name = title:lower()
    count = count + 1
    it(name .. " runs, and leaves no box", function()
      for _, library in ipairs(NEEDS[name]) do
        local lacks = loops.lacks(library)
        if lacks then return pending(lacks) end
      end
      local path = program.file(code)
      finally(function() os.remove(path) end)
      local env = loops.environment()
      env.BOXD_API_URL, env.BOXD_API_KEY = s.api_url, s.api_key
      env.BOXD_EXCHANGE_URL = s.exchange_url
      local result = program.run { "timeout", loops.LIMIT, program.lua5, path,
        env = env }
      assert.equal("", result.err)
      assert.equal(0, result.status, result.out)
      assert.same({}, s.compute:call("ListVms").vms)
    end)
  end

  it("each loop is there", function() assert.equal(5, count) end)
end)
