-- Snapshots: what boxes were, under a name of its own, for others to be made
-- from. Saving a name again makes its next version, and the one before goes.
--
-- A snapshot's lock is only taken with no box's lock to come after it.

local box_request = require "boxd.local.box_request"
local captures = require "boxd.local.captures"
local ids = require "boxd.local.ids"
local locks = require "boxd.local.locks"
local status = require "boxd.local.status"

local fail = status.fail

local COUNT_MAX = 256

local snapshots = {}
snapshots.__index = snapshots

function snapshots.new(service)
  return setmetatable({ service = service, locks = locks.new(),
    records = service.store:all "snapshots" }, snapshots)
end

local function by_name(self, name)
  for _, snapshot in pairs(self.records) do
    if snapshot.name == name then return snapshot end
  end
end

-- By a name or an id.
function snapshots:find(name)
  if not name then fail("INVALID_ARGUMENT", "the snapshot's name is missing") end
  local found = by_name(self, name) or self.records[name]
  if found then return found end
  fail("NOT_FOUND", "no snapshot '%s'", name)
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

-- Keeps the files in a folder as the next version of a name.
local function keep(self, name, box, folder, bytes)
  local store, now = self.service.store, captures.now()
  local fields = { folder = folder, size_bytes = bytes, updated_at = now,
    record = settings_of(box) }
  local snapshot = by_name(self, name)
  if not snapshot then
    snapshot = { id = ids.new("snap-"), name = name, version = 1,
      created_at = now, use_count = 0 }
    for k, v in pairs(fields) do snapshot[k] = v end
    store:put("snapshots", snapshot.id, snapshot)
    return snapshot
  end
  local before = snapshot.folder
  fields.version = snapshot.version + 1
  store:update("snapshots", snapshot, fields)
  self.service.captures:drop(before)
  return snapshot
end

local function create(service, request)
  box_request.check_org(request.org)
  local self, name = service.snapshots, captures.check_name(request.name, "snap-")
  local box = service.boxes:find_vm(request)
  local _box <close> = service.boxes:lock(box)
  local _lock <close> = self.locks:take(name)
  check_room(self, name)
  local snapshot = service.captures:take(box, function(folder, bytes)
    return keep(self, name, box, folder, bytes)
  end)
  return { snapshot_id = snapshot.id, name = name, version = snapshot.version,
    status = "ready" }
end

-- What boxes:create makes a box from. fields: more for its record.
function snapshots:source(name, fields)
  local snapshot = self:find(name)
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

local function info(s)
  return { snapshot_id = s.id, name = s.name, version = s.version,
    status = "ready", size_bytes = s.size_bytes, created_at = s.created_at,
    updated_at = s.updated_at, vcpu = s.record.vcpu, use_count = s.use_count,
    memory_bytes = s.record.memory_bytes, storage = "local" }
end

local function delete(service, request)
  box_request.check_org(request.org)
  local self = service.snapshots
  local snapshot = self:find(request.name)
  local _lock <close> = self.locks:take(snapshot.name)
  if self.records[snapshot.id] ~= snapshot then
    fail("NOT_FOUND", "no snapshot '%s'", request.name)
  end
  service.captures:remove("snapshots", snapshot)
  return {}
end

snapshots.rpcs = {
  CreateSnapshot = create, DeleteSnapshot = delete,
  GetSnapshot = function(service, request)
    box_request.check_org(request.org)
    return { snapshot = info(service.snapshots:find(request.name)) }
  end,
  ListSnapshots = function(service, request)
    box_request.check_org(request.org)
    local out = {}
    for i, s in ipairs(service.store:list "snapshots") do out[i] = info(s) end
    return { snapshots = out }
  end,
}

return snapshots
