-- boxdlua(1): that it lints, and is complete.

local program = require "spec.support.program"

local function read(path)
  local file <close> = assert(io.open(path))
  return file:read "a"
end

describe("boxdlua(1)", function()
  local page = read "src/boxdlua/boxdlua.1"

  it("lints clean", function()
    local result = program.run { "mandoc", "-Tlint", "-Wwarning",
      "src/boxdlua/boxdlua.1" }
    assert.equal("", result.out .. result.err)
    assert.equal(0, result.status)
  end)

  it("names every option of --help", function()
    local help = program.lua({ "--help" }).out
    local count = 0
    for option in help:gmatch "\n +%-(%-?[%w-]+)" do
      local written = option:gsub("%-", "%%-")
      assert.truthy(page:find("Fl " .. written .. "%f[^%w-]"), option)
      count = count + 1
    end
    assert.is_true(count > 12)
  end)

  -- Every way in which our sources read a variable.
  local function variables()
    local pipe <close> = assert(io.popen(
      "cat $(ls src/*/*.c | grep -v ^src/sudo/) src/*/*/*.c lua/boxd/*.lua "
      .. "lua/boxd/*/*.lua"))
    local source, seen, count = pipe:read "a", {}, 0
    for _, way in ipairs { "getenv%s*%(?%s*", "is_set%s*%(?%s*",
      "%f[%a]env%s*%(?%s*" } do
      for name in source:gmatch(way .. '"([%a_][%w_]+)"') do
        seen[name], count = true, count + 1
      end
    end
    assert.is_true(count > 15 and seen.BOXD_LOG and seen.HOME and seen.CI)
    return seen
  end

  it("names every variable of the environment that we read", function()
    local list = page:match "%.Sh ENVIRONMENT\n(.-)\n%.Sh "
    for name in pairs(variables()) do
      assert.truthy(list:find("\n%.It Ev [^\n]*%f[%w_]" .. name .. "%f[^%w_]"),
        name)
    end
  end)
end)
