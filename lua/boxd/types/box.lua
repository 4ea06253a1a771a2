---@meta
-- A box, but for its files and processes.

--- A box: fields as the service last sent them; refresh asks again. create returns
--- fewer of them than get and refresh do, and 0.1 fewer than today's service: the
--- others are nil. (GetVmResponse of the contract.)
---
--- An object is a userdata (so are a Compute, its services, a Disk, a Template
--- and a Snapshot). A field or method that its type lacks raises an error with the
--- nearest name: boxd.has asks without one. To write a field raises an error that
--- names the method which changes it. Two boxes are equal (==) where their id and
--- Compute are; as keys of a table they differ: use box.id. pairs lists the fields
--- that are set, and boxd.json.encode takes a box, or a list of them.
---@class boxd.Box
---@field id string
---@field name? string
---@field image? string
---@field public_ip? string
---@field status? string pending, running, stopped, suspended, hibernated, failed or destroyed
---@field url? string of its default proxy, with its scheme
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
---@field source_info? { kind?: string, name?: string, version: integer, id?: string } the source of the box; today
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

--- Brings it up whatever its state is, and while that changes: starts, resumes or
--- wakes it, and waits until it runs and answers a command.
--- Round trips: 2 of a box that runs, 4 of one that is stopped, suspended or
--- hibernated, and 1 a look while it changes by itself.
--- RPC: GetVm, StartVm, ResumeVm, WakeVm, Exec.
--- Raises: BoxdError when it is failed, destroying or destroyed; TimeoutError with
--- the last reason; NotFoundError.
---@param options? boxd.Options timeout: default 90, for all of it
---@return boxd.Box self
function Box:up(options) end

--- Runs `sync` in the box (10 s at most; a failure is a warning) and stops it, since
--- a stop is a power cut. A box that sleeps wakes for it; one that is stopped
--- already is left as it is.
--- Round trips: 4, of a stopped one 1, and 1 a look while it changes.
--- RPC: GetVm, Exec, StopVm.
--- Raises: BoxdError when it is failed, destroying or destroyed; TimeoutError with
--- the last reason; NotFoundError.
---@param options? boxd.Options timeout: default 60, for all of it
---@return boxd.Box self
function Box:down(options) end

--- Sets status to running.
--- Round trips: 1; with wait 4, and 2 a look until it is up again.
--- RPC: RebootVm; with wait also Exec, GetVm.
--- Raises: NotFoundError, ConflictError; TimeoutError.
---@param options? boxd.RebootOptions
function Box:reboot(options) end

---@class boxd.RebootOptions: boxd.Options
---@field wait? boolean sync the box first, and return once it has booted anew and answers; timeout is then 90 by default

--- Takes the box away with all that is in it; sets status to destroyed.
--- Round trips: 1.
--- RPC: DestroyVm.
--- Raises: NotFoundError unless missing_ok.
---@param options? boxd.DestroyOptions
function Box:destroy(options) end

---@class boxd.DestroyOptions: boxd.Options
---@field missing_ok? boolean a box that is gone already is as wished

--- Waits until something in the box listens on a port, on any of its addresses.
--- The box looks, so that looking costs no round trips.
--- Round trips: 1, and 1 every 15 s.
--- RPC: Exec.
--- Raises: TimeoutError, NotFoundError, ConflictError when the box is stopped.
---@param port integer 1 to 65535
---@param options? boxd.Options timeout: default 60
function Box:wait_for_port(port, options) end

--- Has a proxy lead to the port, and returns its url once that answers. The default
--- proxy, or the one of that name, which is made, or taken when it is there.
--- Round trips: 2 (of a new name 1), then HTTP requests.
--- RPC: CreateProxy, SetProxyPort, ListProxies.
--- Raises: TimeoutError with the last answer, and whether something listens on the
--- port and is reached by proxies; NotFoundError.
---@param port integer 1 to 65535
---@param options? boxd.PublishOptions
---@return string url without the path
function Box:publish(port, options) end

---@class boxd.PublishOptions: boxd.Options
---@field name? string of the proxy, default: the default one
---@field path? string that is asked for, default "/"
---@field status? integer|integer[] that it must answer, default 200
---@field ca_file? string PEM file of roots to trust instead of the system's
---@field timeout? number seconds for all of it, default 120

