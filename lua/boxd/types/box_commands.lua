---@meta
-- Commands of a box, its jobs and its log.

---@class (partial) boxd.Box
local Box = {}

--- Runs a program: each argument reaches it as it is. box:exec("ls", "-l", {
--- cwd = "/" }). With stream or interactive: an ExecProcess.
--- Round trips: 1, with secret_env on a terminal 2.
--- RPC: Exec.
--- Raises: NotFoundError; TimeoutError, with stdout and stderr, once all that the
--- command started has ended; InvalidArgumentError; with check, CommandError. Without
--- it an exit code is a result, not an error. A command without a terminal that is
--- silent for 30 minutes is dropped by the service: the error says so.
---@param ... string|number|boxd.ExecOptions arguments, then perhaps options
---@return boxd.ExecOutcome
function Box:exec(...) end

--- Runs a command line of the shell as it is: "make && make test | tee log".
--- Round trips: as exec.
--- RPC: Exec.
--- Raises: as exec.
---@param line string
---@param options? boxd.ExecOptions
---@return boxd.ExecOutcome
function Box:sh(line, options) end

---@class boxd.ExecOptions: boxd.Options
---@field env? table<string, string> reaches every command of a line
---@field cwd? string folder to run in
---@field stdin? string bytes to send, then the end of input; without it and without stream input ends at once, a terminal's too
---@field stream? boolean return an ExecProcess at once
---@field pty? boolean run on a terminal: both outputs in one
---@field interactive? boolean pty and stream, for boxd.attach
---@field cols? integer of the terminal, default 80
---@field rows? integer of the terminal, default 24
---@field close_stdin? boolean end of input from the start, with stream
---@field timeout? number seconds; at their end the command ends with all that it started, in the box too where the connection is lost (3 s later)
---@field killable? boolean for p:kill, and so that p:close() ends all that the command started: a variable LC_BOXD_… of its environment marks it; implied by timeout, user and secret_env; default: that of the Compute
---@field user? string runs it as that user of the box, by sudo where need be
---@field login? boolean runs it by bash -lc, which reads the profile
---@field secret_env? table<string, string> variables that reach the command's environment by its stdin (on a terminal by a file in /dev/shm that is gone before the command starts) and no argument list, log or error; a name may not be in env, too
---@field check? boolean an exit code other than 0 raises CommandError; not with stream
---@field tee? file*|fun(data: string, stream: "stdout"|"stderr") has the output as it comes, too; not with stream
---@field max_output? integer bytes kept of each of stdout and stderr, their last; not with stream

--- Starts a command line that outlives the connection, or adopts the job of
--- that name: one that runs, or that ran the same command, is returned as it is.
--- Its state is in ~/.boxd/jobs/NAME of the box, readable by hand.
--- Round trips: 1, with keep_awake 4, again where the connection breaks.
--- RPC: Exec; GetVm, SetAutoSuspendTimeout, SetAutoHibernateTimeout.
--- Raises: ConflictError when another command runs under the name,
--- InvalidArgumentError, BoxdError when the box can't keep it.
---@param name string 1 to 64 of A-Z a-z 0-9 . _ -
---@param command string for `sh -c`
---@param options? boxd.JobOptions
---@return boxd.Job
---@return boolean started false: it was there
function Box:job(name, command, options) end

---@class boxd.JobOptions: boxd.Options
---@field cwd? string folder to run in, default: the home
---@field env? table<string, string>
---@field secret_env? table<string, string> in the command's environment, and in no file or argument list; a name may not be in env, too
---@field user? string another user of the box, by sudo
---@field restart? boolean end the job of that name and start anew
---@field keep_awake? boolean the box's idle timers are 0 until the job's end is seen

--- Round trips: 1.
--- RPC: Exec.
---@param name string
---@param options? boxd.Options
---@return boxd.Job? job nil: there is none
function Box:get_job(name, options) end

--- All jobs of the box, by name.
--- Round trips: 1.
--- RPC: Exec.
---@param options? boxd.Options
---@return boxd.Job[]
function Box:jobs(options) end

--- for chunk in box:stream_logs() do. Leaving the loop early ends the call.
--- RPC: StreamLogs.
--- Raises: NotFoundError, at the first chunk.
---@param options? boxd.LogOptions
---@return fun(): string? chunks of bytes
function Box:stream_logs(options) end

---@class boxd.LogOptions: boxd.Options
---@field follow? boolean go on with new output, default false
