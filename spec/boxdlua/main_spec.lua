local program = require "spec.support.program"
local lua = program.lua

local function prints(expected, args)
  local result = lua(args)
  assert.equal("", result.err)
  assert.equal(expected, result.out)
  assert.equal(0, result.status)
end

describe("boxdlua", function()
  it("has boxd loaded, the same that require gives", function()
    prints("true\n", { "-e", "print(rawequal(boxd, require 'boxd'))" })
  end)

  it("loads boxd's Lua files as bytecode, not as text", function()
    prints("boxd/files.lua\n", { "-e", "print(select(2, require 'boxd.files'))" })
  end)

  it("prints its version", function()
    local result = lua { "-v" }
    assert.equal(0, result.status)
    assert.truthy(result.out:find("^boxd %d+%.%d+%.%d+  " .. _VERSION
      .. "%.%d"), result.out)
    assert.truthy(lua({ "-v", "-e", "print 'x'" }).out:find("\nx\n$"))
  end)

  it("gives a script its arguments", function()
    local script = program.file("print(..., #arg, arg[0], arg[-1], arg[-2])")
    finally(function() os.remove(script) end)
    prints("a\t2\t" .. script .. "\t-W\t" .. program.boxdlua .. "\n",
      { "-W", script, "a", "b" })
  end)

  it("runs stdin when there is no script, or for -", function()
    prints("nil\tnil\n", { stdin = "print(..., arg[1])" })
    prints("a\t-\n", { "-", "a", stdin = "print(..., arg[0])" })
  end)

  it("does not read stdin after -e or -v", function()
    prints("1\n", { "-e", "print(1)", stdin = "print 'no'" })
    assert.falsy(lua({ "-v", stdin = "print 'no'" }).out:find("no", 1, true))
  end)

  it("does -e, -l and -W in their order, before the script", function()
    local script = program.file("print(x, g.encode and 'module', type(say))")
    finally(function() os.remove(script) end)
    prints("1\tmodule\ttable\n", { "-e", "x = 1", "-l", "g=dkjson", "-lsay",
      "-ex = x // 1", script })
  end)

  it("turns warnings on with -W", function()
    assert.equal("", lua({ "-e", "warn 'w'" }).err)
    assert.equal("Lua warning: w\n", lua({ "-W", "-e", "warn 'w'" }).err)
  end)

  it("reads LUA_INIT, its versioned name first, unless -E", function()
    local both = { LUA_INIT = "print 'plain'",
      ["LUA_INIT_5_" .. _VERSION:match "%d$"] = "print 'five'" }
    prints("five\nx\n", { "-e", "print 'x'", env = both })
    prints("plain\n", { "-e", "", env = { LUA_INIT = "print 'plain'" } })
    prints("x\n", { "-E", "-e", "print 'x'", env = both })
    local file = program.file("print 'file'")
    finally(function() os.remove(file) end)
    prints("file\n", { "-e", "", env = { LUA_INIT = "@" .. file } })
  end)

  it("reads LUA_PATH unless -E", function()
    local path = { LUA_PATH = "/nowhere/?.lua" }
    prints("/nowhere/?.lua\n", { "-e", "print(package.path)", env = path })
    assert.falsy(lua({ "-E", "-e", "print(package.path)", env = path }).out
      :find("nowhere", 1, true))
  end)

  it("ends with 1 after an error, in every kind of chunk", function()
    for _, args in ipairs {
      { "-e", "error 'oops'" },
      { stdin = "error 'oops'" },
      { "-e", "", env = { LUA_INIT = "error 'oops'" } },
    } do
      local result = lua(args)
      assert.equal(1, result.status)
      assert.truthy(result.err:find("oops\nstack traceback:\n", 1, true),
        result.err)
    end
    assert.equal(1, lua({ "-e", "x = = 1" }).status)
    assert.equal(1, lua({ "-l", "no.such.module" }).status)
    assert.equal(1, lua({ "/no/such/script" }).status)
  end)

  it("lets a generator in a task wait as the task does", function()
    prints("other\ntask\n", { "-e", [[boxd.run(function()
      local other = boxd.spawn(function() boxd.sleep(0.01) print "other" end)
      coroutine.wrap(function() other:join() end)()
      print "task" end)]] })
  end)

  it("loads C modules that need Lua's symbols", function()
    prints("directory\n",
      { "-e", "print(require('lfs').attributes('/', 'mode'))" })
  end)
end)
