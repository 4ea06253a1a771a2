-- How many calls the everyday methods make, by the log of a script: as many as
-- their annotations say. And, behind a relay that is far away, that no call takes
-- more than one round trip.

local process = require "spec.support.process"
local program = require "spec.support.program"
local support = require "spec.support.service"

local RELAY = 0.1 -- seconds of a round trip

-- Each step: a method, and what its annotation must have about it.
local SCRIPT = [[
local c <close> = boxd.Compute {}
local box
local total = 0
local function step(name, fn)
  io.stderr:write("step ", name, "\n")
  local began = boxd.now()
  local result = fn()
  total = total + boxd.now() - began
  io.stderr:write "step nothing\n"
  return result
end
local folder = os.tmpname()
os.remove(folder)
os.execute("mkdir " .. folder .. "; touch " .. folder .. "/f")

step("ensure, new", function() box = c.box:ensure "trips" end)
step("ensure", function() c.box:ensure "trips" end)
step("up", function() box:up() end)
local job = step("job", function() return box:job("a", "echo x; sleep 100") end)
step("get_job", function() box:get_job "a" end)
step("jobs", function() box:jobs() end)
step("Job:refresh", function() job:refresh() end)
step("Job:output", function() job:output() end)
step("Job:lines", function() for line in job:lines { follow = false } do assert(line) end end)
step("Job:kill", function() job:kill() end)
step("Job:wait, ended", function() job:wait() end)
step("Job:remove", function() job:remove() end)
local short = box:job("short", "sleep 0.5")
step("Job:wait", function() short:wait() end)
step("job, awake", function() box:job("b", "sleep 100", { keep_awake = true }) end)
step("sync_to", function() box:sync_to(folder, "s") end)
step("sync_to, the same", function() box:sync_to(folder, "s") end)
step("sync_to, checksum", function() box:sync_to(folder, "s", { checksum = true }) end)
os.remove(folder .. "/f")
step("sync_from", function() box:sync_from("s", folder) end)
step("sync_from, the same", function() box:sync_from("s", folder) end)
os.remove(folder .. "/f")
step("sync_to, delete", function() box:sync_to(folder, "s", { delete = true }) end)
step("stat", function() box:stat "/etc" end)
step("exists", function() box:exists "/etc" end)
step("write_file", function() box:write_file("x", "f") end)
step("write_file, mode", function() box:write_file("x", "f", { mode = "755" }) end)
step("write_file, private", function() box:write_file("x", "p", { mode = "600" }) end)
step("write_file, owner", function()
  box:write_file("x", "/srv/f", { owner = "nobody" })
end)
step("mkdir, owner", function() box:mkdir("/srv/d", { owner = "nobody" }) end)
step("exec, another user", function() box:sh("true", { user = "nobody" }) end)
step("exec, secret_env", function() box:sh("true", { secret_env = { S = "x" } }) end)
step("exec, secret_env on a terminal", function()
  box:sh("true", { secret_env = { S = "x" }, pty = true })
end)
box:sh "cd /etc && (python3 -m http.server 8123 >/dev/null 2>&1 &)"
step("wait_for_port", function() box:wait_for_port(8123) end)
step("publish", function() box:publish(8123) end)
step("publish, new", function() box:publish(8123, { name = "api" }) end)
step("publish, there", function() box:publish(8123, { name = "api" }) end)
local port <close> = step("forward", function() return box:forward(8123) end)
step("forward, a connection", function()
  boxd.http.request { url = ("http://127.0.0.1:%d/hostname"):format(port.port) }
  boxd.sleep(0.5) -- its call is logged when it has ended
end)
step("down", function() box:down() end)
step("down, stopped", function() box:down() end)
step("up, stopped", function() box:up() end)
step("sweep, of none", function() c.box:sweep { prefix = "none" } end)
step("Boxes:destroy", function() c.box:destroy(box) end)
os.execute("rm -r " .. folder)
print(total)]]

local CALLS = {
  ["ensure, new"] = 5, ensure = 2, up = 2, job = 1, get_job = 1, jobs = 1,
  ["Job:refresh"] = 1, ["Job:output"] = 1, ["Job:lines"] = 1, ["Job:kill"] = 1,
  ["Job:wait, ended"] = 0, ["Job:remove"] = 1, ["Job:wait"] = 1,
  ["job, awake"] = 4, sync_to = 2, ["sync_to, the same"] = 1, ["sync_to, checksum"] = 2,
  sync_from = 2, ["sync_from, the same"] = 1, ["sync_to, delete"] = 2, stat = 1,
  exists = 1, write_file = 1, ["write_file, mode"] = 2, ["write_file, private"] = 3,
  ["write_file, owner"] = 4, ["mkdir, owner"] = 1, ["exec, another user"] = 1,
  ["exec, secret_env"] = 1, ["exec, secret_env on a terminal"] = 2, wait_for_port = 1,
  publish = 2, ["publish, new"] = 1, ["publish, there"] = 3, forward = 0,
  ["forward, a connection"] = 1, down = 4, ["down, stopped"] = 1, ["up, stopped"] = 4,
  ["sweep, of none"] = 1, ["Boxes:destroy"] = 1,
}

-- The numbers of an annotation's round trips, by the method's name.
local function annotated(name)
  for file in io.popen "cat lua/boxd/types/*.lua":read "a":gmatch "(.-)\n\n" do
    if file:find("\nfunction " .. name .. "%(") then
      local text = file:match "%-%-%- Round trips: (.-)\n%-%-%- %u" or ""
      local numbers = {}
      for n in text:gmatch "%f[%d]%d+%f[%D]" do numbers[tonumber(n)] = true end
      return numbers
    end
  end
end

describe("the everyday methods", function()
  local service = support.of_block()

  -- The calls of each step, and the seconds of all.
  local function run(api_url)
    local path = program.file(SCRIPT)
    local result = program.lua { path, env = { BOXD_API_URL = api_url,
      BOXD_API_KEY = service.api_key, BOXD_EXCHANGE_URL = service.exchange_url,
      BOXD_LOG = "info" } }
    os.remove(path)
    assert.equal(0, result.status, result.err)
    local counts, step = {}, "nothing"
    for line in result.err:gmatch "[^\n]+" do
      local name = line:match "^step (.*)"
      if name then
        step, counts[name] = name, counts[name] or 0
      elseif line:find "^boxd [%d:.]+ %u%l" then
        counts[step] = (counts[step] or 0) + 1
      end
    end
    counts.nothing = nil
    return counts, tonumber(result.out)
  end

  it("make as many calls as their annotations say", function()
    assert.same(CALLS, (run(service.api_url)))
    for step, calls in pairs(CALLS) do
      local name = step:match "^[%w_:]+"
      name = name:find ":" and name or "%u%l+:" .. name
      assert.is_true((annotated(name) or {})[calls], step)
    end
  end)

  -- The same script near and far: what it takes longer is the way.
  it("make each call in one round trip", function()
    local relay = process.start { "/usr/bin/python3", "scripts/bench/delay.py",
      "127.0.0.1", service.api_url:match ":(%d+)", tostring(RELAY / 2) }
    local far = "http://127.0.0.1:" .. relay:line():match "%d+"
    local trips, best = 0, math.huge
    for _, calls in pairs(CALLS) do trips = trips + calls end
    for _ = 1, 3 do
      local _, near = run(service.api_url)
      local counts, seconds = run(far)
      assert.same(CALLS, counts)
      best = math.min(best, (seconds - near) / RELAY / trips)
      if best < 1.3 then break end
    end
    relay:stop()
    assert.is_true(best > 0.7 and best < 1.3, best)
  end)
end)
