---@meta boxd
-- For language servers and `make doc`: nothing loads this file.
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
---@field AuthenticationError boxd.ErrorClass UNAUTHENTICATED, PERMISSION_DENIED; the exchange refused
---@field NotFoundError boxd.ErrorClass NOT_FOUND
---@field QuotaExceededError boxd.ErrorClass RESOURCE_EXHAUSTED; the exchange is rate-limited
---@field InvalidArgumentError boxd.ErrorClass INVALID_ARGUMENT, ALREADY_EXISTS; what is refused before any call
---@field TimeoutError boxd.ErrorClass DEADLINE_EXCEEDED
---@field ConnectionError boxd.ErrorClass UNAVAILABLE
---@field InternalError boxd.ErrorClass INTERNAL, UNKNOWN
---@field CancelledError boxd.ErrorClass CANCELLED: a task cancelled, a client closed, an interrupt
---@field json boxd.Json
---@field http boxd.Http
boxd = {}

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

--- Starts fn(...) as a task, at once. A failed task that nobody joins is
--- reported through `warn`.
---@param fn fun(...): ...
---@param ... any its arguments
---@return boxd.Task
function boxd.spawn(fn, ...) end

--- Runs functions and tasks at once. The first error cancels the rest and is
--- raised. `limit` bounds how many of the functions run at a time.
--- Raises: what they raise.
---@param list { [integer]: (fun(): any)|boxd.Task, n?: integer, limit?: integer }
---@return table results the first result of each, in order, with their number `n`
function boxd.gather(list) end

--- fn(item, index) over a list that may have holes where it carries `n`.
--- Raises: the first error, which cancels the rest, unless told to collect.
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

--- Runs fn(...). Past the time its pending call is cancelled.
--- Raises: TimeoutError past the time; what fn raises.
---@param seconds number
---@param fn fun(...): ...
---@param ... any its arguments
---@return any ... its results
function boxd.with_timeout(seconds, fn, ...) end

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
---@return any ... what it yields or returns, or its error
function boxd.resume(co, ...) end

--- Gives the script's terminal, in raw mode, to an interactive process until it
--- ends, with the changes of its size.
--- Raises: InvalidArgumentError when stdin is no terminal; what ended the
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
---@field token? string a JWT; default: BOXD_TOKEN
---@field api_key? string exchanged for tokens; default: BOXD_API_KEY
---@field api_url? string https://host:port, http://host:port; default: BOXD_BASE_URL, BOXD_API_URL, what the boxd machine says whose token is used, https://boxd.sh:9443
---@field exchange_url? string default: BOXD_EXCHANGE_URL, what api_url says, https://boxd.sh/api/v1/auth/token
---@field timeout? number seconds for a unary call without one of its own, default 60
---@field max_retries? integer 0 to 4, default 2: of calls that only read
---@field keepalive? number seconds between pings, default 330, 0 for none
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

--- A client of one service and account; its `<close>` closes it.
---@class boxd.Compute
---@field box boxd.Boxes
---@field template boxd.Templates
---@field disk boxd.Disks
---@field domain boxd.Domains
---@field network boxd.Networks
---@field token boxd.Tokens
---@field api_key boxd.ApiKeys
---@field snapshot boxd.Snapshots
---@field checkpoint boxd.Checkpoints
---@field backup boxd.Backups
---@field env boxd.Env
---@field secret boxd.Secrets
---@field api_url string "https://boxd.sh:9443"; in a boxd machine perhaps another once a call has been made
---@field timeout number seconds for a unary call without one of its own
local Compute = {}

--- Whose credentials these are.
--- RPC: Whoami.
---@param options? boxd.Options
---@return { user_id: string, fingerprints: string[], default_network_id?: string, display_name?: string }
function Compute:whoami(options) end

--- What boxes get that ask for nothing.
--- RPC: GetConfig.
---@param options? boxd.Options
---@return { default_image: string, zone: string }
function Compute:config(options) end

--- Any unary RPC of the contract, tables in and out by proto field names. An
--- unset text, message or optional reads as nil, repeated and map fields as {}.
--- Raises: whatever the service answers; InvalidArgumentError names a field
--- that does not fit.
---@param rpc string "UpdateVmLabels"
---@param request? table
---@param options? boxd.Options
---@return table reply
function Compute:call(rpc, request, options) end

--- Any server-streaming RPC. Leaving the loop early ends the call.
--- Raises: at the message where it happens, whatever the service answers.
---@param rpc string "DownloadFileStream"
---@param request? table
---@param options? boxd.Options default: no limit
---@return fun(): table? messages
function Compute:stream(rpc, request, options) end

--- Ends its calls, whose waiters get CancelledError, and its connection.
--- Idempotent; using it afterwards is an error.
function Compute:close() end

--- c.box.
---@class boxd.Boxes
local Boxes = {}

--- A new box, perhaps still starting: see wait_until_ready.
--- RPC: CreateVm, or CreateVmFromSnapshot with from_snapshot.
--- Raises: InvalidArgumentError when the name is taken, QuotaExceededError.
---@param name? string default: the service chooses one
---@param options? boxd.CreateOptions
---@return boxd.Box
---@overload fun(self: boxd.Boxes, options: boxd.CreateOptions): boxd.Box
function Boxes:create(name, options) end

