---@meta boxd
-- For language servers and `make doc`: nothing loads these files.
-- This one has the module itself: its functions, errors, tasks, JSON, HTTP.
--
-- Times are seconds, sizes bytes, timestamps Unix seconds, unless a line says
-- otherwise. "RPC" is the call a method makes; what its fields mean is from the
-- published contract, proto/boxd.proto, where "today" marks what the service
-- has added since 0.1. What a call raises stands at it as "Raises"; beyond that
-- every call may raise AuthenticationError, TimeoutError, ConnectionError,
-- CancelledError, InternalError, and InvalidArgumentError for an unknown option
-- or a refused value. A wrong type is an ordinary error of Lua.

--- The module: `require "boxd"`, under boxdlua also the global `boxd`.
---@class boxd
---@field _VERSION string "boxd 0.1.0"
---@field errors table<string, boxd.ErrorClass> the classes below, by name
---@field BoxdError boxd.ErrorClass base of all, and any status not below
---@field AuthenticationError boxd.ErrorClass UNAUTHENTICATED, PERMISSION_DENIED (its class is PermissionDeniedError); the exchange refused
---@field NotFoundError boxd.ErrorClass NOT_FOUND
---@field QuotaExceededError boxd.ErrorClass RESOURCE_EXHAUSTED; the exchange is rate-limited
---@field InvalidArgumentError boxd.ErrorClass INVALID_ARGUMENT, ALREADY_EXISTS (its class is ConflictError); arguments refused before any call
---@field TimeoutError boxd.ErrorClass DEADLINE_EXCEEDED
---@field ConnectionError boxd.ErrorClass UNAVAILABLE
---@field InternalError boxd.ErrorClass INTERNAL, UNKNOWN
---@field CancelledError boxd.ErrorClass CANCELLED: a task cancelled, a client closed, an interrupt
---@field ConflictError boxd.ErrorClass ALREADY_EXISTS, FAILED_PRECONDITION, ABORTED
---@field PermissionDeniedError boxd.ErrorClass PERMISSION_DENIED
---@field CommandError boxd.ErrorClass exec with check: a non-zero exit, with exit_code, stdout, stderr and command
---@field ProvisionError boxd.ErrorClass a step of provision failed; `report` has all
---@field json boxd.Json
---@field http boxd.Http
boxd = {}

--- Functions for boxd.hooks. They run outside tasks; an error of watch is a
--- warning.
---@class boxd.Hooks
---@field park fun(co: thread) runs in the coroutine: yields to its scheduler
---@field wake fun(co: thread) the coroutine may go on: resumes it, or has it resumed later
---@field can_park? fun(): boolean? does the scheduler resume the running coroutine? Without it, every coroutine parks
---@field watch? fun(on: boolean) boxd.pending() is not 0 any more, or is 0 again

--- One spec of pieces, merged and checked: it is a piece itself. Today.
--- Raises: InvalidArgumentError names the field.
---@param piece boxd.Spec
---@return boxd.Spec
function boxd.spec(piece) end

--- A client. Never touches the network: the first call does.
--- Raises: AuthenticationError without credentials.
---@param options? boxd.ComputeOptions
---@return boxd.Compute
function boxd.Compute(options) end

--- Checks a config, which create of a box takes as a plain table just as well.
--- Raises: InvalidArgumentError, which names the field.
---@param config? boxd.Config
---@return boxd.Config config the same table
function boxd.BoxConfig(config) end

--- A file of this machine, for write_file, upload and download.
---@param name string
---@return boxd.Path
function boxd.path(name) end

--- Is it an error of ours, of this class? Takes any value, as pcall may give.
---@param value any
---@param class? boxd.ErrorClass default: any of them
---@return boolean
function boxd.is_error(value, class) end

--- The type of an object of ours, as io.type: "Box", "Compute", "Disk",
--- "ExecProcess", "Task", "Error" and so on; nil for any other value. Raises an
--- argument error where no value is given.
---@param value any
---@return string?
function boxd.type(value) end

--- Has an object of ours a field or a method of that name, set or not? To read a
--- name that an object lacks raises an error; this does not. Of a table: is the
--- field there? False for any other value.
---@param value any
---@param name string
---@return boolean
function boxd.has(value, name) end

--- Starts fn(...) as a task, at once. A failed task that is never joined is
--- reported through `warn`. Only boxd's functions wait in a task: one that yields
--- values, as other libraries' waits do, fails.
---@param fn fun(...): ...
---@param ... any its arguments
---@return boxd.Task
function boxd.spawn(fn, ...) end

