---@meta boxd
-- For language servers only: nothing loads this file. Times are seconds, sizes
-- bytes, timestamps Unix seconds unless a line says otherwise. Every call may
-- raise a boxd.Error: AuthenticationError, TimeoutError, ConnectionError,
-- CancelledError or InternalError; what else it raises stands at the method.
-- Facts about the service are from its published contract (proto/boxd.proto).

---@class boxd.Options
---@field timeout? number seconds for this call

---@class boxd.ErrorClass

---@class boxd.Error
---@field class string "NotFoundError"
---@field message string
---@field grpc_code? integer number of the gRPC status
---@field code? string its name, "NOT_FOUND"
---@field method? string name of the RPC
---@field stdout? string after exec: what had arrived
---@field stderr? string after exec: what had arrived
local Error = {}
---@param class boxd.ErrorClass
---@return boolean
function Error:is(class) end

---@class boxd
---@field _VERSION string "boxd 0.1.0"
---@field errors table<string, boxd.ErrorClass>
---@field BoxdError boxd.ErrorClass base of all
---@field AuthenticationError boxd.ErrorClass UNAUTHENTICATED, PERMISSION_DENIED
---@field NotFoundError boxd.ErrorClass NOT_FOUND
---@field QuotaExceededError boxd.ErrorClass RESOURCE_EXHAUSTED
---@field InvalidArgumentError boxd.ErrorClass INVALID_ARGUMENT, ALREADY_EXISTS
---@field TimeoutError boxd.ErrorClass DEADLINE_EXCEEDED
---@field ConnectionError boxd.ErrorClass UNAVAILABLE
---@field InternalError boxd.ErrorClass INTERNAL, UNKNOWN
---@field CancelledError boxd.ErrorClass CANCELLED
---@field json boxd.Json
---@field http boxd.Http
local boxd = {}

---@class boxd.Json
---@field null any
local Json = {}
---@return any
function Json.decode(text) end
---@return string
function Json.encode(value) end
---@return table
function Json.array(list) end

---@class boxd.Http
local Http = {}
---@param request { url: string, method?: string, headers?: table<string, string>, body?: string, timeout?: number }
---@return { status: integer, headers: table<string, string>, body: string }
function Http.request(request) end

---@class boxd.Lifecycle
---@field auto_suspend_timeout? integer seconds idle, 0 never
---@field auto_destroy_timeout? integer seconds of life, 0 never
---@class boxd.ProxyEntry
---@field name string
---@field port? integer
---@class boxd.Network
---@field ssh? boolean default true
---@field proxies? boxd.ProxyEntry[]
---@class boxd.Volume
---@field disk_id string
---@field mount_path string
---@field read_only? boolean
---@class boxd.Config
---@field vcpu? integer
---@field memory? string|integer "4G" or bytes
---@field disk? string|integer "20G" or bytes
---@field env? table<string, string>
---@field cmd? string[]
---@field restart_policy? "always"|"never" default "always"
---@field lifecycle? boxd.Lifecycle
---@field network? boxd.Network
---@field volumes? boxd.Volume[]

---@param config? boxd.Config checked: InvalidArgumentError names the field
---@return boxd.Config
function boxd.BoxConfig(config) end
---@param options? { api_key?: string, token?: string, api_url?: string, exchange_url?: string, timeout?: number, max_retries?: integer, keepalive?: number, ca_file?: string }
---@return boxd.Compute
function boxd.Compute(options) end
---@return userdata|table a local file, for write_file, upload and download
function boxd.path(name) end
---@param class? boxd.ErrorClass
---@return boolean
function boxd.is_error(value, class) end
---@param bytes string
---@return string hex
function boxd.sha256(bytes) end
---@return boxd.Task
function boxd.spawn(fn, ...) end
---@return table
function boxd.gather(list) end
---@return table results, table? errors
function boxd.map(list, fn, options) end
---@param seconds number
function boxd.sleep(seconds) end
---@return number monotonic seconds
function boxd.now() end
---@param seconds number TimeoutError once they are over
function boxd.with_timeout(seconds, fn, ...) end
function boxd.run(fn, ...) end
function boxd.wrap(fn) end
function boxd.resume(co, ...) end
---@param process boxd.ExecProcess
function boxd.attach(process) end
---@param process boxd.ExecProcess
---@param text string before each line
function boxd.prefix(process, text) end

---@class boxd.Task
---@field status "running"|"done"|"failed"|"cancelled"
local Task = {}
function Task:join(options) end
function Task:cancel() end

---@class boxd.Compute
---@field box boxd.Boxes
---@field template boxd.Templates
---@field disk boxd.Disks
---@field domain boxd.Domains
---@field network boxd.Networks
---@field token boxd.Tokens
---@field api_key boxd.ApiKeys
---@field api_url string
---@field timeout number
local Compute = {}
---@return { user_id: string, fingerprints: string[], default_network_id?: string, display_name?: string }
function Compute:whoami(options) end
---@return { default_image: string, zone: string }
function Compute:config(options) end
---@return table the reply, by proto field names
function Compute:call(rpc, request, options) end
---@return fun(): table? iterator of messages
function Compute:stream(rpc, request, options) end
function Compute:close() end