--- The same, but its `<close>`, or the end of boxdlua's script, destroys it.
--- RPC: CreateVm, or CreateVmFromSnapshot with from_snapshot.
--- Raises: InvalidArgumentError when the name is taken, QuotaExceededError.
---@param name? string default: the service chooses one
---@param options? boxd.CreateOptions
---@return boxd.Box
---@overload fun(self: boxd.Boxes, options: boxd.CreateOptions): boxd.Box
function Boxes:temporary(name, options) end

--- RPC: ListVms.
---@param options? boxd.ListOptions
---@return boxd.Box[]
function Boxes:list(options) end

--- RPC: SuggestVmName.
---@param options? boxd.Options
---@return string name that nobody has
function Boxes:suggest_name(options) end

--- RPC: GetVm, then ListVms for a service that looks for ids only.
--- Raises: NotFoundError.
---@param id_or_name string
---@param options? boxd.Options
---@return boxd.Box
function Boxes:get(id_or_name, options) end

--- A copy of a box with what is on its disk.
--- RPC: ForkVm.
--- Raises: NotFoundError, QuotaExceededError.
---@param source boxd.Box|string a box, an id or a name
---@param options? boxd.ForkOptions
---@return boxd.Box
function Boxes:fork(source, options) end

---@class boxd.CreateOptions: boxd.Options
---@field name? string unless it is the first argument
---@field image? string "ubuntu:24.04"; default: the service's
---@field config? boxd.Config
---@field org? string today
---@field shared? boolean every member of the organisation sees it; today
---@field labels? table<string, string> today
---@field networks? string[] today
---@field isolated? boolean today
---@field team? string today
---@field spec? boxd.Spec beside it no image, networks, isolated and labels; today
---@field from_snapshot? string|boxd.Snapshot restores it, which takes no image, shared, networks and team; today

---@class boxd.ListOptions: boxd.Options
---@field org? string today
---@field labels? table<string|integer, string> { env = "prod", "gpu" }: equals, has; today
---@field all_contexts? boolean of every organisation; today

---@class boxd.ForkOptions: boxd.Options
---@field name? string default: the service chooses one
---@field config? boxd.Config without env, cmd and restart_policy
---@field shared? boolean today
---@field networks? string[] today
---@field isolated? boolean only ever turns on; today
---@field labels? table<string, string> over the source's; today

--- What a box is to be, or a piece of that: pieces may stand in its list part.
--- Maps merge, lists are joined without duplicates, base, size and assign_to may
--- not be set twice to different values. Today.
---@class boxd.Spec
---@field version? integer
---@field base? { team?: string, snapshot?: string } exactly one of them
---@field size? string "2x8": vCPUs and GiB
---@field assign_to? string user id
---@field labels? table<string, string>
---@field networks? string[]
---@field isolated? boolean only ever turns on
---@field egress? string[] hosts and addresses it may reach
---@field env? table<string, string>
---@field secrets? string[] names, none of them in env
---@field connections? table<string, string> "personal" or "shared:TAG"
---@field agents? string[]
---@field packages? string[] commands that run once, as root

--- Sizes are text such as "4G" (K M G T, powers of 1024, with an optional i and
--- B) or an integer of bytes.
---@class boxd.Config
---@field vcpu? integer
---@field memory? string|integer "4G" or bytes
---@field disk? string|integer "20G" or bytes
---@field env? table<string, string> variables of cmd
---@field cmd? string[] instead of the image's own command
---@field restart_policy? "always"|"never" default "always"
---@field lifecycle? boxd.Lifecycle
---@field network? boxd.NetworkConfig
---@field idle_ignore_outbound? boolean today
---@field volumes? boxd.Volume[]

---@class boxd.Lifecycle
---@field auto_suspend_timeout? integer seconds without use, 0 never
---@field auto_destroy_timeout? integer seconds without use, 0 never

---@class boxd.NetworkConfig
---@field ssh? boolean default true
---@field proxies? boxd.ProxyEntry[]

---@class boxd.ProxyEntry
---@field name string
---@field port? integer 0 to 65535, default 0: detected

--- A disk to mount.
---@class boxd.Volume
---@field disk_id string|boxd.Disk id, name or disk
---@field mount_path string
---@field read_only? boolean default false

--- A box: fields as the service told them last; refresh asks again. create tells
--- fewer of them than get and refresh do, and 0.1 fewer than today's service:
--- what neither told is nil. (GetVmResponse of the contract.)
---@class boxd.Box
---@field id string
---@field name? string
---@field image? string
---@field public_ip? string
---@field status? string pending, running, stopped, suspended, hibernated, failed or destroyed
---@field url? string of its default proxy; from create and fork
---@field boot_time_ms? integer milliseconds
---@field paused_automations? integer from create and fork; today
---@field forked_from? string the id of the box it is a copy of; from fork
---@field restart_policy? string "always" or "never"
---@field vcpu? integer today
---@field memory_bytes? integer today
---@field disk_bytes? integer
---@field auto_suspend_timeout_secs? integer seconds without use, 0 never
---@field auto_hibernate_timeout_secs? integer seconds without use, 0 never; today
---@field auto_destroy_timeout_secs? integer seconds without use, 0 never; today
---@field ssh_port? integer today
---@field created_at? integer today
---@field created_by? string today
---@field created_by_name? string today
---@field last_connected_at? integer nil: never; today
---@field hibernated_at? integer nil: it is not; today
---@field delete_at? integer nil: never; today
---@field delete_after_cron? string a cron expression; today
---@field labels? table<string, string> today
---@field networks? string[] today
---@field isolated? boolean today
---@field egress_allow? string[] today
---@field access_domain? string today
---@field custom_domains? table[] records { domain, vm_id, vm_name, status, last_error }; today
---@field bot_protection? boolean today
---@field bot_protection_mode? string today
---@field idle_ignore_outbound? boolean today
---@field org? string today
---@field org_id? string today
---@field billing_org? string today
---@field billing_org_id? string today
---@field source? string today
---@field source_info? { kind?: string, name?: string, version: integer, id?: string } what it was made from; today
---@field spec? table MachineSpec of the contract; today
---@field created_spec? table MachineSpec of the contract; today
---@field requirements? table[] MachineRequirement of the contract; today
---@field packages? table[] MachinePackage of the contract, times as started_at and finished_at; today
---@field files boxd.Files
local Box = {}

