-- boxd.attach, under a pseudo-terminal (spec/support/attached.py), and
-- boxd.prefix. The server is in the script's own process.

local boxd = require "boxd"
local calls = require "spec.support.calls"
local core = require "boxd.core"
local program = require "spec.support.program"

local BEFORE = [[
package.path = "./?.lua;" .. package.path
local calls = require "spec.support.calls"
local function start(script)
  local s = calls.start { Exec = function(call)
    call:recv()
    script(call)
  end }
  s.p = s.box:exec("x", { interactive = true })
  return s
end
local function stall(call)
  call:send { data = "ready\n" }
  call:wait_cancelled()
end
]]

local function attached(action, code)
  local script = program.file(BEFORE .. code)
  finally(function() os.remove(script) end)
  return program.run { "python3", "spec/support/attached.py", action,
    program.boxdlua, script }.out
end

describe("boxd.attach", function()
  it("passes keys, Ctrl-C and sizes on, and returns the exit code", function()
    local out = attached("type", [[
      local s <close> = start(function(call)
        call:send { data = "ready\n" }
        local typed = ""
        for chunk in function() return call:recv() end do
          if chunk.window_change then
            call:send { data = ("size %d %d\n"):format(chunk.cols, chunk.rows) }
          else
            typed = typed .. chunk.data
            call:send { data = "typed " .. typed:gsub(".", function(c)
              return ("%02x"):format(c:byte())
            end) .. "\n" }
            if chunk.data:find "q" then break end
          end
        end
        call:send { exit_code = 7 }
        call:finish()
      end)
      os.exit(boxd.attach(s.p))]])
    assert.matches("size 100 30", out)
    assert.matches("typed 68656c6c6f03", out)
    assert.matches("size 120 40", out)
    assert.matches("status 7\nrestored\n$", out)
  end)

  it("restores the terminal after an error, a signal, a second one", function()
    assert.matches("cut.*status 1\nrestored\n$", attached("none", [[
      local s <close> = start(function(call)
        call:send { data = "ready\n" }
        call:finish("INTERNAL", "cut")
      end)
      boxd.attach(s.p)]]))
    assert.matches("SIGTERM.*status 143\nrestored\n$", attached("signal", [[
      local s <close> = start(stall)
      boxd.attach(s.p)]]))
    assert.matches("status 143\nrestored\n$", attached("twice", [[
      local s <close> = start(stall)
      local x <close> = setmetatable({}, { __close = function()
        boxd.sleep(60) end })
      boxd.spawn(function() while true do pcall(boxd.attach, s.p) end end)
      boxd.sleep(60)]]))
    assert.matches("status 3\nrestored\n$", attached("none", [[
      local s <close> = start(stall)
      boxd.spawn(boxd.attach, s.p)
      boxd.sleep(0.1)
      os.exit(3, false)]]))
  end)

  it("prints the output of a process that has ended already", function()
    assert.matches("ready\nstatus 7\nrestored\n$", attached("none", [[
      local s <close> = start(function(call)
        call:send { data = "ready\n" }
        call:send { exit_code = 7 }
        call:finish()
      end)
      s.p:wait()
      os.exit(boxd.attach(s.p))]]))
  end)

  it("sends a size behind keys that are still on their way", function()
    local sizes, reading, typed = {}, false, false
    local s <close> = calls.start { Exec = function(call)
      call:recv()
      calls.eventually(function() return reading end)
      repeat
        local chunk = call:recv()
        if chunk.window_change then sizes[#sizes + 1] = chunk.cols end
      until #sizes == 2
      call:send { exit_code = 7 }
      call:finish()
    end }
    local real = core.terminal
    finally(function() core.terminal = real end)
    core.terminal = function()
      return setmetatable({
        size = function() return 80, 24 end,
        read = function()
          if typed then boxd.sleep(60) end
          typed = true
          return ("x"):rep(16 << 20) -- more than the way holds
        end,
        resized = function()
          if reading then boxd.sleep(60) end
          boxd.sleep(0.05)
          reading = true
          return 100, 30
        end,
      }, { __close = function() end })
    end
    local p = s.box:exec("x", { interactive = true })
    assert.equal(7, boxd.with_timeout(10, boxd.attach, p))
    assert.same({ 80, 100 }, sizes)
  end)

  it("needs a terminal, and a process", function()
    local result = program.lua { "-e", BEFORE .. [[
      local s <close> = start(stall)
      local ok, e = pcall(boxd.attach, s.p)
      print(e.class, e.message)
      print(select(2, pcall(boxd.attach, 1)))]] }
    assert.equal("InvalidArgumentError\tattach: stdin is not a terminal\n"
      .. "(command line):18: bad argument #1 to 'attach' (ExecProcess expected,"
      .. " got number)\n", (result.out:gsub(":%d+:", ":18:")), result.err)
  end)
end)

describe("boxd.prefix", function()
  it("prints both streams line by line under the name", function()
    local result = program.lua { "-e", BEFORE .. [[
      local s <close> = start(function(call)
        for c in ("one\n\ntw"):gmatch "." do
          call:send { data = c }
          call:send { data = c, is_stderr = true }
        end
        call:send { data = ("x"):rep(70000) .. "\nend" }
        call:send { exit_code = 4 }
        call:finish()
      end)
      os.exit(boxd.prefix(s.p, "web | "))]] }
    assert.equal("web | one\nweb | \nweb | tw\n", result.err)
    assert.equal("web | one\nweb | \nweb | tw" .. ("x"):rep(65534)
      .. "\nweb | " .. ("x"):rep(70000 - 65534) .. "\nweb | end\n", result.out)
    assert.equal(4, result.status)
  end)

  it("prints the output before an error, and raises it", function()
    local result = program.lua { "-e", BEFORE .. [[
      local s <close> = start(function(call)
        call:send { data = "begun" }
        call:finish("INTERNAL", "cut")
      end)
      boxd.prefix(s.p, "> ")]] }
    assert.equal("> begun\n", result.out)
    assert.matches("InternalError: cut", result.err)
    assert.equal(1, result.status)
  end)
end)
