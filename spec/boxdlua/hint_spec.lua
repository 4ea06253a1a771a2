-- What boxdlua adds to an error that a misspelt name makes.

local program = require "spec.support.program"

local BEFORE = [[
local c = boxd.Compute { token = "t" }
local box = require "boxd.box".new(c, { vm_id = "b" })
]]

local function message(code)
  local result = program.lua { "-e", BEFORE .. code }
  assert.equal(1, result.status)
  return (result.err:match "^[^\n]*":gsub("^.-%(command line%):%d+: ", ""))
end

describe("an error about a name that is not there", function()
  it("names the nearest one of the objects at hand", function()
    for code, name in pairs {
      ["box:destory()"] = "destroy",
      ["box:wait_until_redy()"] = "wait_until_ready",
      ["c.boxes:list()"] = "box",
      ["print(c.box) c.box:crate 'x'"] = "create",
      ["boxd.compute {}"] = "Compute",
      ["boxd.jsn.encode {}"] = "json",
      ["bodx.Compute {}"] = "boxd",
      ["local function f() box.strat(box) end f()"] = "start",
      ["local t = boxd.spawn(print) t:jion()"] = "join",
    } do
      assert.matches("a nil value .*: did you mean '" .. name .. "'%?$",
        message(code), code)
    end
  end)

  it("tells how to have a process", function()
    assert.matches("method 'lines'%): exec and sh give a process, .*stream = true",
      message "local r = { stdout = '' } r:lines()")
  end)

  it("says nothing where nothing is near, or for what is no name", function()
    assert.matches("%(method 'frobnicate'%)$", message "box:frobnicate()")
    assert.matches("%(local 'bx'%)$", message "local bx bx:start()")
    assert.matches("a nil value %(field '[^']*'%)$", message "local t = {} t[1]()")
  end)

  it("runs no code of the script's", function()
    assert.matches("%(method 'destory'%): did you mean 'destroy'%?$", message [[
      local trap = setmetatable({}, { __index = function() os.exit(9) end,
        __pairs = function() os.exit(9) end, __name = "trap" })
      box:destory(trap)]])
  end)

  it("is helped at the prompt, too", function()
    local result = program.lua { "-i", stdin = "c = boxd.Compute { token = 't' }\n"
      .. "c:whoam()\n" }
    assert.matches("method 'whoam'%): did you mean 'whoami'%?", result.err)
  end)
end)