--- Runs functions and tasks at once. The first error cancels the rest and is
--- raised. `limit` bounds how many of the functions run at a time.
--- Raises: their errors.
---@param list { [integer]: (fun(): any)|boxd.Task, n?: integer, limit?: integer }
---@return table results the first result of each, in order, with their number `n`
function boxd.gather(list) end

--- fn(item, index) over a list that may have holes where it carries `n`.
--- Raises: the first error, which cancels the rest, unless on_error is "collect".
---@param list table
---@param fn fun(item: any, index: integer): any
---@param options? boxd.MapOptions
---@return table results in order, with their number `n`
---@return table<integer, any> errors by index; nil without on_error = "collect"
function boxd.map(list, fn, options) end

--- Waits; other tasks go on, at least for a turn, also for 0.
---@param seconds number
function boxd.sleep(seconds) end

--- A clock that only goes forward; it begins anywhere.
---@return number seconds
function boxd.now() end

--- Runs fn(...). Past the time its pending call is cancelled. A wait of another
--- library, in its coroutine, is not: the error is raised after it.
--- Raises: TimeoutError past the time; what fn raises.
---@param seconds number
---@param fn fun(...): ...
---@param ... any its arguments
---@return any ... its results
function boxd.with_timeout(seconds, fn, ...) end

--- Calls fn again and again, from 10 ms on and then less often, until its first
--- result is true. An error of fn counts as not yet.
--- Raises: TimeoutError, with the last error or result.
---@param fn fun(): ...
---@param options? boxd.WaitUntilOptions
---@return any ... the results of fn
function boxd.wait_until(fn, options) end

---@class boxd.WaitUntilOptions: boxd.Options
---@field timeout? number seconds for all of it, default 60
---@field interval? number seconds between two calls at most, default 0.5
---@field what? string for the error and the progress

--- A descriptor for another program's event loop: readable while boxd.step has
--- something to do (level-triggered). It stays boxd's own: don't read or close it.
--- The first call starts a thread. Raises BoxdError in a forked process.
---@return integer
function boxd.pollfd() end

--- A bounded turn for tasks and for coroutines that wait by hooks; at first, waits
--- up to `seconds` for something to do. Raises what a wake hook raises.
---@param seconds? number default 0
---@return integer pending as boxd.pending
function boxd.step(seconds) end

--- How many tasks and coroutines that wait by hooks there are: 0 when a loop has
--- nothing of boxd's to stay for.
---@return integer
function boxd.pending() end

--- The events to poll the descriptor for, so that cqueues.poll(boxd) works.
---@return string events "r"
function boxd.events() end

--- When boxd.step has something to do at the latest: a hint, as the descriptor
--- becomes readable then.
---@return number? seconds nil: when the descriptor says so
function boxd.timeout() end

--- How calls wait in another scheduler's coroutines; nil: in place, as at first.
--- `boxd.loop` has such hooks for luv, cqueues, copas and GLib. Raises an error
--- while coroutines wait by the hooks there are.
---@param hooks? boxd.Hooks
function boxd.hooks(hooks) end

--- Runs fn(...) as a task until it ends, then cancels the tasks it left over.
--- Raises: what fn raises.
---@param fn fun(...): ...
---@param ... any its arguments
---@return any ... its results
function boxd.run(fn, ...) end

--- coroutine.wrap for a host other than boxdlua: a generator that calls the API
--- in a task waits as the task does. In boxdlua coroutine.wrap does it.
---@param fn fun(...): ...
---@return fun(...): ...
function boxd.wrap(fn) end

--- coroutine.resume, in the same way.
---@param co thread
---@param ... any
---@return boolean ok
---@return any ... its yielded or returned values, or its error
function boxd.resume(co, ...) end

--- Gives the script's terminal, in raw mode, to an interactive process until it
--- ends, with the changes of its size.
--- Raises: InvalidArgumentError when stdin is not a terminal; what ended the
--- process otherwise than by an exit.
---@param process boxd.ExecProcess
---@return integer exit_code
function boxd.attach(process) end

--- Prints a process's output line by line under a name, stdout to stdout and
--- stderr to stderr, until it ends.
--- Raises: what ended the process otherwise than by an exit, after its output.
---@param process boxd.ExecProcess
---@param text string before each line: "web-1 | "
---@return integer exit_code
function boxd.prefix(process, text) end

---@param bytes string
---@return string hex 64 small hexadecimal digits
function boxd.sha256(bytes) end