---@class boxd.Boxes
local Boxes = {}
---@return boxd.Box # InvalidArgumentError: the name is taken; QuotaExceededError
function Boxes:create(name, options) end
---@return boxd.Box # destroyed by its <close>
function Boxes:temporary(name, options) end
---@return boxd.Box[]
function Boxes:list(options) end
---@return boxd.Box # NotFoundError
function Boxes:get(id_or_name, options) end
---@return boxd.Box # NotFoundError
function Boxes:fork(source, options) end

---@class boxd.Box
---@field id string
---@field name? string
---@field image? string
---@field public_ip? string
---@field status? string pending running stopped suspended failed destroyed
---@field url? string
---@field boot_time_ms? integer milliseconds
---@field forked_from? string
---@field restart_policy? string
---@field disk_bytes? integer
---@field auto_suspend_timeout_secs? integer
local Box = {}
function Box:start(options) end
function Box:stop(options) end
function Box:reboot(options) end
function Box:destroy(options) end
---@return { suspend_us: integer } microseconds
function Box:suspend(options) end
---@return { resume_us: integer } microseconds
function Box:resume(options) end
---@return boxd.Box
function Box:refresh(options) end
---@param options? { timeout?: number, poll_interval?: number }
---@return boxd.Box
function Box:wait_until_ready(options) end
---@return boxd.ExecResult|boxd.ExecProcess
function Box:exec(...) end
---@return boxd.ExecResult|boxd.ExecProcess
function Box:sh(line, options) end
function Box:write_file(source, dest, options) end
---@return string # NotFoundError
function Box:read_file(path, options) end
---@param options? { timeout?: number, progress?: fun(done: integer, total: integer) }
---@return integer bytes
function Box:upload(local_path, dest, options) end
---@param options? { timeout?: number, progress?: fun(done: integer, total: integer) }
---@return integer bytes
function Box:download(path, local_path, options) end
---@return table[]
function Box:proxies(options) end
---@return table
function Box:create_proxy(name, port, options) end
function Box:set_proxy_port(port, name, options) end
function Box:delete_proxy(name, options) end
---@return fun(): string? iterator of byte chunks
function Box:stream_logs(options) end

---@class boxd.ExecResult
---@field stdout string bytes
---@field stderr string bytes
---@field exit_code integer
---@field success boolean

---@class boxd.ExecProcess
---@field stdin table
---@field dropped integer bytes let go unread
local ExecProcess = {}
function ExecProcess:iter_stdout() end
function ExecProcess:iter_stderr() end
function ExecProcess:chunks() end
function ExecProcess:lines() end
---@return string?
function ExecProcess:read_stdout() end
---@return string?
function ExecProcess:read_stderr() end
function ExecProcess:write(data) end
function ExecProcess:write_eof() end
function ExecProcess:resize(cols, rows) end
---@return integer exit code
function ExecProcess:wait(options) end
function ExecProcess:close() end

---@class boxd.Template
---@field id string
---@field name string
---@field image? string
---@field status? string
---@field vcpu? integer
---@field memory_bytes? integer
---@class boxd.Templates
local Templates = {}
---@return boxd.Template
function Templates:create(options) end
---@return boxd.Template[]
function Templates:list(options) end
---@return boxd.Box
function Templates:create_vm(template, options) end
function Templates:delete(template, options) end

---@class boxd.Disks
local Disks = {}
---@return boxd.Disk
function Disks:create(name, size, options) end
---@return boxd.Disk[]
function Disks:list(options) end
---@class boxd.Disk
---@field id string
---@field name string
---@field size_bytes integer
---@field status string
---@field attachments table[]
local Disk = {}
function Disk:attach(box, mount_path, options) end
function Disk:detach(box, options) end
function Disk:destroy(options) end

---@class boxd.Domains
local Domains = {}
function Domains:bind(domain, box, options) end
---@return { domain: string, vm_id: string }[]
function Domains:list(options) end
function Domains:unbind(domain, options) end
---@class boxd.Networks
local Networks = {}
---@return { id: string }
function Networks:create(name, options) end
---@return { id: string, subnet: string, status: string }[]
function Networks:list(options) end
---@class boxd.Tokens
local Tokens = {}
---@return { token: string, expires_at: integer }
function Tokens:create(options) end
---@return { jti: string, created_at: integer, expires_at: integer }[]
function Tokens:list(options) end
function Tokens:revoke(jti, options) end
---@class boxd.ApiKeys
local ApiKeys = {}
---@return { id: string, api_key: string, expires_at: integer }
function ApiKeys:create(options) end
---@return table[]
function ApiKeys:list(options) end
function ApiKeys:delete(id, options) end

return boxd
