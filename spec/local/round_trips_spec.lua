-- How many calls the methods on jobs and folders make, by the log of a script.

local program = require "spec.support.program"
local support = require "spec.support.service"

local SCRIPT = [[
local c <close> = boxd.Compute{}
local box = c.box:create "trips"
local function step(name, fn)
  io.stderr:write("step ", name, "\n")
  return fn()
end
local folder = os.tmpname()
os.remove(folder)
os.execute("mkdir " .. folder .. "; touch " .. folder .. "/f")
local job = step("job", function() return box:job("a", "sleep 100") end)
step("get_job", function() box:get_job "a" end)
step("jobs", function() box:jobs() end)
step("refresh", function() job:refresh() end)
step("output", function() job:output() end)
step("kill", function() job:kill() end)
step("awake", function() box:job("b", "sleep 100", { keep_awake = true }) end)
step("sync_to", function() box:sync_to(folder, "s") end)
step("unchanged", function() box:sync_to(folder, "s") end)
os.remove(folder .. "/f")
step("sync_from", function() box:sync_from("s", folder) end)
os.remove(folder .. "/f")
step("delete", function() box:sync_to(folder, "s", { delete = true }) end)
step("end", function() box:destroy() end)
os.execute("rmdir " .. folder)]]

describe("the calls on jobs and folders", function()
  local service = support.of_block()

  it("are as many as the annotations say", function()
    local path = program.file(SCRIPT)
    finally(function() os.remove(path) end)
    local result = program.lua { path, env = { BOXD_API_URL = service.api_url,
      BOXD_API_KEY = service.api_key, BOXD_EXCHANGE_URL = service.exchange_url,
      BOXD_LOG = "info" } }
    assert.equal(0, result.status, result.err)
    local counts, step = {}, "before"
    for line in result.err:gmatch "[^\n]+" do
      local name = line:match "^step (.*)"
      if name then
        step, counts[name] = name, 0
      elseif line:find "^boxd .* OK " then
        counts[step] = (counts[step] or 0) + 1
      end
    end
    counts.before = nil
    assert.same({ job = 1, get_job = 1, jobs = 1, refresh = 1, output = 1,
      kill = 1, awake = 4, sync_to = 2, unchanged = 1, sync_from = 2, delete = 2,
      ["end"] = 1 }, counts)
  end)
end)
