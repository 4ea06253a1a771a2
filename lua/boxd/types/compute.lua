---@meta
-- Compute, and making boxes: what a box is made of.

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

--- Ends its calls, whose waiters get CancelledError, and its connection. Waits,
--- for 8 s at most, until no temporary box is being made or destroyed any more.
--- Idempotent; using it afterwards is an error.
function Compute:close() end

--- c.box.
---@class boxd.Boxes
local Boxes = {}

--- A new box, perhaps still starting. With `wait` it runs and answers: a snapshot
--- that is pending is waited for first, then the box; one that fails, or is late, is
--- destroyed.
--- Round trips: 1; with `wait` 2 a look more, and 1 a look at a snapshot.
--- RPC: CreateVm, or CreateVmFromSnapshot with from_snapshot; GetSnapshot, GetVm, Exec.
--- Raises: ConflictError when the name is taken, QuotaExceededError; with `wait`
--- TimeoutError, BoxdError when the box or the snapshot has failed.
---@param name? string default: the service chooses one
---@param options? boxd.CreateOptions
---@return boxd.Box
---@overload fun(self: boxd.Boxes, options: boxd.CreateOptions): boxd.Box
function Boxes:create(name, options) end

--- The same, but its `<close>`, or the end of boxdlua's script, destroys it.
--- Where the call is ended early (cancelled, out of time, interrupted) the box is
--- destroyed as soon as it is there, and closing the Compute waits for that.
---
--- The service deletes the box a lease after the script was last alive, also where
--- the script is killed. A thread renews the lease at every third of it
--- (SetDeleteAfter), while the script computes or blocks, too; failures are tried
--- again until the lease is over. It ends with the box, and by
--- `box:set_delete_after`; `box.delete_at` is as of the last refresh. A fork has no
--- lease. Where the first SetDeleteAfter fails twice the box is destroyed and the
--- error raised; a service without it gets a box without a lease, and the script
--- one warning. Between the two calls a killed script leaves its box.
--- Round trips: 3 with its end; with `wait` as create.
--- RPC: CreateVm, or CreateVmFromSnapshot with from_snapshot; SetDeleteAfter.
--- Raises: ConflictError when the name is taken, QuotaExceededError.
---@param name? string default: the service chooses one
---@param options? boxd.TemporaryOptions
---@return boxd.Box
---@overload fun(self: boxd.Boxes, options: boxd.TemporaryOptions): boxd.Box
function Boxes:temporary(name, options) end

--- The box of that name, up: made if there is none; adopted if there is one, also
--- when another makes it meanwhile or the answer to create was lost (then created is
--- true, as there was none before). A failed one is replaced. An adopted box gets the
--- labels, idle timers and `delete_after` that are asked for; every other option that
--- differs stays, and is listed: a box's field, or else the option, as "spec.size",
--- "env", "proxies". `have` is nil where the service does not say: of `cmd`, `ssh`, and
--- `env` but for a spec's.
--- Round trips: 2 for a box that runs, 5 for a new one; 1 more for labels, for each timer
--- that differs, for delete_after, proxies and volumes.
--- RPC: GetVm, ListVms, CreateVm, Exec, StartVm, ResumeVm, WakeVm, DestroyVm, UpdateVmLabels, SetAutoSuspendTimeout, SetAutoHibernateTimeout, SetIdleIgnoreOutbound, SetDeleteAfter, ListProxies, ListDisks.
--- Raises: ConflictError when the name is taken by a box that the key does not see,
--- QuotaExceededError with the boxes there are, BoxdError, TimeoutError.
---@param name string
---@param options? boxd.EnsureOptions
---@return boxd.Box
---@return boolean created
---@return { field: string, want: any, have: any }[] differences
function Boxes:ensure(name, options) end

---@class boxd.EnsureOptions: boxd.NewBoxOptions
---@field image? string
---@field config? boxd.Config
---@field org? string
---@field shared? boolean
---@field labels? table<string, string>
---@field networks? string[]
---@field isolated? boolean
---@field team? string
---@field spec? boxd.Spec
---@field from_snapshot? string|boxd.Snapshot
---@field replace_failed? boolean default true; false: raises for a failed box
---@field timeout? number seconds for all of it, default 120

--- Round trips: 1, of a service that knows ids alone up to 4.
--- RPC: DestroyVm, GetVm, ListVms.
--- Raises: NotFoundError unless missing_ok.
---@param box boxd.Box|string a box, an id or a name
---@param options? boxd.DestroyOptions
function Boxes:destroy(box, options) end

--- Destroys the boxes that match all that is given, 8 at a time; a failure is raised
--- when all were tried.
--- Round trips: 1, and 1 a box.
--- RPC: ListVms, DestroyVm.
--- Raises: InvalidArgumentError without a prefix or labels.
---@param options boxd.SweepOptions
---@return string[] names in order, destroyed ones, or with dry_run those that would be
function Boxes:sweep(options) end

---@class boxd.SweepOptions: boxd.Options
---@field prefix? string of the name
---@field labels? table<string|integer, string> as in list
---@field older_than? number seconds since it was made
---@field keep? (string|boxd.Box)[] names, ids or boxes that stay
---@field dry_run? boolean only say which

--- RPC: ListVms.
---@param options? boxd.ListOptions
---@return boxd.Box[]
function Boxes:list(options) end

--- RPC: SuggestVmName.
---@param options? boxd.Options
---@return string name that is free
function Boxes:suggest_name(options) end

--- RPC: GetVm, then ListVms for a service that looks for ids only.
--- Raises: NotFoundError.
---@param id_or_name string
---@param options? boxd.Options
---@return boxd.Box
function Boxes:get(id_or_name, options) end

--- A copy of a box and its disk. That of a temporary box of this script has no
--- lease: its end is taken back (one more call, SetDeleteAfter).
--- RPC: ForkVm.
--- Raises: NotFoundError, QuotaExceededError.
---@param source boxd.Box|string a box, an id or a name
---@param options? boxd.ForkOptions
---@return boxd.Box
function Boxes:fork(source, options) end

---@class boxd.CreateOptions: boxd.NewBoxOptions
---@field name? string unless it is the first argument
---@field wait? boolean return it once it answers, as wait_until_ready
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

---@class boxd.TemporaryOptions: boxd.CreateOptions
---@field lease? integer|false seconds, from 3 on; false: none; default 3600, and none beside delete_after and delete_after_cron, which it excludes

--- What create, temporary and fork take. `timeout` is for all of it; with `wait` it is
--- 90 s by default, and 600 s with from_snapshot. Where the service refuses a timer or an
--- end, the box is destroyed and the error raised.
---@class boxd.NewBoxOptions: boxd.Options
---@field auto_suspend_timeout? integer seconds without use, 0 never; in config.lifecycle, too
---@field auto_hibernate_timeout? integer seconds without use, 0 never (one more call, SetAutoHibernateTimeout); today
---@field auto_destroy_timeout? integer seconds without use, 0 never; in config.lifecycle, too
---@field delete_after? integer seconds until it is deleted, 0 never (one more call, SetDeleteAfter); today
---@field delete_after_cron? string a cron expression, in place of delete_after; today

---@class boxd.ListOptions: boxd.Options
---@field org? string today
---@field labels? table<string|integer, string> { env = "prod", "gpu" }: equals, has; today
---@field all_contexts? boolean of every organisation; today

---@class boxd.ForkOptions: boxd.NewBoxOptions
---@field name? string default: the service chooses one
---@field wait? boolean return it once it answers, as wait_until_ready
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
---@field env? table<string, string|number>
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
---@field env? table<string, string|number> variables of cmd
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