--- Sets status to running.
--- RPC: StartVm.
--- Raises: NotFoundError.
---@param options? boxd.Options
function Box:start(options) end

--- Sets status to stopped.
--- RPC: StopVm.
--- Raises: NotFoundError.
---@param options? boxd.Options
function Box:stop(options) end

--- Sets status to running.
--- RPC: RebootVm.
--- Raises: NotFoundError.
---@param options? boxd.Options
function Box:reboot(options) end

--- Takes the box away with all that is in it; sets status to destroyed.
--- RPC: DestroyVm.
--- Raises: NotFoundError.
---@param options? boxd.Options
function Box:destroy(options) end

--- Sets status to suspended.
--- RPC: SuspendVm.
--- Raises: NotFoundError.
---@param options? boxd.Options
---@return { suspend_us: integer } microseconds
function Box:suspend(options) end

--- Sets status to running.
--- RPC: ResumeVm.
--- Raises: NotFoundError.
---@param options? boxd.Options
---@return { resume_us: integer } microseconds
function Box:resume(options) end

--- Reads all fields again.
--- RPC: GetVm.
--- Raises: NotFoundError.
---@param options? boxd.Options
---@return boxd.Box self
function Box:refresh(options) end

--- Asks, from 10 ms on and then less often, until status is running and a first
--- command has run.
--- RPC: GetVm, Exec.
--- Raises: TimeoutError, BoxdError when it is failed, stopped or destroyed,
--- NotFoundError.
---@param options? boxd.WaitOptions
---@return boxd.Box self
function Box:wait_until_ready(options) end

---@class boxd.WaitOptions: boxd.Options
---@field timeout? number seconds for all of it, default 90
---@field poll_interval? number seconds between two looks at most, default 0.5

--- Runs a program: each argument reaches it as it is. box:exec("ls", "-l", {
--- cwd = "/" }). With stream or interactive: an ExecProcess.
--- RPC: Exec.
--- Raises: NotFoundError; TimeoutError, with stdout and stderr, and the command
--- cancelled; InvalidArgumentError. An exit code is a result, not an error.
---@param ... string|number|boxd.ExecOptions arguments, then perhaps options
---@return boxd.ExecOutcome
function Box:exec(...) end

--- Runs a command line of the shell as it is: "make && make test | tee log".
--- RPC: Exec.
--- Raises: as exec.
---@param line string
---@param options? boxd.ExecOptions
---@return boxd.ExecOutcome
function Box:sh(line, options) end

---@class boxd.ExecOptions: boxd.Options
---@field env? table<string, string> reaches every command of a line
---@field cwd? string folder to run in
---@field stdin? string bytes to send, then the end of input
---@field stream? boolean return an ExecProcess at once
---@field pty? boolean run on a terminal: both outputs in one
---@field interactive? boolean pty and stream, for boxd.attach
---@field cols? integer of the terminal, default 80
---@field rows? integer of the terminal, default 24
---@field close_stdin? boolean end of input from the start, with stream

--- Writes a whole file, up to what one message takes; upload takes any.
--- RPC: UploadFile.
--- Raises: NotFoundError, InvalidArgumentError when the local file is not read.
---@param source string|boxd.Path bytes, or boxd.path "local/file"
---@param dest string path in the box
---@param options? boxd.Options
function Box:write_file(source, dest, options) end

--- Reads a whole file, up to what one message takes; download takes any.
--- RPC: DownloadFile.
--- Raises: NotFoundError.
---@param path string in the box
---@param options? boxd.Options
---@return string bytes
function Box:read_file(path, options) end

--- Sends a file of any size, in constant memory, or a folder with all in it:
--- files, which of them are programs, and empty folders (Mkdir). A folder with
--- a link or a device in it is refused before anything is sent.
--- RPC: UploadFileStream, for folders Mkdir and Exec too.
--- Raises: InvalidArgumentError when the local file is not read whole,
--- NotFoundError.
---@param local_path string|boxd.Path
---@param dest string path in the box
---@param options? boxd.TransferOptions
---@return integer bytes written
function Box:upload(local_path, dest, options) end

--- Fetches a file of any size, in constant memory. It appears under its name
--- only when it is whole.
--- RPC: DownloadFileStream, or DownloadFile of a service without it.
--- Raises: NotFoundError, InvalidArgumentError when the local file is not
--- written.
---@param path string in the box
---@param local_path string|boxd.Path
---@param options? boxd.TransferOptions
---@return integer bytes written
function Box:download(path, local_path, options) end

