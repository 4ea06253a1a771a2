-- Progress, seen on a terminal and nowhere else.

local program = require "spec.support.program"
local terminal = require "spec.support.terminal"

local MAP = [[
local c <close> = boxd.Compute {}
print(#boxd.map({ "web-1", "web-2" }, function(name)
  local box <close> = c.box:temporary { name = name }
  box:sh("echo one; sleep 0.6; echo two of " .. name .. "; sleep 0.2")
  if name == "web-2" then print "printed" end
  return name
end), print == io.write)
]]

-- A transfer slow enough to be seen: its other side reads on request.
local UPLOAD = [[
local box = require "spec.support.calls".start({
  UploadFileStream = function(call)
    local written = 0
    for m in function() return call:recv() end do
      written = written + #m.data
      boxd.sleep(0.01)
    end
    call:send { bytes_written = written }
    call:finish()
  end,
  GetVm = function(call)
    local id = call:recv().vm_id
    call:send { vm_id = id, status = ready and "running" or "pending" }
    call:finish()
  end,
  Exec = function(call) call:send { exit_code = 0 } call:finish() end,
}).box
]]

-- Without the line on networks that an ordinary user may get from --local.
local function without_note(text)
  return (text:gsub("boxdlua: boxes have no network: [^\n]*\n", ""))
end

local function begin(env, code)
  env.TERM = env.TERM or "xterm"
  local script = program.file(code)
  local wait = terminal.begin({ program.boxdlua, script, env = env },
    { { "end" } })
  return function()
    local out, status = wait()
    os.remove(script)
    assert.equal(0, status, out)
    return without_note(out)
  end
end

local function play(env, code) return begin(env, code)() end

describe("boxd.map on a terminal", function()
  it("shows a line an item with its state and latest output", function()
    local out = play({ BOXD_LOCAL = "1" }, MAP)
    assert.matches("web%-1  running +%d%.%d s  one\n", out)
    assert.matches("web%-2  running +%d%.%d s  two of web%-2", out)
    assert.matches("\r?printed\n", out)
    assert.matches("2\tfalse\n$", out)
  end)

  -- Both items and the next picture are due at the same time.
  it("shows no picture once it has returned", function()
    local out = play({}, [[
      boxd.map({ "a", "b" }, function()
        boxd.sleep(0.55)
        local began = boxd.now()
        while boxd.now() - began < 0.2 do end
      end)
      io.stdout:write "mapped\n"
      boxd.sleep(0)
      print(print == io.write, "last")]])
    assert.matches("\r\rmapped\nfalse\tlast\n$", out)
  end)

  it("shows nothing that is not wanted", function()
    local begun = {}
    for i, unwanted in ipairs { { "NO_COLOR", "1" }, { "CI", "1" },
      { "TERM", "dumb" } } do
      local name, value = table.unpack(unwanted)
      begun[i] = begin({ BOXD_LOCAL = "1", [name] = value }, MAP)
    end
    for _, wait in ipairs(begun) do
      assert.equal("printed\n2\tfalse\n", wait())
    end
  end)

  it("shows nothing elsewhere", function()
    local result = program.lua { "-e", MAP, env = { BOXD_LOCAL = "1",
      TERM = "xterm" } }
    assert.equal("", without_note(result.err))
    assert.equal("printed\n2\tfalse\n", result.out)
  end)
end)

describe("a transfer on a terminal", function()
  local big

  setup(function()
    big = program.plain_file ""
    os.execute("truncate -s 100M " .. big)
  end)

  teardown(function() os.remove(big) end)

  it("is shown while it lasts", function()
    local out = play({}, UPLOAD .. ([[
      box:upload("%s", "/x") print "done"]]):format(big))
    assert.matches("upload " .. big:gsub("%p", "%%%0")
      .. "  %d+%.%d MiB of 100%.0 MiB  %d+%%  %d", out)
    assert.matches("\rdone\n$", out)
  end)

  -- Its rate is no whole number of bytes, which ended the transfer.
  it("is shown where less than 1 KiB comes in a second", function()
    local out = play({}, [[
      local box = require "spec.support.calls".start({
        DownloadFileStream = function(call)
          call:recv()
          for _ = 1, 3 do
            boxd.sleep(0.35)
            call:send { data = "x", total_size = 3 }
          end
          call:finish()
        end,
      }).box
      print(box:download("/f", "/dev/null"))]])
    assert.matches("download /f  %d B of 3 B  %d+%%  %d+ B/s", out)
    assert.matches("\r3\n$", out)
  end)

  it("is not shown while on_progress is set", function()
    local out = play({}, UPLOAD .. ([[local told = 0
      box:upload("%s", "/x", { progress = function() told = told + 1 end })
      print(told)]]):format(big))
    assert.equal("100\n", out)
  end)
end)

describe("a wait on a terminal", function()
  -- Three waits that are one call each, which takes 2 s.
  it("goes on being shown while one call lasts", function()
    local out = play({ BOXD_LOCAL = "1" }, [[
      local c <close> = boxd.Compute {}
      local box <close> = c.box:temporary "slow"
      box:wait_until_ready()
      local job = box:job("j", "trap '' TERM; sleep 2; exit 5", {})
      print(job:wait())
      box:sh "(sleep 2; exec python3 -m http.server 8000) >/dev/null 2>&1 &"
      box:wait_for_port(8000) print "listens"
      local loop = box:job("k", "trap '' TERM; while :; do sleep 0.1; done")
      loop:kill() print "killed"]])
    assert.matches("waiting for job j  %d+ s  it runs", out)
    assert.matches("\r5\n", out)
    assert.matches("waiting for slow  %d+ s  nothing listens on port 8000", out)
    assert.matches("\rlistens\n", out)
    assert.matches("waiting for job k  %d+ s  it ends", out)
    assert.matches("\rkilled\n", out)
  end)

  it("says why it goes on", function()
    local out = play({}, UPLOAD .. [[
      boxd.spawn(function() boxd.sleep(1.2) ready = true end)
      box:wait_until_ready { poll_interval = 0.1 } print "ready"]])
    assert.matches("waiting for one  %d s  it is pending", out)
    assert.matches("\rready\n$", out)
  end)
end)
