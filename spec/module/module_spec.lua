-- boxd.so in an interpreter that is not ours.
local boxd = require "boxd"
local program = require "spec.support.program"

local function lua(args)
  return program.run(table.move(args, 1, #args, 2, {
    "lua5.4", env = args.env,
  }))
end

describe("boxd.so under lua5.4", function()
  it("is what is tested here", function()
    local path = package.searchpath("boxd", package.cpath)
    assert.truthy(path:find("build.*/boxd%.so$"), path)
    assert.is_nil(package.loaded["boxd.serve"])
    assert.falsy(pcall(require, "boxd.serve"))
  end)

  it("makes no globals", function()
    assert.is_nil(rawget(_G, "boxd"))
  end)

  it("runs tasks while the main code waits", function()
    local order = {}
    local task = boxd.spawn(function()
      order[#order + 1] = "task waits"
      boxd.sleep(0.01)
      order[#order + 1] = "task goes on"
      return "result"
    end)
    order[#order + 1] = "main waits"
    assert.equal("result", task:join())
    assert.same({ "task waits", "main waits", "task goes on" }, order)
  end)

  it("finds its Lua files on package.path", function()
    assert.equal("function", type(boxd.Compute))
  end)

  it("refuses BOXD_LOCAL instead of reaching another service", function()
    local result = lua { "-e", [[
      local boxd = require "boxd"
      print(select(2, pcall(boxd.Compute, { token = "x" })))]],
      env = { BOXD_LOCAL = "1" } }
    assert.truthy(result.out:find("BOXD_LOCAL", 1, true), result.out)
    assert.truthy(result.out:find("boxdlua", 1, true), result.out)
    assert.equal(0, result.status)
  end)

  it("may be unloaded with calls and tasks left", function()
    local result = lua { "-e", [[
      local boxd = require "boxd"
      boxd.spawn(boxd.sleep, 60)
      local c = boxd.Compute { token = "x", api_url = "http://127.0.0.1:1" }
      pcall(c.whoami, c)
      boxd.spawn(c.whoami, c)]] }
    assert.equal("", result.err)
    assert.equal(0, result.status)
  end)
end)

describe("BOXD_LOG", function()
  it("is for this module too", function()
    local pipe = io.popen([[BOXD_LOG=info lua5.4 -e '
      local c = require "boxd".Compute { api_url = "http://127.0.0.1:1",
        token = "x", max_retries = 0 }
      pcall(c.whoami, c)' 2>&1]])
    assert.matches("^boxd [%d:.]+ Whoami UNAVAILABLE [%d.]+ ms, %d B sent, 0 B "
      .. "received\n$", pipe:read "a")
    pipe:close()
  end)
end)
