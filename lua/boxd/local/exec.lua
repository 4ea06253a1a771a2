-- Exec: a command in a box, its streams carried over one call.

local boxd = require "boxd"
local boxes = require "boxd.local.boxes"
local status = require "boxd.local.status"

local TERM, KILL = 15, 9
local GRACE = 2 -- seconds between TERM and KILL

-- Output to the client, until its end. Both streams may send at once: the call
-- puts them in line.
local function send_output(call, fd, is_stderr)
  while true do
    local data, message = fd:read()
    if message then error("can't read a command's output: " .. message, 0) end
    if not data then return end
    call:send { data = data, is_stderr = is_stderr }
  end
end

-- The client's chunks to the command, until its half-close.
local function feed(call, command, pty)
  for chunk in function() return call:recv() end do
    if chunk.window_change then
      command:resize(chunk.cols, chunk.rows)
    elseif #chunk.data > 0 then
      command.stdin:write(chunk.data)
    end
  end
  if not pty then command.stdin:close() end
end

-- Ends the command's session when the client is gone before it.
local function kill_when_cancelled(call, command)
  if not call:wait_cancelled() then return end
  command:signal(TERM)
  local ok = pcall(boxd.with_timeout, GRACE, command.wait, command)
  if not ok then command:signal(KILL) end
end

-- The client's leaving ends the tasks that talk to it; that is no failure.
local function quietly(fn, ...)
  local ok, e = pcall(fn, ...)
  if not ok and not boxd.is_error(e, boxd.CancelledError) then error(e, 0) end
end

local function run(call, command, pty)
  local killer = boxd.spawn(kill_when_cancelled, call, command)
  local feeder = boxd.spawn(quietly, feed, call, command, pty)
  local out = boxd.spawn(quietly, send_output, call, command.stdout, false)
  local err = not pty
    and boxd.spawn(quietly, send_output, call, command.stderr, true)
  local code = command:wait()
  -- What the command wrote is in the pipes now; a process it left behind may
  -- hold them open for ever.
  command.stdout:finish()
  if err then command.stderr:finish() end
  out:join()
  if err then err:join() end
  if not call:cancelled() then call:send { exit_code = code } end
  feeder:cancel()
  killer:cancel()
  for _, fd in ipairs { command.stdin, command.stdout, command.stderr } do
    fd:close()
  end
end

return function(service, call)
  local first = call:recv()
  if not first then
    status.fail("INVALID_ARGUMENT", "Exec: the first chunk is missing")
  end
  if not first.vm_id then status.fail("INVALID_ARGUMENT", "vm_id is missing") end
  if not first.command then
    status.fail("INVALID_ARGUMENT", "Exec: the command is empty")
  end
  local record = service.boxes:find(first.vm_id)
  local handle = service.boxes:handle(record)
  local command, message = service.spawner:exec(handle, {
    command = first.command, env = boxes.env_of(record), pty = first.tty,
    cols = math.min(first.cols, 65535), rows = math.min(first.rows, 65535),
  })
  if not command then
    status.fail("INTERNAL", "the command can't be run: %s", message)
  end
  run(call, command, first.tty)
end
