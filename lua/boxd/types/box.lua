---@meta
-- A box: its fields, its states and its settings. The methods for commands, files
-- and addresses are in the files box_*.lua.

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
--- RPC: UpdateMachineSpec; with a function also GetVm.
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