--- Fetches a folder with all in it: files, which of them are programs, and
--- empty folders. One with a link or a device in it is refused before anything
--- is written.
--- RPC: ListDir, DownloadFileStream.
--- Raises: NotFoundError, InvalidArgumentError for what can't be downloaded or
--- written, InternalError for a name that leads elsewhere; the message says how
--- many files are there already.
---@param path string in the box
---@param local_path string|boxd.Path made when it is not there
---@param options? boxd.TransferOptions the progress is each file's
---@return integer bytes written
function Box:download_folder(path, local_path, options) end

---@class boxd.TransferOptions: boxd.Options
---@field progress? fun(done: integer, total: integer) called with bytes as they go

--- RPC: ListProxies.
---@param options? boxd.Options
---@return boxd.Proxy[]
function Box:proxies(options) end

--- RPC: CreateProxy.
--- Raises: InvalidArgumentError when the name is taken.
---@param name string
---@param port? integer default 0: detected
---@param options? boxd.Options
---@return boxd.Proxy
---@overload fun(self: boxd.Box, name: string, options: boxd.Options): boxd.Proxy
function Box:create_proxy(name, port, options) end

--- RPC: SetProxyPort.
--- Raises: NotFoundError.
---@param port integer 0: detected
---@param name? string default "": the default proxy
---@param options? boxd.Options
---@overload fun(self: boxd.Box, port: integer, options: boxd.Options)
function Box:set_proxy_port(port, name, options) end

--- RPC: DeleteProxy.
--- Raises: NotFoundError.
---@param name string
---@param options? boxd.Options
function Box:delete_proxy(name, options) end

--- What a port of a box is reached by. (ProxyInfo of the contract.)
---@class boxd.Proxy
---@field name? string nil: the default proxy
---@field vm_name? string the box's name
---@field vm_id? string today
---@field domain string its host, with a port where that is needed
---@field url string http:// or https:// and the domain
---@field port integer
---@field is_default boolean
---@field port_display? string today
---@field port_mode? string today
---@field effective_port? integer today

--- for chunk in box:stream_logs() do. Leaving the loop early ends the call.
--- RPC: StreamLogs.
--- Raises: NotFoundError, at the first chunk.
---@param options? boxd.LogOptions
---@return fun(): string? chunks of bytes
function Box:stream_logs(options) end

---@class boxd.LogOptions: boxd.Options
---@field follow? boolean go on with what comes, default false

--- Memory goes to disk; sets status to hibernated.
--- RPC: HibernateVm.
--- Raises: NotFoundError.
---@param options? boxd.Options
function Box:hibernate(options) end

--- Sets status to running.
--- RPC: WakeVm.
--- Raises: NotFoundError.
---@param options? boxd.Options
function Box:wake(options) end

--- Every member of its organisation sees it.
--- RPC: ShareVm.
--- Raises: NotFoundError.
---@param options? boxd.Options
function Box:share(options) end

--- Only its owner sees it.
--- RPC: UnshareVm.
--- Raises: NotFoundError.
---@param options? boxd.Options
function Box:unshare(options) end

--- RPC: RenameVm.
--- Raises: NotFoundError, InvalidArgumentError when the name is taken.
---@param new_name string
---@param options? boxd.Options
function Box:rename(new_name, options) end

--- Either size names both. A running box is rebooted.
--- RPC: ResizeVm.
--- Raises: InvalidArgumentError, QuotaExceededError.
---@param options boxd.ResizeOptions
---@return { vcpu: integer, memory_bytes: integer, rebooted: boolean }
function Box:resize(options) end

---@class boxd.ResizeOptions: boxd.Options
---@field vcpu? integer
---@field memory? string|integer "8G" or bytes

--- RPC: SetAutoSuspendTimeout.
--- Raises: NotFoundError.
---@param seconds integer without use, 0 never
---@param options? boxd.Options
function Box:set_auto_suspend_timeout(seconds, options) end

--- RPC: SetAutoHibernateTimeout.
--- Raises: NotFoundError.
---@param seconds integer without use, 0 never
---@param options? boxd.Options
function Box:set_auto_hibernate_timeout(seconds, options) end

---@class boxd.Cron
---@field cron string "0 18 * * *", UTC

--- Whatever state the box is in then.
--- RPC: SetDeleteAfter.
--- Raises: NotFoundError.
---@param when integer|boxd.Cron seconds from now, or the next match; 0: never
---@param options? boxd.Options
---@return integer? when it will be deleted
function Box:set_delete_after(when, options) end

--- RPC: UpdateVmLabels.
--- Raises: NotFoundError.
---@param labels table<string, string> to add
---@param options? boxd.LabelOptions
---@return table<string, string> labels it has now
function Box:set_labels(labels, options) end

---@class boxd.LabelOptions: boxd.Options
---@field remove? string[] names
---@field replace_all? boolean labels are all that it has then, default false

--- RPC: SetVmNetworks.
--- Raises: NotFoundError.
---@param networks string[] all of them
---@param options? boxd.Options
---@return string[] what is in force
function Box:set_networks(networks, options) end

--- What the box may reach.
--- RPC: SetVmEgressAllow.
--- Raises: NotFoundError.
---@param entries string[] hosts and addresses, all of them; {} allows everything
---@param options? boxd.Options
---@return string[] what is in force
function Box:set_egress(entries, options) end