--- Where a client leads and how it behaves.
---@class boxd.ComputeOptions
---@field token? string a JWT, used as it is; bxd_… and bxk_… are API keys; default: BOXD_TOKEN
---@field api_key? string exchanged for a token, which all with the same key share; default: BOXD_API_KEY
---@field api_url? string https://host:port, http://host:port; default: BOXD_BASE_URL, BOXD_API_URL, what the boxd machine says whose token is used, https://boxd.sh:9443
---@field exchange_url? string default: BOXD_EXCHANGE_URL; else https://app.HOST/api/v1/auth/token of api_url's host, and where that exchanges no keys, once https://HOST/api/v1/auth/token
---@field timeout? number seconds for a unary call without one of its own, default 60
---@field max_retries? integer 0 to 4, default 2: of calls that only read
---@field keepalive? number seconds between pings, default 330, 0 for none
---@field killable? boolean commands are killable unless they say otherwise: see boxd.ExecOptions
---@field ca_file? string PEM file of roots to trust instead of the system's

---@class boxd.MapOptions
---@field limit? integer how many at a time, default: all
---@field on_error? "raise"|"collect" default "raise"

--- What every call takes at the end.
---@class boxd.Options
---@field timeout? number seconds for this call

--- boxd.path's: tostring gives the name.
---@class boxd.Path
---@field path string

--- A value such as boxd.NotFoundError: tostring gives its name.
---@class boxd.ErrorClass
---@field name string "NotFoundError"

--- Raised with error(); tostring gives position, class, message and RPC, and
--- never a secret.
---@class boxd.Error
---@field class string "NotFoundError"
---@field message string
---@field grpc_code? integer number of the gRPC status; nil: found before any call
---@field code? string its name, "NOT_FOUND"
---@field method? string name of the RPC
---@field where string "script.lua:3:", the script's line, or ""
---@field stdout? string after exec: the bytes that had arrived
---@field stderr? string after exec: the bytes that had arrived
---@field exit_code? integer of a CommandError
---@field command? string of a CommandError: the command line
---@field report? boxd.ProvisionReport|table<string, boxd.ProvisionReport> of a ProvisionError
local Error = {}

--- Is it of this class? Of BoxdError always.
---@param class boxd.ErrorClass
---@return boolean
function Error:is(class) end

--- JSON. What JSON or a Lua value cannot hold exactly is refused: integers
--- beyond 2^53, NaN and infinity, NUL and bad UTF-8 in text, tables that are
--- mixed, have holes or contain themselves.
---@class boxd.Json
---@field null any what null decodes to
local Json = {}

--- Objects and arrays are tables, null is json.null, whole numbers integers.
--- Raises: InvalidArgumentError, with the position.
---@param text string
---@return any
function Json.decode(text) end

--- On one line, keys in their order; an empty table is {} unless array() made it.
--- A list may have its length as n, as those of table.pack and boxd.map do.
--- Raises: InvalidArgumentError, with the path of what JSON does not have.
---@param value any
---@return string
function Json.encode(value) end

--- Marks a table as an array, for when it is empty.
---@param list? table
---@return table list the same table
function Json.array(list) end

---@class boxd.Http
local Http = {}

--- One HTTP request; in a task the others go on. Any status is an answer.
--- Raises: ConnectionError, TimeoutError, InvalidArgumentError.
---@param request boxd.HttpRequest
---@return boxd.HttpResponse
function Http.request(request) end

--- Asks again and again until the address answers with the status. That it has no
--- address yet, TLS fails, nothing is reached or another status comes counts as not
--- yet.
--- Raises: TimeoutError with the last reason, InvalidArgumentError.
---@param request boxd.HttpWait
---@return boxd.HttpResponse
function Http.wait(request) end

---@class boxd.HttpWait: boxd.HttpRequest
---@field status? integer|integer[] default 200
---@field timeout? number seconds for all of it, default 60
---@field interval? number seconds between two requests at most, default 0.5

---@class boxd.HttpRequest
---@field url string http:// or https://
---@field method? string default "GET", with a body "POST"
---@field headers? table<string, string>
---@field body? string bytes
---@field timeout? number seconds for all of it, default 60
---@field ca_file? string PEM file of roots to trust instead of the system's
---@field max_redirects? integer default 5, 0 to follow none

---@class boxd.HttpResponse
---@field status integer 200
---@field headers table<string, string> by small letters; lines of one name joined by ", "
---@field body string bytes

--- A function that runs beside others: boxd.spawn's.
---@class boxd.Task
---@field status "running"|"done"|"failed"|"cancelled"
local Task = {}

--- Waits for its end.
--- Raises: its error; TimeoutError when it takes longer, which cancels nothing.
---@param options? boxd.Options
---@return any ... its results
function Task:join(options) end

--- Raises CancelledError at its pending call, once: its handlers and `<close>`
--- variables have 10 s. Returns at once.
function Task:cancel() end