--- What lies under a path; a link is not followed. Where the box's user may not
--- look, root does, by sudo.
--- Round trips: 1.
--- RPC: Exec.
--- Raises: BoxdError when it can't be looked at; NotFoundError of the box.
---@param path string in the box
---@param options? boxd.Options
---@return boxd.Stat? stat nil: nothing is there
function Box:stat(path, options) end

--- Is anything there, if only a link that leads nowhere?
--- Round trips: 1.
--- RPC: Exec.
--- Raises: as stat.
---@param path string in the box
---@param options? boxd.Options
---@return boolean
function Box:exists(path, options) end

---@class boxd.Stat
---@field type string "file", "directory", "link", "fifo", "socket", "char", "block"
---@field size integer bytes
---@field mode integer permission bits, with setuid, setgid and sticky
---@field mtime integer Unix seconds
---@field owner string a name, or UNKNOWN
---@field group string a name, or UNKNOWN
---@field target? string of a link: where it leads

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
--- Raises: NotFoundError; TimeoutError, with stdout and stderr, once all that the
--- command started has ended; InvalidArgumentError; with check, CommandError. Without
--- it an exit code is a result, not an error. A command without a terminal that is
--- silent for 30 minutes is dropped by the service: the error says so.
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
---@field secret_env? table<string, string> variables that reach the command's environment by its stdin (on a terminal by a file in /dev/shm that is gone before the command starts) and no argument list, log or error
---@field check? boolean an exit code other than 0 raises CommandError; not with stream
---@field tee? file*|fun(data: string, stream: "stdout"|"stderr") has the output as it comes, too; not with stream
---@field max_output? integer bytes kept of each of stdout and stderr, their last; not with stream

--- Writes a whole file, above 1 MiB as a stream. A local file's permission bits go along.
--- RPC: UploadFile, UploadFileStream for more than one chunk, unless the service lacks it, which
--- the Compute remembers; Exec for a mode that new files don't have, and for verify.
--- Raises: NotFoundError, InvalidArgumentError when the local file is not read,
--- InternalError when the service wrote a part only, BoxdError when its mode
--- can't be set.
---@param source string|boxd.Path bytes, or boxd.path "local/file"
---@param dest string path in the box
---@param options? boxd.WriteOptions
function Box:write_file(source, dest, options) end

--- Reads a whole file, into memory.
--- RPC: DownloadFileStream, or DownloadFile of a service without it; Exec for
--- verify.
--- Raises: NotFoundError, InternalError when not all of it came.
---@param path string in the box
---@param options? boxd.ReadOptions
---@return string bytes
function Box:read_file(path, options) end

--- Sends a file of any size, in constant memory, or a folder with all in it:
--- files, folders (Mkdir) and symbolic links. Permission bits go along, and a
--- private file is readable to others at no time. A folder with a pipe or a
--- device in it is refused before anything is sent.
--- RPC: UploadFileStream; Exec for modes that new files don't have, and for
--- links; Mkdir.
--- Raises: InvalidArgumentError when the local file is not read whole,
--- NotFoundError, InternalError when the service wrote a part only, BoxdError
--- when a mode can't be set.
---@param local_path string|boxd.Path
---@param dest string path in the box
---@param options? boxd.UploadOptions
---@return integer bytes written
function Box:upload(local_path, dest, options) end

--- Fetches a file of any size, in constant memory. It appears under its name
--- only when it is whole, with its permission bits, but no more readable than a
--- file that it replaces.
--- RPC: Exec for the mode; DownloadFileStream, or DownloadFile of a service
--- without it.
--- Raises: NotFoundError, InvalidArgumentError when the local file is not
--- written.
---@param path string in the box
---@param local_path string|boxd.Path
---@param options? boxd.FileTransferOptions
---@return integer bytes written
function Box:download(path, local_path, options) end

--- Fetches a folder with all in it: files and folders, with their permission
--- bits. One with a link, a device or a name that is not UTF-8 in it is refused
--- before anything is written.
--- RPC: ListDir, DownloadFileStream.
--- Raises: NotFoundError, InvalidArgumentError for what can't be downloaded or
--- written, InternalError for a name that leads elsewhere; the message says how
--- many files are there already.
---@param path string in the box
---@param local_path string|boxd.Path made when it is not there
---@param options? boxd.TransferOptions the progress is each file's
---@return integer bytes written
function Box:download_folder(path, local_path, options) end

