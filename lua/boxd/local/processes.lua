-- The main process of a box: its `cmd`, started with the sandbox, started again
-- when it ends under policy "always", its output in the box's log.

local boxd = require "boxd"
local core = require "boxd.core"

-- Seconds before it starts again, doubling while it does not last LONG.
local FIRST, LAST, LONG = 0.1, 30, 10

local processes = {}
processes.__index = processes

function processes.new(service)
  return setmetatable({ service = service }, processes)
end

local function keep_output(command, name, log)
  local n = 0
  for data in function() return command[name]:read() end do
    log:write(data)
    n = n + #data
    if n > 1 << 20 then -- others get a turn, however much there is
      n = 0
      boxd.sleep(0)
    end
  end
end

-- Runs it once, to its end. Returns what ends the keeping of its output, which
-- goes on as long as its background processes write.
local function run(self, record, handle, log)
  local command, message = self.service.spawner:exec(handle, {
    command = "exec " .. core.text.quote(record.cmd),
    env = self.service.boxes:env(record),
  })
  if not command then
    log:write("can't be started: " .. message .. "\n")
    return function() end
  end
  command:end_input()
  local out = boxd.spawn(keep_output, command, "stdout", log)
  local err = boxd.spawn(keep_output, command, "stderr", log)
  command:wait()
  return function()
    command.stdout:finish()
    command.stderr:finish()
    out:join()
    err:join()
    command:close()
  end
end

local function supervise(self, record, handle)
  local all, delay = self.service.boxes, FIRST
  local log = self.service.logs:of(record)
  repeat
    local began = boxd.now()
    local finish = run(self, record, handle, log)
    if record.restart_policy ~= "always" then return end
    if boxd.now() - began > LONG then delay = FIRST end
    boxd.sleep(delay)
    delay = math.min(delay * 2, LAST)
    while record.status == "suspended" or record.status == "hibernated" do
      all.changed:wait()
    end
    finish()
  until all.live[record.id] ~= handle
end

-- A box without a main process has what a console shows at a boot.
function processes:up(record, handle)
  if #(record.cmd or {}) > 0 then
    boxd.spawn(supervise, self, record, handle)
  else
    self.service.logs:of(record):write(("%s: booted in %d ms\n"):format(
      record.name, record.boot_time_ms or 0))
  end
end

return processes
