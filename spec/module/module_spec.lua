-- boxd.so in an interpreter that is not ours.
local boxd = require "boxd"
local program = require "spec.support.program"

local function lua(args)
  return program.run(table.move(args, 1, #args, 2, {
    program.lua5, env = args.env,
  }))
end

describe("boxd.so under " .. program.lua5, function()
  it("is loaded from this tree", function()
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

  it("is one file: no Lua file of ours is looked for", function()
    local result = lua { "-e", [[
      package.path = ""
      local opened = {}
      local boxd = require "boxd"
      package.searchers[2] = function(name) opened[#opened + 1] = name end
      local c = boxd.Compute { token = "t", api_url = "http://127.0.0.1:1" }
      for name in pairs(boxd) do assert(boxd[name]) end
      for _, service in pairs(c) do
        pcall(function() service:list() end)
      end
      pcall(c.box.create, c.box, { config = { vcpu = 1 } })
      pcall(c.box.temporary, c.box)
      print(table.concat(opened, " "))]] }
    assert.equal("", result.err)
    assert.equal("\n", result.out)
  end)

  it("raises the errors that boxdlua raises, at the same lines", function()
    local script = program.file [[
      local boxd = require "boxd"
      local c = boxd.Compute { token = "t", api_url = "http://127.0.0.1:1" }
      for _, f in ipairs {
        function() return c.boxes end,
        function() return c.box.lst end,
        function() c.timeout = 5 end,
        function() c.box:create { imag = "x" } end,
        function() c.box:create { config = { vcpus = 1 } } end,
        function() c.box.list(c) end,
        function() c.box:get(5) end,
        function() c:call("GetVn", {}) end,
        function() return boxd.compute end,
        function() return boxd.spwan(print) end,
      } do
        print(select(2, pcall(f)))
      end]]
    local under_lua = lua { script }
    local under_boxdlua = program.run { program.boxdlua, script }
    os.remove(script)
    assert.equal("", under_lua.err .. under_boxdlua.err)
    assert.equal(under_boxdlua.out, under_lua.out)
    local count = 0
    for line in under_lua.out:gmatch "[^\n]+" do
      assert.matches("^/tmp/[%w_]+:%d+: .*%g", line)
      count = count + 1
    end
    assert.equal(10, count)
    assert.matches("did you mean 'spawn'", under_lua.out)
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

describe("a download into a pipe", function()
  it("fails when its reader goes, and does not end the host", function()
    local result = lua { "-e", [[
      require "boxd"
      local core = require "boxd.core"
      local name = os.tmpname()
      os.remove(name)
      assert(os.execute("mkfifo " .. name))
      local reader = io.popen("exec head -c 1 " .. name)
      local pipe
      repeat pipe = core.open_special(name) until pipe
      assert(1 == pipe:write("x", 0))
      reader:close()
      os.remove(name)
      print(pipe:write("x", 0))
      print(pipe:write("x", 0))]] }
    assert.equal(("nil\tBroken pipe\n"):rep(2), result.out)
    assert.equal(0, result.status, result.err)
  end)
end)

describe("BOXD_LOG", function()
  it("is for this module too", function()
    local pipe = io.popen("BOXD_LOG=info " .. program.lua5 .. [[ -e '
      local c = require "boxd".Compute { api_url = "http://127.0.0.1:1",
        token = "x", max_retries = 0 }
      pcall(c.whoami, c)' 2>&1]])
    assert.matches("^boxd [%d:.]+ Whoami UNAVAILABLE [%d.]+ ms, %d B sent, 0 B "
      .. "received\n$", pipe:read "a")
    pipe:close()
  end)
end)