---@class boxd.ReadOptions: boxd.Options
---@field verify? boolean compare the SHA-256 with that of the box's sha256sum, and do it once more where it differs

---@class boxd.WriteOptions: boxd.ReadOptions
---@field mode? string permission bits as octal digits, such as "644"
---@field owner? string "user" or "user:group", by sudo where that is needed; others read the file at no time (2 Execs more)

---@class boxd.MkdirOptions: boxd.Options
---@field mode? string permission bits as octal digits, such as "755"
---@field owner? string "user" or "user:group", by sudo where that is needed

---@class boxd.UploadOptions: boxd.FileTransferOptions
---@field owner? string "user" or "user:group", by sudo where that is needed; of a folder, its new entries

---@class boxd.FileTransferOptions: boxd.TransferOptions
---@field verify? boolean of one file: compare the SHA-256 with that of the box's sha256sum, and do it once more where it differs

---@class boxd.TransferOptions: boxd.Options
---@field progress? fun(done: integer, total: integer) called with bytes as they go
---@field mode? string permission bits of the files as octal digits, such as "644"

--- Starts a command line that outlives the connection, or adopts the job of
--- that name: one that runs, or that ran the same command, is returned as it is.
--- Its state is in ~/.boxd/jobs/NAME of the box, readable by hand.
--- One round trip, four with keep_awake, again where the connection breaks.
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
---@field secret_env? table<string, string> in the command's environment, and in no file or argument list
---@field user? string another user of the box, by sudo
---@field restart? boolean end the job of that name and start anew
---@field keep_awake? boolean the box's idle timers are 0 until the job's end is seen

--- One round trip.
--- RPC: Exec.
---@param name string
---@param options? boxd.Options
---@return boxd.Job? job nil: there is none
function Box:get_job(name, options) end

--- All jobs of the box, by name.
--- One round trip.
--- RPC: Exec.
---@param options? boxd.Options
---@return boxd.Job[]
function Box:jobs(options) end

--- Makes a folder of the box like a local one: only what differs travels (kind,
--- mode, size, mtime), links as links. A folder's own mtime is not compared.
--- Interrupted and run again it completes. Two round trips, one when nothing
--- differs; one more each to remove and to compare by checksum.
--- RPC: Exec.
--- Raises: InvalidArgumentError for a pipe or device, or what can't be read;
--- BoxdError when the box can't write, or a file shrinks while it is read.
---@param local_dir string|boxd.Path
---@param dir string in the box, made with its parents
---@param options? boxd.SyncOptions
---@return boxd.SyncResult
function Box:sync_to(local_dir, dir, options) end

--- Makes a local folder like one of the box. No file is written through a link.
--- Round trips as of sync_to.
--- RPC: Exec.
--- Raises: NotFoundError; InvalidArgumentError for what can't be written;
--- BoxdError when the box can't read.
---@param dir string in the box
---@param local_dir string|boxd.Path made in a folder that is there
---@param options? boxd.SyncOptions
---@return boxd.SyncResult
function Box:sync_from(dir, local_dir, options) end

---@class boxd.SyncOptions: boxd.Options
---@field delete? boolean remove paths that the source does not have, except excluded ones
---@field exclude? string[] patterns as in .gitignore: "*.o", "/build", "tmp/", "!keep.o"
---@field checksum? boolean compare files of one size by SHA-256, not by mtime
---@field dry_run? boolean only count
---@field progress? fun(done: integer, total: integer) bytes
---@field watch? boolean stay, and send changes until it is cancelled
---@field user? string what user of the box reads and writes there; another one needs its sudo

---@class boxd.SyncResult
---@field sent integer files and links
---@field deleted integer
---@field unchanged integer files and links
---@field bytes integer of the files sent

--- Opens a port of this machine that leads to one of the box, its loopback too,
--- until it is closed or the script ends. Bytes move while the script waits in a
--- call of this module. A connection is one Exec, and fails as that does: the
--- client sees it end, and `warn` says why, once until one succeeds.
--- RPC: Exec.
--- Raises: ConnectionError when the local port is taken.
---@param remote_port integer of the box
---@param options? boxd.ForwardOptions
---@return boxd.Forward
function Box:forward(remote_port, options) end

---@class boxd.ForwardOptions
---@field listen? string address in numbers and port, default "127.0.0.1:0": any free port

--- RPC: ListProxies.
---@param options? boxd.Options
---@return boxd.Proxy[]
function Box:proxies(options) end

