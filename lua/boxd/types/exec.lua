---@meta
-- A command in a box: its result, or its process while it runs.

--- What exec and sh return: an ExecResult, with stream or interactive an
--- ExecProcess. The type of the call cannot say which.
---@class boxd.ExecOutcome: boxd.ExecResult, boxd.ExecProcess

--- What a command came to.
---@class boxd.ExecResult
---@field stdout string bytes
---@field stderr string bytes
---@field exit_code integer
---@field success boolean exit_code == 0
---@field truncated? integer bytes that max_output left out; nil without it

--- A command that runs: from exec with stream. Reading slowly holds it back; a
--- stream that is not read, while the other one is read or wait waits, keeps its
--- last 16 MiB. Readers raise the call's error after all that arrived before.
--- Its `<close>`, or being forgotten, cancels it; of a killable one that ends all
--- that it started.
---@class boxd.ExecProcess
---@field stdin boxd.ExecStdin
---@field dropped integer bytes let go unread
local ExecProcess = {}

---@return fun(): string? chunks of bytes
function ExecProcess:iter_stdout() end

---@return fun(): string? chunks of bytes
function ExecProcess:iter_stderr() end

--- Both, in the order of arrival: for data, stream in p:chunks() do.
---@return fun(): (data: string?, stream: "stdout"|"stderr"|nil)
function ExecProcess:chunks() end

--- Lines of stdout without the newline. Left early, the other readers have the
--- rest.
---@return fun(): string? lines
function ExecProcess:lines() end

---@return string? chunk bytes; nil at the end
function ExecProcess:read_stdout() end

---@return string? chunk bytes; nil at the end
function ExecProcess:read_stderr() end

--- Sends to its stdin; waits while the transport is full.
--- Raises: BoxdError after write_eof or the process's end.
---@param data string bytes
function ExecProcess:write(data) end

--- Ends its stdin.
--- Raises: BoxdError for a second one.
function ExecProcess:write_eof() end

--- Sets the size of the terminal.
---@param cols integer
---@param rows integer
function ExecProcess:resize(cols, rows) end

--- Waits for its end.
--- Raises: TimeoutError, which cancels nothing; what ended the call otherwise
--- than by an exit, as the end of its box does; InternalError where the service
--- sent no exit code.
---@param options? boxd.Options
---@return integer exit_code
function ExecProcess:wait(options) end

--- Waits until the output has what the Lua pattern matches, in a terminal's output
--- or stdout's. Output after the match is left for the next reader; of
--- output that does not match the last 1 MiB is kept.
--- Raises: TimeoutError, which cancels nothing; BoxdError when the output ends
--- without a match.
---@param pattern string of string.find
---@param options? boxd.Options
---@return string ... the captures, or else all that matched
function ExecProcess:expect(pattern, options) end

--- Sends a signal to all that the command started, whatever session or terminal it
--- is in; of a command that has ended: to nothing. After TERM it waits until all of
--- that has ended, and sends KILL 5 s later; after KILL it waits, too. What a
--- process runs when it has the signal is not sent it, as long as its parent lives.
--- RPC: Exec.
--- Raises: InvalidArgumentError for a command that is not killable; BoxdError when
--- something does not end.
---@param signal? string|integer "TERM" (the default), "SIGINT", "usr1", 9
function ExecProcess:kill(signal) end

--- Cancels the call, which on some services kills the command; of a killable one it
--- ends all that it started, on any, for which it waits up to 5 s. A command that has
--- not begun by then ends when it does, up to 4 s later. Idempotent.
function ExecProcess:close() end

--- p.stdin: the same as p:write and p:write_eof.
---@class boxd.ExecStdin
local ExecStdin = {}

---@param data string bytes
function ExecStdin:write(data) end

function ExecStdin:write_eof() end
