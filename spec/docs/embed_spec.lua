local program = require "spec.support.program"

-- scripts/embed.lua over files of a folder of ours.
local function embed(files, ...)
  local folder = os.tmpname()
  os.remove(folder)
  os.execute("mkdir " .. folder)
  local names = {}
  for name, text in pairs(files) do
    os.execute(("mkdir -p %s/%s"):format(folder, name:match("^(.*)/")))
    local file = assert(io.open(folder .. "/" .. name, "wb"))
    file:write(text)
    file:close()
    names[#names + 1] = name
  end
  table.sort(names, function(a, b) return a > b end)
  local here = io.popen("pwd"):read("l")
  local result = program.run { "-C", folder, program.lua5,
    here .. "/scripts/embed.lua", table.unpack(
      table.move(names, 1, #names, 1 + select("#", ...), { ... })) }
  os.execute("rm -r " .. folder)
  return result
end

describe("scripts/embed.lua", function()
  it("names modules as require does, sorted", function()
    local result = embed {
      ["lua/boxd/b.lua"] = "return 1",
      ["lua/boxd/a/init.lua"] = "return 2",
      ["lua/boxd/a/c.lua"] = "return '\0\255'",
    }
    assert.equal("", result.err)
    local found = {}
    for name, chunk in result.out:gmatch('{"(.-)", "(.-)"') do
      found[#found + 1] = name .. " " .. chunk
    end
    assert.same({ "boxd.a @boxd/a/init.lua", "boxd.a.c @boxd/a/c.lua",
      "boxd.b @boxd/b.lua" }, found)
    assert.truthy(result.out:find("host_module_count = 3;", 1, true))
    assert.truthy(result.out:find("27,76,117,97,", 1, true), "compiled")
    assert.truthy(result.out:gsub("%s", ""):find(",0,255,", 1, true),
      "strings as they are")
  end)

  it("keeps text as it is for boxd.so", function()
    local result = embed({ ["lua/boxd/b.lua"] = "\n\n  -- x\nreturn 1" }, "--text")
    assert.equal("", result.err)
    assert.truthy(result.out:find('#include "bind/embedded.h"', 1, true))
    assert.truthy(result.out:find('{"boxd.b", "@boxd/b.lua", ', 1, true))
    assert.truthy(result.out:find("lbx_file_count = 1;", 1, true))
    assert.truthy(result.out:gsub("%s", ""):find(
      "10,10,32,32,45,45,32,120,10,114,101,116", 1, true))
  end)

  it("works without any file", function()
    assert.truthy(embed({}).out:find("host_module_count = 0;", 1, true))
  end)

  it("refuses a syntax error, a double name and a foreign path", function()
    local function refuses(message, files)
      local result = embed(files)
      assert.equal(1, result.status)
      assert.truthy(result.err:find(message, 1, true), result.err)
    end
    refuses("lua/boxd/x.lua:1:", { ["lua/boxd/x.lua"] = "x = = 1" })
    refuses("are both module boxd.x", { ["lua/boxd/x.lua"] = "",
      ["lua/boxd/x/init.lua"] = "" })
    refuses("only files lua/*.lua", { ["src/x.lua"] = "" })
  end)
end)
