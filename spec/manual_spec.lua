-- boxdlua(1): that it lints, and tells of all there is.

local program = require "spec.support.program"

local function read(path)
  local file <close> = assert(io.open(path))
  return file:read "a"
end

describe("boxdlua(1)", function()
  local page = read "src/boxdlua.1"

  it("lints clean", function()
    local result = program.run { "mandoc", "-Tlint", "-Wwarning",
      "src/boxdlua.1" }
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

  it("names every variable of the environment that we read", function()
    local pipe <close> = assert(io.popen("cat src/*.c src/core/*.c "
      .. "src/bind/*.c lua/boxd/*.lua lua/boxd/local/main.lua"))
    local seen = {}
    local source = pipe:read "a"
    for name in source:gmatch "BOXD_[%u_]+" do seen[name] = true end
    for _, name in ipairs { "BOXD_VM_ID", "BOXD_VM_NAME",
      "BOXD_PROXY_ENDPOINT" } do
      seen[name] = nil -- set by the service, in its machines
    end
    for name in pairs(seen) do
      if source:find('"' .. name .. '"', 1, true) then
        assert.truthy(page:find("Ev " .. name, 1, true), name)
      end
    end
  end)
end)
