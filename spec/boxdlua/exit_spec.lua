local lua = require("spec.support.program").lua

local mark = [[
local function mark(name)
  return setmetatable({}, { __close = function() print(name .. " closed") end })
end
]]

local function ends(status, out, code)
  local result = lua { "-e", mark .. code }
  assert.equal("", result.err)
  assert.equal(out, result.out)
  assert.equal(status, result.status)
end

describe("os.exit", function()
  it("closes the state first, so that <close> runs", function()
    ends(7, "main closed\n", "local x <close> = mark 'main' os.exit(7)")
  end)

  it("leaves the state alone on request", function()
    ends(7, "", "local x <close> = mark 'main' os.exit(7, false)")
  end)

  it("takes booleans, and nothing for success", function()
    ends(0, "", "os.exit()")
    ends(0, "", "os.exit(true)")
    ends(1, "", "os.exit(false)")
    assert.equal(1, lua({ "-e", "os.exit('x')" }).status)
  end)

  it("works from a coroutine", function()
    ends(5, "main closed\n", [[local x <close> = mark 'main'
      coroutine.wrap(function() os.exit(5) end)()]])
  end)

  it("works from a task, and from one in it, while the main code waits",
    function()
      ends(3, "task closed\nmain closed\n", [[local x <close> = mark 'main'
        boxd.run(function()
          local t <close> = mark 'task'
          boxd.sleep(0)
          os.exit(3)
        end)]])
      ends(3, "inner closed\nouter closed\nmain closed\n", [[
        local x <close> = mark 'main'
        boxd.run(function()
          local t <close> = mark 'outer'
          boxd.run(function() local t <close> = mark 'inner' os.exit(3) end)
        end)]])
    end)

  it("works from a generator in a task", function()
    ends(3, "task closed\nmain closed\n", [[local x <close> = mark 'main'
      boxd.run(function()
        local t <close> = mark 'task'
        for _ in coroutine.wrap(function() os.exit(3) end) do end
      end)]])
  end)

  it("works from a task while the main code computes", function()
    ends(3, "task closed\nmain closed\n", [[local x <close> = mark 'main'
      boxd.spawn(function() local t <close> = mark 'task' os.exit(3) end)
      while true do end]])
  end)

  it("cannot be caught", function()
    ends(3, "", [[
      boxd.spawn(function() while true do pcall(os.exit, 3) end end)
      while true do pcall(boxd.sleep, 60) end]])
  end)

  it("ends the other tasks", function()
    ends(3, "other closed\n", [[
      boxd.spawn(function() local t <close> = mark 'other' boxd.sleep(60) end)
      os.exit(3)]])
  end)

  it("works from a callback in a task", function()
    ends(3, "main closed\n", [[local x <close> = mark 'main'
      boxd.run(function() ("x"):gsub(".", function() os.exit(3) end) end)]])
  end)

  it("closes everything when two tasks call it at once", function()
    ends(3, "task closed\ntask closed\nmain closed\n", [[
      local x <close> = mark 'main'
      for _ = 1, 2 do
        boxd.spawn(function()
          local t <close> = mark 'task'
          boxd.sleep(0)
          os.exit(3)
        end)
      end
      boxd.sleep(60)]])
  end)

  it("closes the rest when a <close> calls it, in the main code or a task",
    function()
      local exits = [[local exits <close> = setmetatable({}, {
        __close = function() os.exit(4) end })]]
      ends(4, "main closed\n", "local x <close> = mark 'main' " .. exits ..
        " os.exit(3)")
      ends(4, "main closed\n", "local x <close> = mark 'main' " .. exits)
      ends(4, "main closed\ntask closed\n",
        "local x <close> = mark 'main' boxd.spawn(function() " ..
        "local t <close> = mark 'task' " .. exits .. " boxd.sleep(60) end)")
      ends(4, "task closed\nmain closed\n",
        "local x <close> = mark 'main' boxd.spawn(function() " ..
        "local t <close> = mark 'task' " .. exits ..
        " boxd.sleep(60) end) os.exit(3)")
    end)

  it("may be called again while it closes", function()
    ends(4, "", [[local x <close> = setmetatable({}, { __close = function()
      os.exit(4) end }) os.exit(3)]])
  end)
end)

describe("the end of a script", function()
  it("cancels the tasks it left", function()
    ends(0, "end\ntask closed\n", [[
      boxd.spawn(function() local t <close> = mark 'task' boxd.sleep(60) end)
      print "end"]])
  end)

  it("does so after an error too", function()
    local result = lua { "-e", mark .. [[
      boxd.spawn(function() local t <close> = mark 'task' boxd.sleep(60) end)
      error "oops"]] }
    assert.equal("task closed\n", result.out)
    assert.equal(1, result.status)
  end)
end)
