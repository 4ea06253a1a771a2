---@meta
-- What a box can be made from again: templates, snapshots, checkpoints,
-- backups.

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

--- Pending at first. With `wait` it is ready in its new version; where it is not,
--- versions from before stay.
--- Round trips: 1; with `wait` 1 a look more.
--- RPC: CreateSnapshot; GetSnapshot.
--- Raises: NotFoundError; with `wait` TimeoutError, BoxdError when it has failed.
---@param box boxd.Box|string a box, an id or a name
---@param name string of one that is there: another version of it
---@param options? boxd.SnapshotCreateOptions
---@return boxd.Snapshot
function Snapshots:create(box, name, options) end

---@class boxd.SnapshotCreateOptions: boxd.Options
---@field wait? boolean return it once it is ready; timeout is then for all of it, default 600

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

--- Waits until it is ready, in that version or a later one: while it is copied it is
--- pending, its source must stay, and create refuses it.
--- Round trips: 1 a look.
--- RPC: GetSnapshot.
--- Raises: BoxdError with the reason when it has failed, TimeoutError, NotFoundError.
---@param snapshot boxd.Snapshot|string a snapshot, an id or a name
---@param options? boxd.SnapshotWaitOptions
---@return boxd.Snapshot
function Snapshots:wait_until_ready(snapshot, options) end

---@class boxd.SnapshotWaitOptions: boxd.OrgOptions
---@field version? integer at least, default: that of the snapshot object
---@field poll_interval? number seconds between two looks at most, default 0.5
---@field timeout? number seconds for all of it, default 600

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

--- The box is as it was then; later changes are lost.
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
