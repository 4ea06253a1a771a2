-- Boxes made from machine specs. A record's `spec` is the current one,
-- `created_spec` the original. Fields that can be changed by RPCs of its
-- own (labels, networks, egress, size) counts as the box's record has it.

local box_request = require "boxd.local.box_request"
local machine_spec = require "boxd.local.machine_spec"
local packages = require "boxd.local.packages"
local settings = require "boxd.local.settings"
local status = require "boxd.local.status"
local store = require "boxd.local.store"

local fail, NONE = status.fail, store.NONE

local specs = {}
specs.__index = specs

function specs.new(service)
  return setmetatable({ service = service }, specs)
end

-- The spec of a record as it stands; nil: it has none.
local function current(record)
  if not record.spec then return nil end
  local spec = {}
  for k, v in pairs(record.spec) do spec[k] = v end
  spec.labels, spec.networks = record.labels, record.networks
  spec.egress, spec.isolated = record.egress_allow, record.isolated
  if spec.size then
    spec.size = machine_spec.size_text(record.vcpu, record.memory_bytes)
  end
  return machine_spec.compact(spec)
end

local NO_INTEGRATION = "the embedded service has no integrations and no agent "
  .. "logins"

local function requirements(spec)
  local out = {}
  for name, scope in pairs(spec.connections or {}) do
    local tag = scope:match "^shared:(.*)$"
    out[#out + 1] = { kind = "connection", name = name, tag = tag,
      scope = tag and "shared" or "personal", reason = NO_INTEGRATION }
  end
  for _, name in ipairs(spec.agents or {}) do
    out[#out + 1] = { kind = "agent", name = name, scope = "personal",
      reason = NO_INTEGRATION }
  end
  table.sort(out, function(a, b) return a.name < b.name end)
  return out
end

function specs:show(record, out) -- luacheck: ignore self
  local spec = current(record)
  if not spec then return end
  out.spec = machine_spec.to_message(spec)
  out.requirements = requirements(spec)
  if record.created_spec then
    out.created_spec = machine_spec.to_message(record.created_spec)
  end
end

-- Making.