--- RPC: SetBotProtection.
--- Raises: NotFoundError.
---@param mode boolean|string "on", "sleep_only" or "off"; true: on
---@param options? boxd.Options
function Box:set_bot_protection(mode, options) end

--- RPC: SetIdleIgnoreOutbound.
--- Raises: NotFoundError.
---@param enabled boolean what the box does by itself is no use of it
---@param options? boxd.Options
function Box:set_idle_ignore_outbound(enabled, options) end

--- What it used and cost. (GetVmUsageResponse of the contract.)
--- RPC: GetVmUsage.
--- Raises: NotFoundError.
---@param options? boxd.UsageOptions
---@return { period_start: integer, period_end: integer, currency?: string, rates?: table, usage?: table }
function Box:usage(options) end

---@class boxd.UsageOptions: boxd.Options
---@field since? integer Unix seconds, default: its beginning
---@field until_time? integer Unix seconds, default: now
---@field org? string of a box that is gone

--- RPC: UpdateMachineSpec.
--- Raises: NotFoundError, InvalidArgumentError, BoxdError (ABORTED) when expected_spec is not what it has.
---@param patch boxd.Spec maps merge, the rest replaces, boxd.json.null removes
---@param options? boxd.UpdateSpecOptions
---@return { changes: table[], reboot_required: boolean, reboot_recommended: boolean, spec?: table, applied: boolean, rebooted: boolean, resize_error?: string }
function Box:update_spec(patch, options) end

---@class boxd.UpdateSpecOptions: boxd.Options
---@field dry_run? boolean only say what would change
---@field reboot? boolean where that is needed
---@field retry_packages? boolean again from the one that failed
---@field expected_spec? boxd.Spec what it was read as

--- Opens a port of the box to everybody.
--- RPC: ExposePort.
--- Raises: NotFoundError, QuotaExceededError.
---@param port integer of the box
---@param options? boxd.ExposeOptions
---@return boxd.ExposedPort
function Box:expose(port, options) end

---@class boxd.ExposeOptions: boxd.Options
---@field protocol? string "tcp" (the default), "udp" or "both"

--- RPC: UnexposePort.
--- Raises: NotFoundError.
---@param port integer of the box
---@param options? boxd.Options
---@return boxd.ExposedPort what it was
function Box:unexpose(port, options) end

--- RPC: ListExposedPorts.
--- Raises: NotFoundError.
---@param options? boxd.Options
---@return boxd.ExposedPort[]
function Box:exposed_ports(options) end

--- (ExposePortResponse of the contract.)
---@class boxd.ExposedPort
---@field vm_name? string
---@field vm_id? string
---@field dns? string host
---@field public_port integer
---@field vm_port integer
---@field protocol? string

--- RPC: ListDir.
--- Raises: NotFoundError.
---@param path string in the box
---@param options? boxd.Options
---@return boxd.DirEntry[]
---@return boolean truncated: the service left some out
function Box:list_dir(path, options) end

--- RPC: Mkdir.
--- Raises: NotFoundError, InvalidArgumentError when it is there.
---@param path string in the box, in a folder that is there
---@param options? boxd.Options
function Box:mkdir(path, options) end

--- A file, or a folder with all in it.
--- RPC: CopyPath.
--- Raises: NotFoundError.
---@param from string
---@param to string
---@param options? boxd.Options
function Box:copy(from, to, options) end

--- A file, or a folder with all in it.
--- RPC: DeletePath.
--- Raises: NotFoundError.
---@param path string
---@param options? boxd.Options
function Box:remove(path, options) end

--- (DirEntry of the contract.)
---@class boxd.DirEntry
---@field name string
---@field is_dir boolean
---@field size_bytes integer
---@field permissions? string "-rw-r--r--"
---@field modified_at integer
---@field added_at integer

--- box.files: a box's methods on files, and rename.
---@class boxd.Files
---@field id string the box's
---@field name? string the box's
local Files = {}

--- RPC: ListDir.
--- Raises: NotFoundError.
---@param path string in the box
---@param options? boxd.Options
---@return boxd.DirEntry[]
---@return boolean truncated: the service left some out
function Files:list_dir(path, options) end

--- RPC: Mkdir.
--- Raises: NotFoundError, InvalidArgumentError when it is there.
---@param path string in the box, in a folder that is there
---@param options? boxd.Options
function Files:mkdir(path, options) end

--- A file, or a folder with all in it.
--- RPC: CopyPath.
--- Raises: NotFoundError.
---@param from string
---@param to string
---@param options? boxd.Options
function Files:copy(from, to, options) end

--- A file, or a folder with all in it.
--- RPC: DeletePath.
--- Raises: NotFoundError.
---@param path string
---@param options? boxd.Options
function Files:remove(path, options) end

--- RPC: RenamePath.
--- Raises: NotFoundError.
---@param from string
---@param to string
---@param options? boxd.Options
function Files:rename(from, to, options) end

--- RPC: UploadFile.
--- Raises: NotFoundError.
---@param source string|boxd.Path
---@param dest string
---@param options? boxd.Options
function Files:write_file(source, dest, options) end

--- RPC: DownloadFile.
--- Raises: NotFoundError.
---@param path string
---@param options? boxd.Options
---@return string bytes
function Files:read_file(path, options) end