--- RPC: CreateProxy.
--- Raises: ConflictError when the name is taken.
---@param name string
---@param port? integer default 0: detected
---@param options? boxd.Options
---@return boxd.Proxy
---@overload fun(self: boxd.Box, name: string, options: boxd.Options): boxd.Proxy
function Box:create_proxy(name, port, options) end

--- RPC: SetProxyPort.
--- Raises: NotFoundError.
---@param port integer|"auto" 0 or "auto": detected
---@param name? string default "": the default proxy
---@param options? boxd.Options
---@overload fun(self: boxd.Box, port: integer|"auto", options: boxd.Options)
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
---@field follow? boolean go on with new output, default false

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
--- Raises: NotFoundError, ConflictError when the name is taken.
---@param new_name string
---@param options? boxd.Options
function Box:rename(new_name, options) end

--- Either size names both. A running box is rebooted, after the answer.
--- Round trips: 1; with wait 2, and 2 a look until a rebooted box is up again.
--- RPC: ResizeVm; with wait also Exec, GetVm.
--- Raises: InvalidArgumentError, QuotaExceededError; TimeoutError.
---@param options boxd.ResizeOptions
---@return { vcpu: integer, memory_bytes: integer, rebooted: boolean }
function Box:resize(options) end

---@class boxd.ResizeOptions: boxd.Options
---@field vcpu? integer
---@field memory? string|integer "8G" or bytes
---@field wait? boolean sync the box first, and return once a box that is rebooted for it has booted anew and answers; timeout is then 120 by default

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

--- Whatever state the box is in then. Ends the lease of a temporary box: from
--- here on the script alone says when it ends.
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
---@return string[] the list in force
function Box:set_networks(networks, options) end

--- What the box may reach.
--- RPC: SetVmEgressAllow.
--- Raises: NotFoundError.
---@param entries string[] hosts and addresses, all of them; {} allows everything
---@param options? boxd.Options
---@return string[] the list in force
function Box:set_egress(entries, options) end

--- RPC: SetBotProtection.
--- Raises: NotFoundError.
---@param mode boolean|string "on", "sleep_only" or "off"; true: on
---@param options? boxd.Options
function Box:set_bot_protection(mode, options) end

--- RPC: SetIdleIgnoreOutbound.
--- Raises: NotFoundError.
---@param enabled boolean true: outgoing traffic does not keep the box awake
---@param options? boxd.Options
function Box:set_idle_ignore_outbound(enabled, options) end

--- Its usage and cost. (GetVmUsageResponse of the contract.)
--- RPC: GetVmUsage.
--- Raises: NotFoundError.
---@param options? boxd.UsageOptions
---@return { period_start: integer, period_end: integer, currency?: string, rates?: table, usage?: table }
function Box:usage(options) end

---@class boxd.UsageOptions: boxd.Options
---@field since? integer Unix seconds, default: its beginning
---@field until_time? integer Unix seconds, default: now
---@field org? string of a box that is gone

--- Changes the spec of a box that has one, and the fields that it decides.
--- With a function: reads the spec (GetVm), calls the function with it, which
--- changes it or returns another, and writes the difference with the spec that
--- was read as expected_spec; where another change came first it does so again,
--- with a pause, 8 times at most.
--- RPC: UpdateMachineSpec.
--- Raises: NotFoundError, InvalidArgumentError, ConflictError (ABORTED) when expected_spec differs from its spec.
---@param patch boxd.Spec|fun(spec: boxd.Spec): boxd.Spec? a table: maps merge, the rest replaces, boxd.json.null removes
---@param options? boxd.UpdateSpecOptions
---@return { changes: table[], reboot_required: boolean, reboot_recommended: boolean, spec?: table, applied: boolean, rebooted: boolean, resize_error?: string }
function Box:update_spec(patch, options) end

---@class boxd.UpdateSpecOptions: boxd.Options
---@field dry_run? boolean only say what would change
---@field reboot? boolean where that is needed
---@field retry_packages? boolean again from the one that failed
---@field expected_spec? boxd.Spec the spec as it was read

--- Opens a port of the box to the internet.
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
---@return boxd.ExposedPort as it was
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

--- RPC: Mkdir; with mode or owner Exec instead.
--- Raises: NotFoundError, InvalidArgumentError when it is there.
---@param path string in the box, in a folder that is there
---@param options? boxd.MkdirOptions
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
