---@meta
-- A command that outlives the connection, and a port that leads into a box.

--- A job of a box, from box:job, get_job and jobs. Its fields are as they were at
--- the last call of it; any script may have the same job. Calls are repeated
--- where the connection breaks.
---@class boxd.Job
---@field name string
---@field command string
---@field status "running"|"exited"|"killed"|"lost" lost: the box was rebooted under it, and its end was not seen
---@field pid integer of the command, in the box
---@field started_at integer Unix seconds by the box's clock
---@field ended_at? integer Unix seconds
---@field exit_code? integer 128 and the signal's number when it was killed
---@field box boxd.Box
local Job = {}

--- Reads its state again.
--- Round trips: 1.
--- RPC: Exec.
--- Raises: NotFoundError when it was removed or started anew.
---@param options? boxd.Options
---@return boxd.Job self
function Job:refresh(options) end

--- Lines as they come, without the newline, until the job ends: for line in
--- job:lines() do. With stderr, for line, output, next: which output, and the
--- offset after the line in it; the order between the two is not promised. Lost
--- connections are made again, and each byte comes once.
--- Round trips: 1, and 1 every 2 minutes and for each lost connection.
--- RPC: Exec.
--- Raises: NotFoundError when it was removed or started anew, ConnectionError
--- after 300 s without an answer.
---@param options? boxd.LinesOptions
---@return fun(): (line: string?, output: "stdout"|"stderr"|nil, next: integer?)
function Job:lines(options) end

---@class boxd.LinesOptions
---@field from? integer offset in stdout in bytes, default 0; -100: the last 100
---@field follow? boolean default true; false: only the output so far
---@field stderr? boolean lines of stderr, too

--- Output that there is.
--- Round trips: 1.
--- RPC: Exec.
--- Raises: as lines.
---@param options? boxd.OutputOptions
---@return string bytes
---@return integer next the offset after them
function Job:output(options) end

---@class boxd.OutputOptions: boxd.Options
---@field from? integer offset in bytes, default 0; -100: the last 100
---@field limit? integer bytes at most, default: all
---@field stderr? boolean of stderr in place of stdout

--- Waits for its end.
--- Round trips: 1, and 1 every 2 minutes; 0 when its end was seen.
--- RPC: Exec.
--- Raises: TimeoutError, which ends nothing; BoxdError when it is lost.
---@param options? boxd.Options
---@return integer exit_code 128 and the signal's number when it was killed
function Job:wait(options) end

--- Sends a signal to all of its processes, those that left it too. After TERM,
--- INT, QUIT, HUP and ABRT it waits for their end; those that are left after 5 s
--- get KILL. What a process runs when it has the signal is not sent it, as long as
--- its parent lives.
--- Round trips: 1.
--- RPC: Exec.
--- Raises: NotFoundError, InvalidArgumentError for an unknown signal.
---@param signal? string default "TERM"
---@param options? boxd.Options
---@overload fun(self: boxd.Job, options: boxd.Options)
function Job:kill(signal, options) end

--- Takes its folder away, with the output.
--- Round trips: 1.
--- RPC: Exec.
--- Raises: ConflictError while it runs.
---@param options? boxd.Options
function Job:remove(options) end

--- A local port that leads into a box: from box:forward. Its `<close>` closes it.
---@class boxd.Forward
---@field port integer of this machine
local Forward = {}

--- Ends the port and its connections. Idempotent.
function Forward:close() end