--- RPC: UploadFileStream, Mkdir, Exec.
--- Raises: NotFoundError.
---@param local_path string|boxd.Path
---@param dest string
---@param options? boxd.TransferOptions
---@return integer bytes written
function Files:upload(local_path, dest, options) end

--- RPC: DownloadFileStream, or DownloadFile.
--- Raises: NotFoundError.
---@param path string
---@param local_path string|boxd.Path
---@param options? boxd.TransferOptions
---@return integer bytes written
function Files:download(path, local_path, options) end

--- RPC: ListDir, DownloadFileStream.
--- Raises: NotFoundError, InvalidArgumentError for what can't be downloaded or
--- written, InternalError for a name that leads elsewhere; the message says how
--- many files are there already.
---@param path string in the box
---@param local_path string|boxd.Path made when it is not there
---@param options? boxd.TransferOptions the progress is each file's
---@return integer bytes written
function Files:download_folder(path, local_path, options) end

--- What exec and sh return: an ExecResult, with stream or interactive an
--- ExecProcess. Which of them, the type of the call cannot tell.
---@class boxd.ExecOutcome: boxd.ExecResult, boxd.ExecProcess

--- What a command came to.
---@class boxd.ExecResult
---@field stdout string bytes
---@field stderr string bytes
---@field exit_code integer
---@field success boolean exit_code == 0

--- A command that runs: from exec with stream. Reading slowly holds it back; a
--- stream nobody reads, while the other one is read or wait waits, keeps its
--- last 16 MiB. Readers raise what cut the call short, after what had arrived.
--- Its `<close>`, or being forgotten, cancels it.
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

--- Tells the size of the terminal.
---@param cols integer
---@param rows integer
function ExecProcess:resize(cols, rows) end

--- Waits for its end.
--- Raises: TimeoutError, which cancels nothing; what ended the call otherwise
--- than by an exit.
---@param options? boxd.Options
---@return integer exit_code
function ExecProcess:wait(options) end

--- Cancels the call, which kills the command. Idempotent.
function ExecProcess:close() end

--- p.stdin: the same as p:write and p:write_eof.
---@class boxd.ExecStdin
local ExecStdin = {}

---@param data string bytes
function ExecStdin:write(data) end

function ExecStdin:write_eof() end