-- A box's own environment: that of a spec over the existing one.
local function env_list(spec, before)
  local out = {}
  for _, v in ipairs(before or {}) do
    if not (spec.env or {})[v.key] then out[#out + 1] = v end
  end
  local names = {}
  for name in pairs(spec.env or {}) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    out[#out + 1] = { key = name, value = spec.env[name] }
  end
  return out
end

local function check_alone(request)
  local config = request.config or {}
  local covered = { image_ref = request.image_ref,
    env = (request.env or {})[1], networks = (request.networks or {})[1],
    labels = next(request.labels or {}),
    isolated = request.isolated or nil,
    vcpu = config.vcpu ~= 0 and config.vcpu or nil,
    memory_bytes = config.memory_bytes ~= 0 and config.memory_bytes or nil }
  local name = next(covered)
  if name then
    fail("INVALID_ARGUMENT", "%s can't stand beside a spec: put it in the spec",
      name)
  end
end

-- The request as it is without its spec.
local function plain(request, spec)
  local out, config = {}, {}
  for k, v in pairs(request) do out[k] = v end
  for k, v in pairs(request.config or {}) do config[k] = v end
  if spec.size then config.vcpu, config.memory_bytes
    = machine_spec.size(spec.size) end
  out.config, out.spec = config, nil
  out.labels, out.networks = spec.labels, spec.networks
  out.isolated = spec.isolated
  return out
end

local function fields_of(spec, states, env)
  local created = machine_spec.compact(spec)
  settings.say_unheld(spec.egress)
  return { spec = spec, created_spec = created, packages = states,
    env = env, egress_allow = spec.egress or {} }
end

-- With size classes, a restored box keeps the size in its snapshot.
local function check_same_size(service, config, record)
  local vcpu, memory = service.limits:size(config.vcpu, config.memory_bytes)
  if not service.limits.classes or (vcpu or 0) == 0
    or vcpu == record.vcpu and memory == record.memory_bytes then
    return
  end
  fail("INVALID_ARGUMENT", "a snapshot's box has its size, %s",
    machine_spec.size_text(record.vcpu, record.memory_bytes))
end

-- From a snapshot, with a spec or without: its own counts below.
local function restored(service, request, name, spec)
  local record = service.snapshots:usable(name).record
  check_same_size(service, request.config or {}, record)
  local below = current(record)
  if below then below.assignTo, below.base = nil, nil end
  if not below and not spec then
    return request, service.snapshots:source(name)
  end
  if spec and spec.size then
    local own = machine_spec.size_text(record.vcpu, record.memory_bytes)
    if spec.size ~= own then
      fail("INVALID_ARGUMENT", "spec.size: %s: the snapshot's is %s", spec.size,
        own)
    end
  end
  local merged = machine_spec.merge(below or { labels = record.labels,
    networks = record.networks, egress = record.egress_allow }, spec or {})
  local fields = fields_of(merged, packages.inherited(merged.packages,
    record.packages), env_list(merged, record.env))
  if spec then request = plain(request, merged) end
  return request, service.snapshots:source(name, fields)
end

-- What a CreateVmRequest's spec makes of it: the request without it, and what
-- boxes:create makes the box from.
function specs:expand(request)
  if not request.spec then return request end
  check_alone(request)
  local spec = machine_spec.of_message(request.spec)
  if spec.base then
    return restored(self.service, request, spec.base.snapshot, spec)
  end
  return plain(request, spec), { fields = fields_of(spec,
    packages.states(spec.packages), env_list(spec)) }
end

-- The same of a CreateVmFromSnapshotRequest.
function specs:restore(request)
  if request.spec then check_alone(request) end
  local spec = request.spec and machine_spec.of_message(request.spec)
  if spec and spec.base and spec.base.snapshot ~= request.snapshot then
    fail("INVALID_ARGUMENT", "spec.base: it is not the snapshot asked for")
  end
  return restored(self.service, request, request.snapshot, spec)
end

-- What a fork has of its source.
function specs.forked(source)
  local spec = current(source)
  if not spec then return nil end
  spec.assignTo = nil
  return fields_of(spec, packages.inherited(spec.packages, source.packages,
    "a fork runs no packages"), source.env)
end

-- Updating.

local APPLY = { env = "reboot_recommended", secrets = "reboot_recommended",
  size = "reboot", base = "refused", isolated = "refused",
  assignTo = "refused", version = "refused" }

local NOTES = {
  live = "in force at once",
  reboot_recommended = "new commands have it; what runs keeps what it had",
  reboot = "the box is rebooted",
  refused = "it can't change after the box was made",
}

local function apply_of(record, field)
  local how = APPLY[field] or "live"
  local up = record.status == "running"
  if field == "size" and not up then
    return (record.status == "suspended" or record.status == "hibernated")
      and "refused" or "live"
  elseif field == "packages" and record.source
    and record.source.kind == "fork" then
    return "refused"
  end
  return how
end

-- Adds the effects to a change of packages.
local function describe_packages(change, before, after)
  local known = {}
  for _, entry in ipairs(before or {}) do known[entry.command] = entry.state end
  change.skipped, change.unskipped, change.warnings = {}, {}, {}
  for _, entry in ipairs(after) do
    local was = known[entry.command]
    if entry.state == "skipped" and was ~= "skipped" then
      table.insert(change.skipped, entry.command)
    elseif entry.state ~= "skipped" and was == "skipped" then
      table.insert(change.unskipped, entry.command)
    end
  end
  for _, command in ipairs(change.removed) do
    if known[command] == "running" then
      change.apply, change.note = "refused", "it runs now: wait for its end"
    elseif known[command] == "done" then
      table.insert(change.warnings, command .. ": its effects stay")
    end
  end
end

local function differences(record, before, after)
  local changes, of_packages = {}, nil
  for _, field in ipairs(machine_spec.FIELDS) do
    local change = machine_spec.difference(field, before[field], after[field])
    if change then
      change.apply = apply_of(record, field)
      change.note = NOTES[change.apply]
      changes[#changes + 1] = change
      if field == "packages" then of_packages = change end
    end
  end
  return changes, of_packages
end

-- The list of changes, with the effects on packages.
local function plan(record, before, after, retry)
  local changes, of_packages = differences(record, before, after)
  local states, again = packages.states(after.packages, record.packages), {}
  if of_packages then
    describe_packages(of_packages, record.packages, states)
  end
  if retry then states, again = packages.retried(states) end
  if of_packages then
    of_packages.changed = again
  elseif #again > 0 then
    changes[#changes + 1] = { field = "packages", changed = again,
      apply = apply_of(record, "packages"), note = "they run again" }
  end
  return changes, states
end

local function any(changes, value, key)
  for _, change in ipairs(changes) do
    if change[key or "apply"] == value then return change end
  end
end

local function check_plan(changes, request)
  local refused = any(changes, "refused")
  if refused then
    fail("FAILED_PRECONDITION", "spec.%s: %s; nothing was changed",
      refused.field, refused.note)
  elseif any(changes, "reboot") and not request.reboot then
    fail("FAILED_PRECONDITION", "spec.size: the box must be rebooted for it: "
      .. "allow it by reboot; nothing was changed")
  end
end

local function record_changes(service, record, after, states)
  local changes = { spec = after, labels = after.labels or {},
    networks = after.networks or {}, egress_allow = after.egress or {},
    packages = states }
  local kept = {}
  for _, v in ipairs(record.env or {}) do
    if not (record.spec.env or {})[v.key] then kept[#kept + 1] = v end
  end
  changes.env = env_list(after, kept)
  if #changes.env == 0 then changes.env = NONE end
  if after.size then
    changes.vcpu, changes.memory_bytes
      = service.limits:size(machine_spec.size(after.size))
  end
  return changes
end

local function apply(service, record, after, changes, states)
  if #changes == 0 then return false end
  if any(changes, "egress", "field") then settings.say_unheld(after.egress) end
  local changed = record_changes(service, record, after, states)
  local env = changed.env ~= NONE and changed.env or {}
  box_request.check_env_total(service.boxes:env(setmetatable(
    { env = env, spec = after }, { __index = record })))
  service.boxes:change(record, changed)
  local reboots = any(changes, "reboot") ~= nil
  if reboots then service.boxes:restart(record) end
  service.packages:look(record)
  return reboots
end

local function update(service, request)
  local record = service.boxes:find_vm(request)
  local _lock <close> = service.boxes:lock(record)
  local before = current(record)
  if not before then
    fail("FAILED_PRECONDITION", "box '%s' wasn't made from a spec: it has none "
      .. "to update", record.name)
  end
  if request.expected_spec and not machine_spec.equal(before,
    machine_spec.decode("expected_spec", request.expected_spec)) then
    fail("ABORTED", "the spec of box '%s' has changed: read it again",
      record.name)
  end
  local after = machine_spec.patched(before, request.patch or "{}")
  local changes, states = plan(record, before, after, request.retry_packages)
  local rebooted = false
  if not request.dry_run then
    check_plan(changes, request)
    rebooted = apply(service, record, after, changes, states)
  end
  return { changes = changes, spec = machine_spec.to_message(after),
    applied = not request.dry_run, rebooted = rebooted,
    reboot_required = any(changes, "reboot") ~= nil,
    reboot_recommended = any(changes, "reboot_recommended") ~= nil }
end

specs.rpcs = { UpdateMachineSpec = update }

return specs
