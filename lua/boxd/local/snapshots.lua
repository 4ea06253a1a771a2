-- Snapshots: what boxes were, under a name of its own, for others to be made
-- from. Saving a name again makes its next version, and the one before goes. A
-- version is pending while it is copied.
--
-- A snapshot's lock is only taken with no box's lock to come after it.

local boxd = require "boxd"
local box_request = require "boxd.local.box_request"
local captures = require "boxd.local.captures"
local ids = require "boxd.local.ids"
local locks = require "boxd.local.locks"
local log = require "boxd.local.log"
local status = require "boxd.local.status"

local fail = status.fail

local COUNT_MAX = 256

local snapshots = {}
snapshots.__index = snapshots

-- making: versions that are being copied, or could not be, by name.
function snapshots.new(service)
  return setmetatable({ service = service, locks = locks.new(), making = {},
    records = service.store:all "snapshots" }, snapshots)
end

local function by_name(self, name)
  for _, snapshot in pairs(self.records) do
    if snapshot.name == name then return snapshot end
  end
end

local function find_making(self, name)
  if self.making[name] then return self.making[name] end
  for _, version in pairs(self.making) do
    if version.id == name then return version end
  end
end

-- By a name or an id: the version that is ready, if any, and the one that is
-- not.
local function find(self, name)
  if not name then fail("INVALID_ARGUMENT", "the snapshot's name is missing") end
  local ready = by_name(self, name) or self.records[name]
  local making = find_making(self, name)
  if ready or making then return ready, making end
  fail("NOT_FOUND", "no snapshot '%s'", name)
end

-- The snapshot that a box can be made from.
function snapshots:usable(name)
  local ready, making = find(self, name)
  if making and making.status == "pending" then
    fail("FAILED_PRECONDITION", "snapshot '%s' is pending: wait until it is ready",
      name)
  elseif not ready then
    fail("FAILED_PRECONDITION", "snapshot '%s' has failed: save it again", name)
  end
  return ready
end

-- What of a box's record a box made from it starts with.
local function settings_of(box)
  local source = {}
  for k, v in pairs(box) do source[k] = v end
  for _, k in ipairs { "id", "n", "name", "folder", "source", "forked_from" } do
    source[k] = nil
  end
  return source
end

local function check_room(self, name)
  local n = 0
  for _ in pairs(self.records) do n = n + 1 end
  if n >= COUNT_MAX and not by_name(self, name) then
    fail("RESOURCE_EXHAUSTED", "%d snapshots are the limit here: delete one",
      COUNT_MAX)
  end
end

-- Keeps the files in a folder as a version of a name.
local function keep(self, version, box, folder, bytes)
  local store = self.service.store
  local fields = { folder = folder, size_bytes = bytes, version = version.version,
    updated_at = version.updated_at, record = settings_of(box) }
  local snapshot = self.records[version.id]
  if not snapshot then
    fields.id, fields.name, fields.use_count = version.id, version.name, 0
    fields.created_at = version.created_at
    store:put("snapshots", version.id, fields)
    return
  end
  local before = snapshot.folder
  store:update("snapshots", snapshot, fields)
  self.service.captures:drop(before)
end

-- With the locks of both, which end with it.
local function copy(self, version, box, box_lock, lock)
  local _box <close> = box_lock
  local _lock <close> = lock
  local _awaited <close> = self.service.boxes:await(box)
  local ok, e = pcall(self.service.captures.take, self.service.captures, box,
    function(folder, bytes) keep(self, version, box, folder, bytes) end)
  if ok then
    self.making[version.name] = nil
    return
  end
  local _, message = status.of(e)
  version.status, version.reason = "failed", message
  log("snapshot '%s' has failed: %s", version.name, message)
end

local function next_version(self, name)
  local before, now = by_name(self, name), captures.now()
  local version = { id = before and before.id or ids.new("snap-"), name = name,
    version = before and before.version + 1 or 1, status = "pending",
    created_at = before and before.created_at or now, updated_at = now }
  self.making[name] = version
  return version
end

-- Answers as the copy begins, which holds the box.
local function create(service, request)
  box_request.check_org(request.org)
  local self, name = service.snapshots, captures.check_name(request.name, "snap-")
  local box = service.boxes:find_vm(request)
  local box_lock <close> = service.boxes:lock_running(box)
  local lock <close> = self.locks:take(name)
  check_room(self, name)
  captures.say_files_only()
  local version = next_version(self, name)
  boxd.spawn(copy, self, version, box, box_lock:hand_over(), lock:hand_over())
  return { snapshot_id = version.id, name = name, version = version.version,
    status = "pending" }
end

-- What boxes:create makes a box from. fields: more for its record.
function snapshots:source(name, fields)
  local snapshot = self:usable(name)
  local all = { source = { kind = "snapshot", name = snapshot.name,
    version = snapshot.version, id = snapshot.id } }
  for k, v in pairs(fields or {}) do all[k] = v end
  return { record = snapshot.record, fields = all, copy = function(record)
    local _lock <close> = self.locks:take(snapshot.name)
    if self.records[snapshot.id] ~= snapshot then
      fail("NOT_FOUND", "no snapshot '%s'", name)
    end
    record.source.version = snapshot.version
    self.service.boxes:fill(record, self.service.captures:folder(snapshot))
    self.service.store:update("snapshots", snapshot,
      { use_count = snapshot.use_count + 1 })
  end }
end

local function info(ready, making)
  local failed = making and making.status == "failed" and making
  local s = failed and ready or making or ready
  local out = { snapshot_id = s.id, name = s.name, version = s.version,
    status = s.status or "ready", created_at = s.created_at,
    updated_at = s.updated_at, storage = "local" }
  if failed then
    out.failed_version, out.failure_reason = failed.version, failed.reason
  end
  if not ready then return out end
  out.size_bytes, out.use_count = ready.size_bytes, ready.use_count
  out.vcpu, out.memory_bytes = ready.record.vcpu, ready.record.memory_bytes
  return out
end

local function delete(service, request)
  box_request.check_org(request.org)
  local self = service.snapshots
  local ready, making = find(self, request.name)
  local name = (ready or making).name
  local _lock <close> = self.locks:take(name)
  ready, making = by_name(self, name), self.making[name]
  if not ready and not making then
    fail("NOT_FOUND", "no snapshot '%s'", request.name)
  end
  self.making[name] = nil
  if ready then service.captures:remove("snapshots", ready) end
  return {}
end

local function list(service, request)
  box_request.check_org(request.org)
  local self, out = service.snapshots, {}
  for i, s in ipairs(service.store:list "snapshots") do
    out[i] = info(s, self.making[s.name])
  end
  for _, version in pairs(self.making) do
    if not self.records[version.id] then out[#out + 1] = info(nil, version) end
  end
  return { snapshots = out }
end

snapshots.rpcs = {
  CreateSnapshot = create, DeleteSnapshot = delete, ListSnapshots = list,
  GetSnapshot = function(service, request)
    box_request.check_org(request.org)
    return { snapshot = info(find(service.snapshots, request.name)) }
  end,
}

return snapshots
