-- Boxes: their records, what runs of them, and how they change.
--
-- A record is what survives (store kind "boxes"); a live box is a handle of the
-- spawner, in self.live by id. Changes of one box happen one at a time. Others
-- follow a box's life as watchers: objects with any of the methods
-- prepare (before a new record is kept, or one of before is used again), up
-- (its sandbox runs), woken (because a client wants it), and gone (it is
-- destroyed); and with show (adds to what a client sees of a record), add_env
-- (to its environment) and add_mounts (to its mounts).

local boxd = require "boxd"
local box_info = require "boxd.local.box_info"
local box_request = require "boxd.local.box_request"
local cron = require "boxd.local.cron"
local ends = require "boxd.local.ends"
local hostname = require "boxd.local.hostname"
local ids = require "boxd.local.ids"
local locks = require "boxd.local.locks"
local serve = require "boxd.serve"
local log = require "boxd.local.log"
local status = require "boxd.local.status"
local store = require "boxd.local.store"
local usage = require "boxd.local.usage"
local verbs = require "boxd.local.verbs"

local fail, NONE = status.fail, store.NONE

local boxes = {}
boxes.__index = boxes

for name, verb in pairs(verbs) do boxes[name] = verb end

boxes.DEFAULT_IMAGE = box_request.DEFAULT_IMAGE

function boxes.new(kept, spawner, options)
  local self = setmetatable({
    store = kept, spawner = spawner, records = kept:all "boxes", live = {},
    by_handle = {}, phases = {}, awaited = {},
    locks = locks.new(), dir = kept.dir .. "/files",
    limits = options.limits, watchers = {},
    net_host = options.net == "host",
    changed = serve.signal(),
  }, boxes)
  self.ends = ends.new(self)
  return self
end

local function say(record, what, e)
  local _, message = status.of(e)
  log("box '%s' %s: %s", record.name, what, message)
end

boxes.say = say

function boxes:tell(method, record, ...)
  for _, watcher in ipairs(self.watchers) do
    if watcher[method] then watcher[method](watcher, record, ...) end
  end
end

local tell = boxes.tell

-- It is gone for all of them, whatever one of them fails at.
local function tell_gone(self, record)
  for _, watcher in ipairs(self.watchers) do
    local ok, e = true, nil
    if watcher.gone then ok, e = pcall(watcher.gone, watcher, record) end
    if not ok then say(record, "is gone, but not all it had", e) end
  end
end

-- Looking up: an id or a name.

function boxes:find(id)
  local record = self.records[id]
  if record then return record end
  for _, other in pairs(self.records) do
    if other.name == id then return other end
  end
  fail("NOT_FOUND", "no box '%s'", id)
end

-- By the two fields that name a box in some requests.
function boxes:find_vm(request)
  local name = request.vm or request.vm_name or request.vm_id
  if not name then fail("INVALID_ARGUMENT", "the box is missing") end
  return self:find(name)
end

-- A handler of an RPC that finds the box of a request: fn(service, record,
-- request), which may return no reply for an empty one.
function boxes.rpc(fn)
  return function(service, request)
    if not request.vm_id then fail("INVALID_ARGUMENT", "vm_id is missing") end
    local record = service.boxes:find(request.vm_id)
    return fn(service, record, request) or {}
  end
end

function boxes:list() return self.store:list "boxes" end

-- A box whose files were replaced has them in a folder of another name.
local function folder_name(record) return record.folder or record.id end

function boxes:folder(record) return self.dir .. "/" .. folder_name(record) end

-- What a client sees of a record; in full, or as one of a list.
function boxes:shown(record, full)
  local out = box_info.of(record)
  out.status = self.phases[record.id] or out.status
  tell(self, "show", record, out, full)
  return out
end

-- Running.

