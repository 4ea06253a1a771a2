-- Packages: the commands of a box's spec, run in it once and in order. A record's
-- list `packages` has the state of each: { command, state, exit_code,
-- output_tail, reason, started_at_ms, finished_at_ms, cut }. The first failure
-- stops the rest. A command cut short by the box's end runs again.

local boxd = require "boxd"
local core = require "boxd.core"
local text = require "boxd.local.text"

local KILL = 9
local SECONDS = 30 * 60 -- a command
local TAIL = 4096       -- bytes of its output
local CUTS_MAX = 3

local packages = {}
packages.__index = packages

function packages.new(service)
  return setmetatable({ service = service, running = {} }, packages)
end

-- What a record's list becomes with one entry changed; none of it is shared.
local function with(list, at, changes)
  local out = {}
  for i, entry in ipairs(list) do
    out[i] = {}
    for k, v in pairs(entry) do out[i][k] = v end
  end
  for k, v in pairs(changes or {}) do
    if v == packages then v = nil end
    out[at][k] = v
  end
  return out
end

-- In the changes of an entry: the field goes away.
local NONE = packages

-- The list for a spec, from the one there was. Those that are not listed any
-- more stay as skipped unless they had come to their end.
function packages.states(commands, before)
  local out, known, listed = {}, {}, {}
  for _, entry in ipairs(before or {}) do known[entry.command] = entry end
  for i, command in ipairs(commands or {}) do
    listed[command] = true
    local entry = known[command]
    if not entry or entry.state == "skipped" then
      entry = { command = command, state = "pending" }
    end
    out[i] = entry
  end
  for _, entry in ipairs(before or {}) do
    if not listed[entry.command] and entry.state ~= "done" then
      local kept = with({ entry }, 1, { state = "skipped",
        reason = "it was removed from the spec before it had finished" })[1]
      out[#out + 1] = kept
    end
  end
  return out
end

-- For a box made from another's files: finished commands stay finished.
function packages.inherited(commands, before, why)
  local out = packages.states(commands, before)
  for i, entry in ipairs(out) do
    if entry.state == "done" then
      out[i] = { command = entry.command, state = "done", reason = "it ran "
        .. "before the files of this box were copied", exit_code = 0 }
    elseif entry.state ~= "skipped" then
      out[i] = { command = entry.command, state = "pending", reason = why }
    end
  end
  return out
end

-- From the first failed one on, all that did not come to their end run again.
function packages.retried(list)
  local out, commands = with(list), {}
  local failed = false
  for i, entry in ipairs(out) do
    failed = failed or entry.state == "failed"
    if failed and entry.state == "failed" then
      commands[#commands + 1] = entry.command
      out[i] = { command = entry.command, state = "pending" }
    end
  end
  return out, commands
end

-- Running.

local function next_one(record)
  for i, entry in ipairs(record.packages or {}) do
    if entry.state == "failed" then return nil end
    if entry.state == "pending" then return i, entry end
  end
end

-- Its output goes to the log in the box, and its end comes back.
local function wrap(command)
  return ("mkdir -p /var/log/boxd; log=/var/log/boxd/packages.log; "
    .. "echo \"\" >>$log; n=$(wc -c <$log); sh -c %s >>$log 2>&1 </dev/null; "
    .. "code=$?; tail -c +$((n + 1)) $log | tail -c %d; exit $code"):format(
    core.text.quote { command }, TAIL)
end

-- The last bytes of a stream: the box's own `tail` may give more than asked.
local function read_tail(fd)
  local last = ""
  for part in function() return fd:read() end do
    last = (last .. part):sub(-TAIL)
  end
  return last
end

-- Runs one to its end: exit code and tail of its output; nil and a reason.
local function run(self, record, handle, command)
  local env = self.service.boxes:env(record)
  env[#env + 1] = "DEBIAN_FRONTEND=noninteractive"
  local started, message = self.service.spawner:exec(handle,
    { command = wrap(command), env = env, root = true })
  if not started then return nil, message end
  started:end_input()
  local out = boxd.spawn(read_tail, started.stdout)
  local err = boxd.spawn(read_tail, started.stderr)
  local ok, code = pcall(boxd.with_timeout, SECONDS, started.wait, started)
  if not ok then
    if not boxd.is_error(code, boxd.TimeoutError) then error(code, 0) end
    started:signal(KILL)
    started:wait()
  end
  started.stdout:finish()
  started.stderr:finish()
  local tail = out:join()
  err:join()
  started:close()
  if not ok then
    return nil, ("it ran for more than %d minutes"):format(SECONDS // 60)
  end
  return code, tail
end

local function change(self, record, command, changes)
  for i, entry in ipairs(record.packages) do
    if entry.command == command then
      return self.service.boxes:change(record,
        { packages = with(record.packages, i, changes) })
    end
  end
end

-- The box went down under it.
local function cut(self, record, entry)
  local cuts = (entry.cut or 0) + 1
  change(self, record, entry.command, cuts < CUTS_MAX
    and { state = "pending", cut = cuts, started_at_ms = NONE,
      reason = "it was interrupted, and runs again with the box" }
    or { state = "failed", reason = "it was interrupted too often" })
end

local function now() return os.time() * 1000 end

local function run_all(self, record, handle)
  local all = self.service.boxes
  local _used <close> = self.service.idle:use(record)
  for _, entry in function() return next_one(record) end do
    local command = entry.command
    change(self, record, command, { state = "running", reason = NONE,
      started_at_ms = now() })
    local code, said = run(self, record, handle, command)
    if not all.records[record.id] then return end
    if all.live[record.id] ~= handle then return cut(self, record, entry) end
    change(self, record, command, code
      and { state = code == 0 and "done" or "failed", exit_code = code,
        output_tail = text.readable(self.service.vars:hide(record, said)),
        finished_at_ms = now() }
      or { state = "failed", reason = said, finished_at_ms = now() })
  end
end

local function run_once(self, record, handle)
  if self.running[record.id] then return end
  self.running[record.id] = true
  local ok, e = pcall(run_all, self, record, handle)
  self.running[record.id] = nil
  if not ok and not boxd.is_error(e, boxd.CancelledError) then
    self.service.boxes.say(record, "could not run its packages", e)
  end
  -- The box may have come up again meanwhile.
  if ok and self.service.boxes.records[record.id] then self:look(record) end
end

-- Runs pending commands, if the box runs. A fork's never are.
function packages:look(record)
  local handle = self.service.boxes.live[record.id]
  local source = record.source
  if handle and record.status == "running" and next_one(record)
    and not (source and source.kind == "fork") then
    boxd.spawn(run_once, self, record, handle)
  end
end

-- Watching boxes.

function packages:up(record) self:look(record) end

-- What ran as the service was killed.
function packages:prepare(record)
  for _, entry in ipairs(record.packages or {}) do
    if entry.state == "running" then cut(self, record, entry) end
  end
end

function packages:show(record, out, full) -- luacheck: ignore self
  if not record.packages then return end
  out.packages = {}
  for i, entry in ipairs(record.packages) do
    out.packages[i] = { command = entry.command, state = entry.state,
      exit_code = entry.exit_code, reason = entry.reason,
      output_tail = full and entry.output_tail or nil,
      started_at_ms = entry.started_at_ms,
      finished_at_ms = entry.finished_at_ms }
  end
end

return packages
