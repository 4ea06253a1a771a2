-- A script that is stopped for a moment, as by Ctrl-Z and fg: what it waits for
-- ends in its time all the same. gRPC itself waits anew after such a moment, for
-- all of the time.

local boxd = require "boxd"
local process = require "spec.support.process"
local program = require "spec.support.program"

local SECONDS, STOPPED = 5, 4.5

-- What takes SECONDS in a script, whose `silent` takes connections and says no
-- more.
local WAITS = {
  ["a sleep"] = "boxd.sleep(seconds)",
  ["a task's sleep"] = "boxd.run(function() boxd.sleep(seconds) end)",
  ["a call's timeout"] = [[
    local c <close> = boxd.Compute { api_url = silent, token = "t" }
    assert(not pcall(c.whoami, c, { timeout = seconds }))]],
  ["a token exchange's timeout"] = [[
    local c <close> = boxd.Compute { api_url = silent, api_key = "bxk_x",
      exchange_url = silent .. "/exchange" }
    assert(not pcall(c.whoami, c, { timeout = seconds }))]],
  ["an HTTP request's timeout"] =
    "assert(not pcall(boxd.http.request, { url = silent, timeout = seconds }))",
}

local SILENT = [[
import socket, time
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen(64)
print("http://127.0.0.1:%d" % s.getsockname()[1], flush=True)
time.sleep(60)]]

describe("a script that is stopped and goes on", function()
  local peer, scripts = nil, {}

  setup(function()
    peer = process.start { "/usr/bin/python3", "-c", SILENT }
    local silent = peer:line()
    for name, wait in pairs(WAITS) do
      local path = program.file(([[
        local boxd = require "boxd"
        local silent, seconds = %q, %d
        print "begins"
        io.stdout:flush()
        local began = boxd.now()
        %s
        print(boxd.now() - began)]]):format(silent, SECONDS, wait))
      scripts[name] = { path = path,
        process = process.start { program.boxdlua, path } }
    end
    for _, s in pairs(scripts) do assert.equal("begins", s.process:line()) end
    boxd.sleep(STOPPED)
    for _, s in pairs(scripts) do
      os.execute(("kill -STOP %d; kill -CONT %d"):format(s.process.pid,
        s.process.pid))
    end
  end)

  teardown(function()
    peer:stop()
    for _, s in pairs(scripts) do
      s.process:stop()
      os.remove(s.path)
    end
  end)

  for name in pairs(WAITS) do
    it("has the rest of " .. name .. " to wait, not all of it", function()
      local took = tonumber(scripts[name].process:line())
      assert.is_true(took >= SECONDS - 0.01 and took < SECONDS + 4, took)
    end)
  end
end)
