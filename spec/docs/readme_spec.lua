-- README.md: every Lua block in it runs, as it stands, on the embedded service.

local program = require "spec.support.program"

local function blocks()
  local f <close> = assert(io.open "README.md")
  local list = {}
  for code in f:read("a"):gmatch "\n```lua\n(.-)\n```" do
    list[#list + 1] = code
  end
  return list
end

describe("README.md", function()
  local list = blocks()

  it("shows Lua", function() assert.is_true(#list >= 2) end)

  for i, code in ipairs(list) do
    it(("block %d runs: %s"):format(i, code:match "[^\n]*"), function()
      local script = program.file(code)
      local result = program.lua { "--local", script }
      os.remove(script)
      assert.equal(0, result.status, result.err)
    end)
  end
end)
