-- Jobs: commands in a box that outlive the connection. Their state is in the
-- box, where any script finds it (lua/boxd/internal/job/program.lua).

local core = require "boxd.core"
local boxd = require "boxd"
local check = require "boxd.internal.check"
local follow = require "boxd.internal.job.follow"
local perl = require "boxd.internal.perl"
local progress = require "boxd.internal.progress"
local program = require "boxd.internal.job.program"
local resource = require "boxd.internal.resource"
core.internal()

local PATIENCE = 60 -- seconds for a call without a timeout, with its repeats
local COMMAND_MAX = (128 << 10) - 1 -- bytes of one argument

local Job = core.class "Job"
local methods = {}
local state = setmetatable({}, { __mode = "k" }) -- fields, by the job

local FIELDS = { "name", "command", "status", "pid", "started_at", "ended_at",
  "exit_code", "box" }
local IS_FIELD = {}
for _, name in ipairs(FIELDS) do IS_FIELD[name] = true end

function Job:__index(name)
  if methods[name] then return methods[name] end
  if IS_FIELD[name] then return state[self][name] end
  if type(name) ~= "string" or name:sub(1, 1) == "_" then return nil end
  local all = table.move(FIELDS, 1, #FIELDS, 1, {})
  for method in pairs(methods) do all[#all + 1] = method end
  local near = core.text.nearest(name, all)
  error(("Job has no field or method '%s'%s"):format(name,
    near and (" (did you mean '%s'?)"):format(near) or ""), 2)
end

function Job.__newindex(_, name)
  error(("Job.%s is read-only"):format(tostring(name)), 2)
end

function Job:__tostring()
  local s = state[self]
  return ("Job(name=%q, status=%q, command=%q)"):format(s.name, s.status,
    s.command)
end

function Job.__eq(a, b)
  local x, y = state[a], state[b] -- one of them may be any table
  return x ~= nil and y ~= nil and x.mark == y.mark
end

function Job:__pairs()
  local copy = {}
  for _, name in ipairs(FIELDS) do copy[name] = state[self][name] end
  return next, copy
end

local function check_job(method, v)
  if not state[v] then check.fail(1, method, "boxd.Job", v) end
  return state[v]
end

-- ---- calls ----

-- Runs a program in the box, again while connections break: each is such that
-- a second run finds the first one's work.
local function ask(box, arguments, root, opts)
  local ends = boxd.now() + (opts.timeout or PATIENCE)
  local pause = 0.05
  while true do
    local left = math.max(ends - boxd.now(), 0.001)
    local ok, reply = pcall(perl.run, box, arguments.op, program, arguments,
      root, { timeout = left, lasting = true })
    if ok then return reply end
    if not perl.passes(reply) or boxd.now() + pause >= ends then
      error(reply, 0)
    end
    boxd.sleep(pause)
    pause = math.min(pause * 2, 2)
  end
end

local REFUSALS = {
  conflict = { "ConflictError", "job %s runs another command (%s): kill it "
    .. "first, or start this one with restart = true" },
  running = { "ConflictError", "job %s runs: kill it first" },
  gone = { "NotFoundError", "job %s was %s" },
  cwd = { "InvalidArgumentError", "job %s: cwd %s" },
  user = { "InvalidArgumentError", "job %s: the box has no user %s" },
  disk = { "BoxdError", "job %s: the box can't keep it: %s" },
}

local function refuse(name, kind, message)
  local row = REFUSALS[kind]
  core.raise(row[1], row[2]:format(name, message))
end

-- A reply's fields; raises its refusal.
local function fields(name, reply)
  local f = {}
  for key, value in perl.fields(reply) do f[key] = value end
  if f.error then refuse(name, f.error, f.message) end
  return f
end

-- Fields of a job as its record in the box has them.
local function read_record(into, f)
  local code = math.tointeger(f.code)
  into.name, into.command, into.status = f.name, f.command, f.status
  into.mark, into.user, into.timers = f.mark, f.user, f.timers
  into.pid, into.started_at = math.tointeger(f.pid), math.tointeger(f.started)
  into.ended_at = math.tointeger(f.ended)
  into.exit_code = f.status == "killed" and 128 + code or code
  return into
end

-- Gives the box its idle timers back, when keep_awake's job has ended.
local function sleep_again(s, opts)
  if not s.timers or s.status == "running" then return end
  local arguments = { op = "asleep", name = s.name, mark = s.mark }
  local timers = fields(s.name, ask(s.box, arguments, s.user, opts)).timers
  s.timers = nil
  if not timers then return end
  local suspend, hibernate = timers:match "^(%d+) (%d*)"
  s.box:set_auto_suspend_timeout(math.tointeger(suspend))
  if hibernate ~= "" then
    s.box:set_auto_hibernate_timeout(math.tointeger(hibernate))
  end
  arguments.done = 1
  ask(s.box, arguments, s.user, opts)
end

local function update(job, f, opts)
  sleep_again(read_record(state[job], f), opts or {})
  return job
end

local function new_job(box, f, opts)
  local job = setmetatable({}, Job)
  state[job] = { box = box }
  return update(job, f, opts)
end

-- ---- a box's ----

local of_box = {}

local function check_name(method, name)
  check.string(1, method, name)
  if #name > 64 or not name:find "^[%w._-]+$" or name:find "^%.%.?$" then
    check.invalid("%s: a name is 1 to 64 of A-Z a-z 0-9 . _ -, not %s", method,
      check.show(name))
  end
  return name
end

-- A map of variables as "name=value" with NULs between.
local function variables(opts, option)
  local list = {}
  for name, value in pairs(check.field("job", opts, option, "table") or {}) do
    if type(name) ~= "string" or not name:find "^[%a_][%w_]*$" then
      check.invalid("job: %s: a variable's name is a shell identifier, not %s",
        option, check.show(name))
    end
    if type(value) ~= "string" and type(value) ~= "number" then
      check.invalid("job: %s.%s: text expected, not a %s", option, name,
        type(value))
    end
    value = tostring(value)
    if value:find("\0", 1, true) then
      check.invalid("job: %s.%s holds a NUL byte, which no variable can carry",
        option, name)
    end
    list[#list + 1] = name .. "=" .. value
  end
  return table.concat(list, "\0")
end

-- So that a start that is repeated knows its own job.
local function new_mark()
  local f <close> = assert(io.open("/dev/urandom", "rb"))
  return (f:read(16):gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

-- The idle timers of the box, for its job's folder.
local function read_timers(box, opts)
  local vm = resource.call(box, "GetVm", { vm_id = box.id }, opts)
  return ("%d %s"):format(vm.auto_suspend_timeout_secs or 0,
    vm.auto_hibernate_timeout_secs or "")
end

local function keep_awake(job)
  local s = state[job]
  if s.status ~= "running" or not s.timers then return end
  s.box:set_auto_suspend_timeout(0)
  if s.timers:find " %d" then s.box:set_auto_hibernate_timeout(0) end
end

local function text_option(opts, name)
  local v = check.field("job", opts, name, "string")
  if v and (v == "" or v:find("\0", 1, true)) then
    check.invalid("job: %s: text without NUL expected", name)
  end
  return v
end

local function check_command(command)
  check.string(2, "job", command)
  if command == "" then check.invalid "job: a command line expected" end
  if command:find("\0", 1, true) then
    check.invalid "job: the command holds a NUL byte, which no command can carry"
  end
  if #command > COMMAND_MAX then
    check.invalid("job: a command has at most %d bytes: write it to a file in "
      .. "the box", COMMAND_MAX)
  end
  return command
end

-- box:job(name, command, { cwd=, env=, secret_env=, user=, restart=,
-- keep_awake= }) -> Job, started
function of_box:job(name, command, opts)
  opts = check.options(3, "job", opts, { "cwd", "env", "secret_env", "user",
    "restart", "keep_awake", "timeout" })
  local arguments = { op = "start", name = check_name("job", name),
    command = check_command(command), mark = new_mark(),
    cwd = text_option(opts, "cwd"), user = text_option(opts, "user"),
    env = variables(opts, "env"), secret_env = variables(opts, "secret_env"),
    restart = check.field("job", opts, "restart", "boolean") and 1 or 0 }
  check.apart("job", opts.env, opts.secret_env)
  local awake = check.field("job", opts, "keep_awake", "boolean")
  opts = resource.within(opts, opts.timeout)
  if awake then arguments.timers = read_timers(self, opts) end
  local f = fields(name, ask(self, arguments, arguments.user, opts))
  local job = new_job(self, f, opts)
  if awake then keep_awake(job) end
  return job, f.fresh ~= nil
end

-- box:get_job(name) -> Job or nil
function of_box:get_job(name, opts)
  opts = check.options(2, "get_job", opts, { "timeout" })
  local f = fields(name, ask(self,
    { op = "get", name = check_name("get_job", name) }, nil, opts))
  return f.name and new_job(self, f, opts)
end

-- box:jobs() -> a list of Jobs, by name
function of_box:jobs(opts)
  opts = check.options(1, "jobs", opts, { "timeout" })
  local list = boxd.json.array {}
  for _, record in perl.fields(ask(self, { op = "list" }, nil, opts)) do
    list[#list + 1] = new_job(self, fields("", record), opts)
  end
  return list
end

-- ---- a job's ----

-- job:refresh() -> the job
function methods:refresh(opts)
  local s = check_job("refresh", self)
  opts = check.options(1, "refresh", opts, { "timeout" })
  local f = fields(s.name, ask(s.box, { op = "get", name = s.name }, nil, opts))
  if f.mark ~= s.mark then
    refuse(s.name, "gone", f.mark and "started anew" or "removed")
  end
  return update(self, f, opts)
end

local function offset(method, opts, name)
  local v = check.field(method, opts, name, "number")
  if v and not math.tointeger(v) then
    check.invalid("%s: %s is a number of bytes, not %s", method, name, v)
  end
  return v and math.tointeger(v) or 0
end

-- The stream of a job's output by the follower; its end updates the job.
local function open(job, from, ends)
  local s = state[job]
  return follow.new({ box = s.box, name = s.name, mark = s.mark }, from, ends)
end

local NAMES = { out = "stdout", err = "stderr" }

-- Lines of both outputs: `data`, of which the bytes before `at` are gone, and by
-- output the pieces of a line that has not ended.
local lines = {}
lines.__index = lines

-- The next whole line in the data, its output, and the offset after it.
function lines:take()
  local data, at, file = self.data, self.at, self.file
  if not data then return nil end
  local stop = data:find("\n", at, true)
  local parts = self[file]
  if not stop then
    self.data = nil
    parts[#parts + 1] = data:sub(at)
    return nil
  end
  self.at = stop + 1
  local line = data:sub(at, stop - 1)
  if #parts > 0 then
    parts[#parts + 1] = line
    line, self[file] = table.concat(parts), {}
  end
  return line, NAMES[file], self.base + stop
end

-- At the end: the last line, if it has no newline.
function lines:rest()
  for _, file in ipairs { "out", "err" } do
    local line = table.concat(self[file])
    self[file] = {}
    if line ~= "" then return line, NAMES[file], self.stream.from[file] end
  end
end

-- Reads on. False at the end.
function lines:read(job)
  if self.ended then return false end
  local data, file = self.stream:next()
  if not data then
    self.ended = true
    self.stream:close()
    update(job, fields("", file))
    return false
  end
  self.data, self.file, self.at = data, file, 1
  self.base = self.stream.from[file] - #data
  return true
end

-- job:lines{ from=0, follow=true, stderr=false } -> an iterator of line,
-- "stdout" or "stderr", and the offset behind it in that output
function methods:lines(opts)
  check_job("lines", self)
  opts = check.options(1, "lines", opts, { "from", "follow", "stderr" })
  local on = check.field("lines", opts, "follow", "boolean")
  local stream = open(self, { out = offset("lines", opts, "from"),
    err = check.field("lines", opts, "stderr", "boolean") and 0 or nil,
    follow = on ~= false })
  local reader = setmetatable({ out = {}, err = {}, stream = stream }, lines)
  return function()
    repeat
      local line, name, next = reader:take()
      if line then return line, name, next end
    until not reader:read(self)
    return reader:rest()
  end, nil, nil, stream
end

-- job:output{ from=0, limit=, stderr=false } -> bytes that there are, and the
-- offset after them
function methods:output(opts)
  check_job("output", self)
  opts = check.options(1, "output", opts, { "from", "limit", "stderr",
    "timeout" })
  local file = check.field("output", opts, "stderr", "boolean") and "err"
    or "out"
  local from = { out = offset("output", opts, "from"), file = file,
    limit = check.integer("output", opts, "limit", 0) }
  local ends = opts.timeout and boxd.now() + opts.timeout
  local stream <close> = open(self, from, ends)
  local parts = {}
  while true do
    local data, record = stream:next()
    if not data then
      update(self, fields("", record), opts)
      return table.concat(parts), from.out
    end
    parts[#parts + 1] = data
  end
end

-- What a terminal shows while a call lasts; to be closed.
local function shown(s, why)
  local say, meter = progress.wait("job " .. s.name)
  say(why)
  return meter
end

-- job:wait{ timeout= } -> exit code
function methods:wait(opts)
  local s = check_job("wait", self)
  opts = check.options(1, "wait", opts, { "timeout" })
  if s.status == "running" then
    local _shown <close> = shown(s, "it runs")
    local stream <close> = open(self, { follow = true },
      opts.timeout and boxd.now() + opts.timeout)
    local _, record = stream:next()
    update(self, fields("", record))
  end
  if s.status == "lost" then
    core.raise("BoxdError", ("job %s is lost: the box was rebooted, or "
      .. "restored, while it ran, and its end was not seen"):format(s.name))
  end
  return s.exit_code
end

-- Signals that end a process, unless it takes them otherwise. 5 s after one of
-- these the remaining processes get KILL.
local ENDS = { TERM = 1, KILL = 1, INT = 1, QUIT = 1, HUP = 1, ABRT = 1 }
local OTHERS = { USR1 = 0, USR2 = 0, STOP = 0, CONT = 0, WINCH = 0, TSTP = 0,
  ALRM = 0, PIPE = 0, URG = 0 }

-- job:kill(signal="TERM"): to all processes of the job
function methods:kill(signal, opts)
  local s = check_job("kill", self)
  signal, opts = check.trailing(signal, opts)
  signal = check.opt_string(1, "kill", signal, "TERM"):upper():gsub("^SIG", "")
  opts = check.options(2, "kill", opts, { "timeout" })
  local ends = ENDS[signal] or OTHERS[signal]
  if not ends then
    check.invalid("kill: jobs take TERM, KILL, INT, QUIT, HUP, ABRT, USR1, USR2, "
      .. "STOP, CONT and a few that end nothing, not %s", check.show(signal))
  end
  local _shown <close> = shown(s, "it ends")
  update(self, fields(s.name, ask(s.box, { op = "kill", name = s.name,
    mark = s.mark, signal = signal, ends = ends }, s.user, opts)), opts)
end

-- job:remove(): its folder, with the output. One that runs is refused.
function methods:remove(opts)
  local s = check_job("remove", self)
  opts = check.options(1, "remove", opts, { "timeout" })
  sleep_again(s, opts)
  fields(s.name, ask(s.box, { op = "remove", name = s.name, mark = s.mark },
    s.user, opts))
end

return { methods = of_box, new = new_job }
