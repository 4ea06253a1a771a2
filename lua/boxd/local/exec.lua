-- Exec: a command in a box, its streams carried over one call.

local boxd = require "boxd"
local status = require "boxd.local.status"

local TERM, KILL = 15, 9
local TERM_SECONDS = 1.5 -- between TERM and KILL, when the client is gone
local QUIET_SECONDS = 0.1 -- no output after the command's end: that was all
local TAIL_SECONDS = 10 -- for output after the command's end
local KILLED = 128 + KILL -- the exit code, as it is of what ends with its box

-- A box can do that to its /bin/sh.
local ENOENT, ENOEXEC, EACCES, ENOTDIR, ELOOP = 2, 8, 13, 20, 40
local ETIMEDOUT, E2BIG = 110, 7
local CODES = {
  [E2BIG] = "INVALID_ARGUMENT",
  [ENOENT] = "FAILED_PRECONDITION", [ENOEXEC] = "FAILED_PRECONDITION",
  [EACCES] = "FAILED_PRECONDITION", [ENOTDIR] = "FAILED_PRECONDITION",
  [ELOOP] = "FAILED_PRECONDITION", [ETIMEDOUT] = "FAILED_PRECONDITION",
}

-- Output to the client, until its end. Both streams may send at once: the call
-- puts them in line. sent: how far that is, for drain.
local function send_output(call, fd, is_stderr, sent)
  for data in function() return fd:read() end do
    sent.waiting = sent.waiting + 1
    call:send { data = data, is_stderr = is_stderr }
    sent.waiting = sent.waiting - 1
    sent.n, sent.at = sent.n + 1, boxd.now()
  end
end

-- The client's chunks to the command, until its half-close. What the command
-- does not take any more is dropped.
local function feed(call, command)
  local written
  for chunk in function() return call:recv() end do
    if chunk.window_change then
      command:resize(math.min(chunk.cols, 65535), math.min(chunk.rows, 65535))
    elseif #chunk.data > 0 then
      command.stdin:write(chunk.data)
      written = chunk.data
    end
  end
  command.stdin:write(command:end_input(written))
end

-- Ends the command's session when the client is gone before it: those of it
-- that ignore TERM too, and those that outlive the command.
local function kill_when_cancelled(call, command)
  if not call:wait_cancelled() then return end
  command:signal(TERM)
  pcall(boxd.with_timeout, TERM_SECONDS, command.wait, command)
  boxd.sleep(QUIET_SECONDS)
  command:signal(KILL)
end

-- The client's end cancels the tasks that serve it, without an error.
local function quietly(fn, ...)
  local ok, e = pcall(fn, ...)
  if not ok and not boxd.is_error(e, boxd.CancelledError) then error(e, 0) end
end

local function unread(command)
  return command.stdout:waiting() > 0
    or command.stderr and command.stderr:waiting() > 0
end

-- Waits until all output is sent. What the command left in the background may
-- go on writing for ever, or hold the pipes and be quiet. Time in which the
-- client takes nothing does not count, and output that is still to be read is no
-- pause: it is the service that is late.
local function drain(readers, command, sent)
  local function join_all()
    for _, reader in ipairs(readers) do reader:join() end
  end
  local left, pause = TAIL_SECONDS, QUIET_SECONDS
  while left > 0 and pause > 0 do
    local n, began = sent.n, boxd.now()
    local ok, e = pcall(boxd.with_timeout, pause, join_all)
    if ok then return end
    if not boxd.is_error(e, boxd.TimeoutError) then error(e, 0) end
    if sent.n > n or sent.waiting == 0 then
      left = left - (boxd.now() - began)
    end
    pause = (sent.waiting > 0 or unread(command)) and QUIET_SECONDS
      or sent.at + QUIET_SECONDS - boxd.now()
  end
  command.stdout:finish()
  if command.stderr then command.stderr:finish() end
  join_all()
end

-- Keeps the terminal of a command that outlives its call, and takes its output.
local function outlive(command)
  local reader = boxd.spawn(function()
    for _ in function() return command.stdout:read() end do end
  end)
  command:wait()
  reader:cancel()
  command:close()
end

-- The command's exit code; nil: its box has ended, and so it did.
local function run(call, command, survives, lives)
  if not survives then boxd.spawn(kill_when_cancelled, call, command) end
  local feeder = boxd.spawn(quietly, feed, call, command)
  local sent = { n = 0, waiting = 0, at = boxd.now() }
  local readers = {
    boxd.spawn(quietly, send_output, call, command.stdout, false, sent),
  }
  if command.stderr then
    readers[2] = boxd.spawn(quietly, send_output, call, command.stderr, true,
      sent)
  end
  local code = command:wait()
  local ended = code == KILLED and not lives()
  sent.at = math.max(sent.at, boxd.now())
  drain(readers, command, sent)
  feeder:cancel()
  command:close()
  return not ended and code or nil
end

local function check(first)
  if not first then
    status.fail("INVALID_ARGUMENT", "Exec: the first chunk is missing")
  end
  if not first.vm_id then status.fail("INVALID_ARGUMENT", "vm_id is missing") end
  if not first.command then
    status.fail("INVALID_ARGUMENT", "Exec: the command is empty")
  end
end

return function(service, call)
  local first = call:recv()
  check(first)
  local record = service.boxes:find(first.vm_id)
  local _used <close> = service.idle:use(record)
  local handle = service.boxes:handle(record)
  local command, message, errno = service.spawner:exec(handle, {
    command = first.command, env = service.boxes:env(record), pty = first.tty,
    cols = math.min(first.cols, 65535), rows = math.min(first.rows, 65535),
  })
  if not command then
    service.boxes.ends:fail(record, errno, "the command can't be run", message,
      CODES)
  end
  local ok, code = pcall(run, call, command, service.exec_survives, function()
    return service.boxes.by_handle[handle]
  end)
  if not ok and service.exec_survives and first.tty then
    boxd.spawn(outlive, command)
  else
    command:close()
  end
  if not ok then error(code, 0) end
  if not code then service.boxes.ends:gone(record) end
  if not call:cancelled() then call:send { exit_code = code } end
end