--- An image and a config that boxes are made from. (TemplateInfo of the
--- contract; today's service has none and answers UNIMPLEMENTED.)
---@class boxd.Template
---@field id string
---@field name string
---@field image? string
---@field status? string
---@field vcpu? integer
---@field memory_bytes? integer

--- c.template.
---@class boxd.Templates
local Templates = {}

--- RPC: CreateTemplate.
--- Raises: InvalidArgumentError when the name is missing or taken.
---@param options boxd.CreateTemplateOptions
---@return boxd.Template
function Templates:create(options) end

--- RPC: ListTemplates.
---@param options? boxd.Options
---@return boxd.Template[]
function Templates:list(options) end

--- RPC: CreateVmFromTemplate.
--- Raises: NotFoundError, QuotaExceededError, InvalidArgumentError when the name
--- is taken.
---@param template boxd.Template|string a template or an id
---@param options? boxd.CreateVmOptions
---@return boxd.Box
function Templates:create_vm(template, options) end

--- RPC: DeleteTemplate.
--- Raises: NotFoundError.
---@param template boxd.Template|string a template or an id
---@param options? boxd.Options
function Templates:delete(template, options) end

---@class boxd.CreateVmOptions: boxd.Options
---@field name? string default: the service chooses one
---@field config? boxd.Config without env, cmd and restart_policy

---@class boxd.CreateTemplateOptions: boxd.Options
---@field name string
---@field image? string default: the service's
---@field config? boxd.Config without env, cmd and restart_policy

--- c.disk.
---@class boxd.Disks
local Disks = {}

--- RPC: CreateDisk.
--- Raises: InvalidArgumentError when the name is taken, QuotaExceededError.
---@param name string
---@param size string|integer "20G" or bytes
---@param options? boxd.Options
---@return boxd.Disk
function Disks:create(name, size, options) end

--- RPC: ListDisks.
---@param options? boxd.Options
---@return boxd.Disk[]
function Disks:list(options) end

--- RPC: ListDisks.
--- Raises: NotFoundError.
---@param id_or_name string
---@param options? boxd.Options
---@return boxd.Disk
function Disks:get(id_or_name, options) end

--- Storage that outlives its boxes. (DiskInfo of the contract.)
---@class boxd.Disk
---@field id string
---@field name? string
---@field size_bytes integer
---@field status? string
---@field worker_id? string 0.1
---@field attachments { vm_id?: string, vm_name?: string, mount_path?: string, mount_mode?: "ro"|"rw" }[]
---@field created_at? integer today
local Disk = {}

--- Mounts it in a box.
--- RPC: AttachDisk.
--- Raises: NotFoundError, BoxdError where it cannot be attached.
---@param box boxd.Box|string a box, an id or a name
---@param mount_path string
---@param options? boxd.AttachOptions
function Disk:attach(box, mount_path, options) end

--- RPC: DetachDisk.
--- Raises: NotFoundError.
---@param box boxd.Box|string a box, an id or a name
---@param options? boxd.Options
function Disk:detach(box, options) end

--- Takes it away with all that is on it.
--- RPC: DestroyDisk.
--- Raises: NotFoundError, BoxdError while it is attached.
---@param options? boxd.Options
function Disk:destroy(options) end

---@class boxd.AttachOptions: boxd.Options
---@field read_only? boolean default false

--- c.domain: domains of one's own.
---@class boxd.Domains
local Domains = {}

--- RPC: BindDomain, or AddCustomDomain where that is gone.
--- Raises: NotFoundError, InvalidArgumentError when it is bound already.
---@param domain string
---@param box boxd.Box|string a box, an id or a name
---@param options? boxd.Options
---@return { domain: string, vm_id: string, vm_name?: string, status?: string, last_error?: string }? today
function Domains:bind(domain, box, options) end

--- RPC: ListDomains, or ListCustomDomains where that is gone.
---@param options? boxd.Options
---@return { domain: string, vm_id: string, vm_name?: string, status?: string, last_error?: string }[]
function Domains:list(options) end

--- RPC: UnbindDomain, or RemoveCustomDomain where that is gone.
--- Raises: NotFoundError.
---@param domain string
---@param options? boxd.Options
function Domains:unbind(domain, options) end

--- c.network: networks that boxes share.
---@class boxd.Networks
local Networks = {}

--- RPC: CreateNetwork.
--- Raises: InvalidArgumentError when the name is taken, QuotaExceededError.
---@param name? string
---@param options? boxd.Options
---@return { id: string }
---@overload fun(self: boxd.Networks, options: boxd.Options): { id: string }
function Networks:create(name, options) end

--- RPC: ListNetworks.
---@param options? boxd.Options
---@return { id: string, subnet: string, status: string }[]
function Networks:list(options) end

--- c.token: tokens for others.
---@class boxd.Tokens
local Tokens = {}

--- The token is shown here only.
--- RPC: CreateToken.
---@param options? boxd.CreateTokenOptions
---@return { token: string, expires_at: integer }
function Tokens:create(options) end

--- RPC: ListTokens.
---@param options? boxd.Options
---@return { jti: string, created_at: integer, expires_at: integer }[]
function Tokens:list(options) end

--- RPC: RevokeToken.
--- Raises: NotFoundError.
---@param jti string the token's id
---@param options? boxd.Options
function Tokens:revoke(jti, options) end

---@class boxd.CreateTokenOptions: boxd.Options
---@field expires_in? integer seconds, default 0: 24 hours

--- c.api_key: keys that are exchanged for tokens.
---@class boxd.ApiKeys
local ApiKeys = {}

--- The key is shown here only.
--- RPC: CreateApiKey.
---@param options? boxd.CreateApiKeyOptions
---@return { id: string, api_key: string, expires_at: integer }
function ApiKeys:create(options) end

--- RPC: ListApiKeys.
---@param options? boxd.Options
---@return boxd.ApiKey[]
function ApiKeys:list(options) end

--- RPC: DeleteApiKey.
--- Raises: NotFoundError.
---@param id string
---@param options? boxd.Options
function ApiKeys:delete(id, options) end

---@class boxd.CreateApiKeyOptions: boxd.Options
---@field name? string
---@field expires_in? integer seconds, default 0: never
---@field org? string default: your own; today
---@field kind? string "member" (acts as you) or "org"; today

--- (ApiKeyInfo of the contract.)
---@class boxd.ApiKey
---@field id string
---@field name? string
---@field key_prefix? string the key's first characters
---@field created_at integer
---@field last_used_at integer 0: never
---@field expires_at integer 0: never
---@field org? string today
---@field kind? string today
---@field created_by? string today
---@field mine boolean today

---@class boxd.OrgOptions: boxd.Options
---@field org? string

--- The state of a box, kept; boxes are made of it. (SnapshotInfo of the
--- contract.)
---@class boxd.Snapshot
---@field id string
---@field name? string
---@field version integer
---@field status? string
---@field size_bytes integer
---@field updated_at? integer
---@field vcpu integer
---@field memory_bytes integer
---@field use_count integer
---@field created_at? integer
---@field failed_version integer
---@field failure_reason? string
---@field archived boolean
---@field storage? string

--- c.snapshot: states of boxes, of an account. Today.
---@class boxd.Snapshots
local Snapshots = {}

--- RPC: CreateSnapshot.
--- Raises: NotFoundError.
---@param box boxd.Box|string a box, an id or a name
---@param name string of one that is there: another version of it
---@param options? boxd.Options
---@return boxd.Snapshot
function Snapshots:create(box, name, options) end

--- RPC: ListSnapshots.
---@param options? boxd.OrgOptions
---@return boxd.Snapshot[]
function Snapshots:list(options) end

--- RPC: GetSnapshot.
--- Raises: NotFoundError.
---@param snapshot boxd.Snapshot|string a snapshot, an id or a name
---@param options? boxd.OrgOptions
---@return boxd.Snapshot
function Snapshots:get(snapshot, options) end

--- RPC: DeleteSnapshot.
--- Raises: NotFoundError.
---@param snapshot boxd.Snapshot|string a snapshot, an id or a name
---@param options? boxd.OrgOptions
function Snapshots:delete(snapshot, options) end

--- (CheckpointInfo of the contract.)
---@class boxd.Checkpoint
---@field id string
---@field name? string
---@field status? string
---@field size_bytes integer
---@field created_at? integer
---@field created_by? string
---@field available boolean

--- c.checkpoint: states of one box, restored in place. Today.
---@class boxd.Checkpoints
local Checkpoints = {}

--- RPC: CreateCheckpoint.
--- Raises: NotFoundError.
---@param box boxd.Box|string a box, an id or a name
---@param name string
---@param options? boxd.Options
---@return { id: string, name: string, status?: string }
function Checkpoints:create(box, name, options) end

--- RPC: ListCheckpoints.
--- Raises: NotFoundError.
---@param box boxd.Box|string a box, an id or a name
---@param options? boxd.Options
---@return boxd.Checkpoint[]
function Checkpoints:list(box, options) end

--- The box is as it was then; what came after is lost.
--- RPC: RestoreCheckpoint.
--- Raises: NotFoundError.
---@param box boxd.Box|string a box, an id or a name
---@param name string
---@param options? boxd.Options
function Checkpoints:restore(box, name, options) end

--- RPC: DeleteCheckpoint.
--- Raises: NotFoundError.
---@param box boxd.Box|string a box, an id or a name
---@param name string
---@param options? boxd.Options
function Checkpoints:delete(box, name, options) end

--- (BackupInfo of the contract.)
---@class boxd.Backup
---@field id string
---@field status? string
---@field size_bytes integer
---@field checksum? string
---@field points_to_backup_id? string
---@field created_at? integer
---@field expires_at? integer

--- c.backup: copies of a box's disk, by schedule. Today.
---@class boxd.Backups
local Backups = {}

--- RPC: GetBackupSchedule.
--- Raises: NotFoundError.
---@param box boxd.Box|string a box, an id or a name
---@param options? boxd.Options
---@return { schedule_kind: string, schedule_value: string, retention_secs: integer, next_backup_at?: integer, last_backup_at?: integer }? nil: none
function Backups:schedule_get(box, options) end

--- By interval or by cron.
--- RPC: SetBackupSchedule.
--- Raises: NotFoundError, InvalidArgumentError.
---@param box boxd.Box|string a box, an id or a name
---@param options boxd.ScheduleOptions
function Backups:schedule_set(box, options) end

---@class boxd.ScheduleOptions: boxd.Options
---@field interval? integer seconds after the last one
---@field cron? string "0 3 * * *", UTC
---@field retention integer seconds that one is kept

--- RPC: ClearBackupSchedule.
--- Raises: NotFoundError.
---@param box boxd.Box|string a box, an id or a name
---@param options? boxd.Options
function Backups:schedule_clear(box, options) end

--- RPC: ListBackups.
--- Raises: NotFoundError.
---@param box boxd.Box|string a box, an id or a name
---@param options? boxd.Options
---@return boxd.Backup[]
function Backups:list(box, options) end

--- RPC: TriggerBackup.
--- Raises: NotFoundError.
---@param box boxd.Box|string a box, an id or a name
---@param options? boxd.Options
---@return string id of the one that will be made
function Backups:trigger(box, options) end

--- Overwrites the box's disk.
--- RPC: RestoreBackup.
--- Raises: NotFoundError.
---@param box boxd.Box|string a box, an id or a name
---@param backup_id string
---@param options? boxd.Options
function Backups:restore(box, backup_id, options) end

--- RPC: DeleteBackup.
--- Raises: NotFoundError.
---@param box boxd.Box|string a box, an id or a name
---@param backup_id string
---@param options? boxd.Options
function Backups:delete(box, backup_id, options) end

--- c.env: variables of boxes. Today.
---@class boxd.Env
local Env = {}

--- RPC: SetVar.
---@param name string
---@param value string
---@param options? boxd.VariableOptions
---@return string? what the service says
function Env:set(name, value, options) end

--- RPC: ListVars.
---@param options? boxd.OrgOptions
---@return { name: string, value: string, scope?: string }[]
function Env:list(options) end

--- RPC: RemoveVar.
--- Raises: NotFoundError.
---@param name string
---@param options? boxd.VariableOptions
---@return string? what the service says
function Env:delete(name, options) end

--- RPC: SetSecretScope.
--- Raises: NotFoundError.
---@param name string
---@param from_scope string
---@param to_scope string
---@param options? boxd.OrgOptions
---@return string? what the service says
function Env:move(name, from_scope, to_scope, options) end

--- c.secret: variables of boxes that are never shown again. Today.
---@class boxd.Secrets
local Secrets = {}

--- RPC: SetVar.
---@param name string
---@param value string
---@param options? boxd.SecretOptions
---@return string? what the service says
function Secrets:set(name, value, options) end

--- RPC: ListVars.
---@param options? boxd.OrgOptions
---@return { name: string, scope?: string, domains: string[], bound_machines: integer }[]
function Secrets:list(options) end

--- RPC: RemoveVar.
--- Raises: NotFoundError.
---@param name string
---@param options? boxd.VariableOptions
---@return string? what the service says
function Secrets:delete(name, options) end

--- RPC: SetSecretScope.
--- Raises: NotFoundError.
---@param name string
---@param from_scope string
---@param to_scope string
---@param options? boxd.OrgOptions
---@return string? what the service says
function Secrets:move(name, from_scope, to_scope, options) end

---@class boxd.VariableOptions: boxd.Options
---@field scope? string "private", "shared", "all"; of secrets "unattached", "private-unattached" too
---@field org? string

---@class boxd.SecretOptions: boxd.VariableOptions
---@field domains? string[] all hosts that it may be sent to

return boxd