-- The box's environment, as a command has it: its own is the last word.
-- without: a name to leave out.
function boxes:env(record, without)
  local values, env = {}, {}
  tell(self, "add_env", record, values)
  for _, v in ipairs(record.env or {}) do values[v.key] = v.value or "" end
  if without then values[without] = nil end
  for name, value in pairs(values) do env[#env + 1] = name .. "=" .. value end
  table.sort(env)
  return env
end

-- Starts the sandbox of a record. Returns what of the record changes.
local function boot(self, record)
  local began, mounts = boxd.now(), {}
  tell(self, "add_mounts", record, mounts)
  local handle, message, errno = self.spawner:start {
    dir = self:folder(record), hostname = record.hostname or record.name,
    memory = record.memory_bytes, net_host = self.net_host,
    outgoing = not self.net_host, mounts = mounts,
  }
  if not handle then
    self.ends:fail(record, errno, "the box can't be started", message)
  end
  self.live[record.id] = handle
  self.by_handle[handle] = record.id
  if record.hostname then
    hostname.set(self.spawner, handle, record.hostname, record.name)
  end
  return { status = "running", hostname = record.hostname and NONE,
    boot_time_ms = math.max(1, math.floor((boxd.now() - began) * 1000)) }
end

-- Ends all of a box's processes.
function boxes:take_down(record)
  local handle = self.live[record.id]
  if not handle then return end
  self.live[record.id] = nil
  self.by_handle[handle] = nil
  self.ends:ended(handle)
  self.spawner:kill(handle) -- it fails for one that is dead already
end

-- Keeps changes of a record that is kept; makes them in one that is not yet.
local function keep(self, record, how, changes)
  if record.new then
    store.apply(record, changes)
  else
    self.store[how](self.store, "boxes", record, changes)
  end
  self.changed:fire()
end

function boxes:change(record, changes) keep(self, record, "update", changes) end

-- The same after the change has happened.
function boxes:note(record, changes)
  if changes.status and changes.status ~= record.status then
    usage.note(record, changes)
  end
  keep(self, record, "note", changes)
end

function boxes:bring_up(record)
  local ok, e = pcall(function() self:note(record, boot(self, record)) end)
  if not ok then
    self:take_down(record)
    if record.status == "running" or record.status == "suspended" then
      self:note(record, { status = "failed" })
    end
    error(e, 0)
  end
  tell(self, "up", record, self.live[record.id])
end

-- The same because a client wants it.
function boxes:wake_up(record)
  self:bring_up(record)
  tell(self, "woken", record)
end

-- Takes the box for one change. It may be gone by then.
local function take(self, record)
  local lock = self.locks:take(record.id)
  if self.records[record.id] then return lock end
  lock:free()
  fail("NOT_FOUND", "no box '%s'", record.name)
end

function boxes:lock(record) return take(self, record) end

-- The same of one that must run, as for a snapshot.
function boxes:lock_running(record)
  self:check_phase(record)
  local lock = take(self, record)
  if record.status == "running" and self.live[record.id] then return lock end
  lock:free()
  fail("FAILED_PRECONDITION", "box '%s' is %s: it has to run for this",
    record.name, record.status)
end

-- A box that is taken is `what` ("starting") for clients until the result is
-- closed, and refuses what needs it up.
function boxes:phase(record, what)
  self.phases[record.id] = what
  return setmetatable({}, { __close = function()
    self.phases[record.id] = nil
  end })
end

function boxes:check_phase(record)
  local what = self.phases[record.id]
  if not what then return end
  fail("FAILED_PRECONDITION", "box '%s' is %s: try again", record.name, what)
end

-- Until the result is closed, destroying the box, which is taken, waits for that.
function boxes:await(record)
  self.awaited[record.id] = true
  return setmetatable({}, { __close = function()
    self.awaited[record.id] = nil
  end })
end

-- The handle of a running box, once no change of it is under way; a suspended
-- one is resumed first, a hibernated one woken.
function boxes:handle(record)
  self:check_phase(record)
  if self.locks:held(record.id) then take(self, record):free() end
  if record.status == "suspended" then self:resume(record) end
  if record.status == "hibernated" then self:wake(record) end
  local handle = self.live[record.id]
  if handle and record.status == "running" then return handle end
  self.ends:check(record)
  if record.status == "running" then self.ends:gone(record) end
  fail("FAILED_PRECONDITION", "box '%s' is %s: start it first", record.name,
    record.status)
end

-- Making.

function boxes:check_free(name)
  for _, other in pairs(self.records) do
    if other.name == name then
      fail("ALREADY_EXISTS", "there is a box named '%s' already", name)
    end
  end
end

local function check_new(self, fields)
  local n = 0
  for _ in pairs(self.records) do n = n + 1 end
  self:check_free(fields.name)
  self.limits:check_count("machines", n)
end

-- A record that holds its name from here on.
local function claim(self, fields)
  check_new(self, fields)
  local record = fields
  record.id = ids.new("vm-")
  record.name = fields.name or ids.new("box-", 4)
  record.n = self.store:number()
  record.public_ip, record.status = "127.0.0.1", "pending"
  record.created_at, record.new = os.time(), true
  record.delete_at = cron.deadline(record, record.created_at)
  self.records[record.id] = record
  return record
end

local function unmake(self, record)
  self:take_down(record)
  tell_gone(self, record)
  self.spawner:remove(self:folder(record))
  self.records[record.id] = nil
end

-- prepare(record) does what must be there before the box starts.
local function make(self, fields, prepare)
  local record = claim(self, fields)
  local _lock <close> = self.locks:take(record.id)
  local kept = false
  local _undo <close> = setmetatable({}, { __close = function()
    if not kept then unmake(self, record) end
  end })
  prepare(record)
  tell(self, "prepare", record)
  self:note(record, boot(self, record))
  record.new = nil
  self.store:put("boxes", record.id, record)
  kept = true
  tell(self, "up", record, self.live[record.id])
  tell(self, "woken", record)
  return record
end

-- attach(record, volumes): the disks that the request names. from: what the box
-- is made from, if from more than the request: record (whose settings it has),
-- fields (that go over them), copy(record) (makes its files).
function boxes:create(request, attach, from)
  from = from or {}
  local fields, volumes = box_request.fields(request, self.limits,
    from.record)
  for k, v in pairs(from.fields or {}) do fields[k] = v end
  box_request.check_env_total(self:env(fields))
  return make(self, fields, function(record)
    if from.copy then from.copy(record) end
    attach(record, volumes)
  end)
end

local function copy(self, record, from, to)
  local bytes, message, errno =
    self.spawner:copy(from, to or self:folder(record))
  if bytes then return bytes end
  self.ends:fail(record, errno, "the box's files can't be copied", message)
end

-- Holds all that runs in a box.
function boxes:freeze(record, handle)
  local ok, message, errno = self.spawner:suspend(handle)
  if ok then return end
  self.ends:fail(record, errno, "the box can't be suspended", message)
end

-- Copies a box's files while nothing in it changes them; the caller has taken
-- it. Returns their bytes.
function boxes:copy_files(record, to)
  local handle = record.status == "running" and self.live[record.id]
  if handle then self:freeze(record, handle) end
  local _resume <close> = setmetatable({}, { __close = function()
    if handle then self.spawner:resume(handle) end
  end })
  return copy(self, record, self:folder(record), to)
end

-- fields: more that the fork's record has of its source.
function boxes:fork(source, request, attach, fields)
  fields = fields or {}
  fields.forked_from = source.id
  fields.source = { kind = "fork", name = source.name, id = source.id }
  return self:create(request, attach, { record = source, fields = fields,
    copy = function(record)
      local _lock <close> = take(self, source)
      self:copy_files(source, self:folder(record))
    end })
end

-- Files a box is made from, without an owner while they are copied.
function boxes:fill(record, from) copy(self, record, from) end

-- Changing.

-- Once its record is gone, so is the box: leftovers are removed at the next
-- start. unless: as for suspend. Else it is ended at once, and with it whatever
-- it keeps waiting, but for a copy that outlives it.
function boxes:destroy(record, unless)
  local _ending <close> = not unless and self.ends:destroy(record) or nil
  if not unless and not self.awaited[record.id] then self:take_down(record) end
  local _lock <close> = take(self, record)
  if unless and unless(record) then return end
  self:take_down(record)
  self.store:remove("boxes", record.id)
  record.status = "destroyed"
  self.changed:fire()
  tell_gone(self, record)
  self.spawner:remove(self:folder(record))
end

-- A box's files become a copy of those in a folder; it runs again if it ran. The
-- caller has taken it. Its record says which folder counts, so that whatever is
-- killed meanwhile leaves it with all of the old files or all of the new.
function boxes:replace_files(record, from)
  local new = ids.new(record.id .. ".", 4)
  copy(self, record, from, self.dir .. "/" .. new)
  local old, up = self:folder(record), self.live[record.id] ~= nil
  if up then self:take_down(record) end
  local ok, e = pcall(self.change, self, record, { folder = new })
  self.spawner:remove(ok and old or self.dir .. "/" .. new)
  if up and record.status ~= "hibernated" then self:bring_up(record) end
  if not ok then error(e, 0) end
end

-- The service's own start and end.

-- Folders of boxes that were not kept, or are destroyed.
function boxes:sweep()
  local used = {}
  for _, record in pairs(self.records) do used[folder_name(record)] = true end
  for _, name in ipairs(assert(serve.sys.list(self.dir))) do
    if not used[name] then self.spawner:remove(self.dir .. "/" .. name) end
  end
end

local function restore(self, record)
  tell(self, "prepare", record)
  if record.status ~= "running" and record.status ~= "suspended" then return end
  local ok, e = pcall(self.bring_up, self, record)
  if not ok then say(record, "did not start", e) end
end

-- Boxes that were up when the service ended come up again, from their files.
function boxes:restore()
  self:sweep()
  local list = self:list()
  boxd.map(list, function(record) restore(self, record) end, { limit = 8 })
end

-- The record of a box that has died by itself, by its handle; nil: it was ended.
function boxes:lose(handle)
  local id = self.by_handle[handle]
  if not id then return nil end
  self.by_handle[handle], self.live[id] = nil, nil
  self.ends:ended(handle)
  return self.records[id]
end

return boxes
