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
      ["bodx.Compute {}"] = "boxd",
    } do
      assert.matches("a nil value .*: did you mean '" .. name .. "'%?$",
        message(code), code)
    end
  end)

  it("is the object's own error where the object is ours", function()
    for code, wanted in pairs {
      ["box:destory()"] = "Box has no field or method 'destory' (did you mean "
        .. "'destroy'?)",
      ["box:wait_until_redy()"] = "Box has no field or method "
        .. "'wait_until_redy' (did you mean 'wait_until_ready'?)",
      ["local id = box.vm_id"] = "Box has no field 'vm_id': it is called 'id' "
        .. "here",
      ["c.boxes:list()"] = "Compute has no field or method 'boxes' (did you "
        .. "mean 'box'?)",
      ["c.box:crate 'x'"] = "Boxes has no field or method 'crate' (did you "
        .. "mean 'create'?)",
      ["local function f() box.strat(box) end f()"] = "Box has no field or "
        .. "method 'strat' (did you mean 'start'?)",
      ["local t = boxd.spawn(print) t:jion()"] = "Task has no field or method "
        .. "'jion' (did you mean 'join'?)",
      ["boxd.compute {}"] = "boxd has no 'compute' (did you mean 'Compute'?)",
      ["boxd.jsn.encode {}"] = "boxd has no 'jsn' (did you mean 'json'?)",
      ["box:frobnicate()"] = "Box has no field or method 'frobnicate'",
    } do
      assert.equal(wanted, message(code))
    end
  end)

  it("explains how to get a process", function()
    assert.matches("method 'lines'%): exec and sh give a process, .*stream = true",
      message "local r = { stdout = '' } r:lines()")
  end)

  it("gives no hint without a similar name, or for other keys than names", function()
    assert.matches("%(method 'frobnicate'%)$",
      message "local t = {} t:frobnicate()")
    assert.matches("%(local 'bx'%)$", message "local bx bx:start()")
    assert.matches("a nil value %(field '[^']*'%)$", message "local t = {} t[1]()")
  end)

  it("runs no code of the script's", function()
    assert.matches("%(global 'bodx'%): did you mean 'boxd'%?$", message [[
      trap = setmetatable({}, { __index = function() os.exit(9) end,
        __pairs = function() os.exit(9) end, __name = "trap" })
      bodx.Compute(trap)]])
  end)

  it("is helped at the prompt, too", function()
    local result = program.lua { "-i", stdin = "c = boxd.Compute { token = 't' }\n"
      .. "c:whoam()\n" }
    assert.matches("stdin:1: Compute has no field or method 'whoam' %(did you "
      .. "mean 'whoami'%?%)", result.err)
    result = program.lua { "-i", stdin = "bodx.spawn(print)\n" }
    assert.matches("global 'bodx'%): did you mean 'boxd'%?", result.err)
  end)
end)
