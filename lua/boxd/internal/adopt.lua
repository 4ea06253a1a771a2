-- c.box:ensure with a box that is there: labels, timers and its end are set, and
-- every other option that differs is listed.

local core = require "boxd.core"
local boxd = require "boxd"
local check = require "boxd.internal.check"
local kinds = require "boxd.internal.kinds"
local resource = require "boxd.internal.resource"
local spec = require "boxd.spec"
core.internal()

local adopt = {}

local TEXTS = { "image", "org", "team", "delete_after_cron" }
local SWITCHES = { "shared", "isolated" }
local SECONDS = { "auto_suspend_timeout", "auto_hibernate_timeout",
  "auto_destroy_timeout", "delete_after" }

--- Checks options, as create does for a box that it makes.
function adopt.check(opts)
  for _, name in ipairs(TEXTS) do check.field("ensure", opts, name, "string") end
  for _, name in ipairs(SWITCHES) do
    check.field("ensure", opts, name, "boolean")
  end
  for _, name in ipairs(SECONDS) do check.integer("ensure", opts, name, 0) end
  if opts.labels ~= nil then kinds.map("ensure: labels", opts.labels) end
  if opts.networks ~= nil then kinds.texts("ensure: networks", opts.networks) end
  if opts.config ~= nil then boxd.BoxConfig(opts.config) end
  if opts.spec ~= nil then spec.spec(opts.spec) end
  if opts.delete_after ~= nil and opts.delete_after_cron ~= nil then
    check.invalid("ensure: delete_after and delete_after_cron exclude each other")
  end
end

-- The labels that are asked for, of the spec too.
local function labels_of(opts)
  local out = {}
  for _, map in ipairs { opts.spec and spec.spec(opts.spec).labels or {},
    opts.labels or {} } do
    for key, v in pairs(map) do out[key] = v end
  end
  return out
end

local function settle_labels(box, opts, o)
  local have, missing = box.labels or {}, {}
  for key, v in pairs(labels_of(opts)) do
    if have[key] ~= v then missing[key] = v end
  end
  if next(missing) then box:set_labels(missing, { timeout = o.timeout }) end
end

local function settle_end(box, opts, o)
  local seconds, cron = opts.delete_after, opts.delete_after_cron
  if seconds and (seconds > 0 or box.delete_at) then
    box:set_delete_after(seconds, { timeout = o.timeout })
  elseif cron and cron ~= box.delete_after_cron then
    box:set_delete_after({ cron = cron }, { timeout = o.timeout })
  end
end

--- Sets labels, idle timers and the end of a box.
function adopt.settle(box, opts, left)
  local config, o = opts.config or {}, resource.within({}, left)
  local timers = config.lifecycle or {}
  settle_labels(box, opts, o)
  for _, name in ipairs { "auto_suspend_timeout", "auto_hibernate_timeout" } do
    local want = opts[name] or timers[name]
    if want and (box[name .. "_secs"] or 0) ~= want then
      box["set_" .. name](box, want, { timeout = o.timeout })
    end
  end
  local ignore = config.idle_ignore_outbound
  if ignore ~= nil and (box.idle_ignore_outbound or false) ~= ignore then
    box:set_idle_ignore_outbound(ignore, { timeout = o.timeout })
  end
  settle_end(box, opts, o)
end

-- A list's values as the keys of a table.
local function set_of(list)
  local out = {}
  for _, v in ipairs(list or {}) do out[v] = true end
  return out
end

-- The comparisons: each is a function(add, box, opts, o) that calls
-- add(field, want, have) for a difference.

local function same(want, have)
  return type(want) == type(have) and spec.same(want, have)
end

-- Options that are fields of a box; have is nil where the service does not say.
local function compare_fields(add, box, opts)
  local config = opts.config or {}
  local function size(name)
    return config[name] and check.size("ensure: " .. name, config[name])
  end
  for field, want in pairs {
    image = opts.image, vcpu = config.vcpu, memory_bytes = size "memory",
    disk_bytes = size "disk", restart_policy = config.restart_policy,
    isolated = opts.isolated,
    auto_destroy_timeout_secs = opts.auto_destroy_timeout
      or config.lifecycle and config.lifecycle.auto_destroy_timeout,
  } do
    local have = box[field]
    if have == nil and want == 0 then have = 0 end -- none
    if want ~= have then add(field, want, have) end
  end
  if opts.networks and not same(set_of(opts.networks), set_of(box.networks)) then
    add("networks", opts.networks, box.networks)
  end
end

-- Options on its owner and its origin.
local function compare_origin(add, box, opts)
  local shared = box.org ~= nil
  if opts.shared ~= nil and opts.shared ~= shared then
    add("shared", opts.shared, shared)
  end
  local orgs = { box.org or box.billing_org, box.org_id, box.billing_org,
    box.billing_org_id }
  if opts.org and not set_of(orgs)[opts.org] then add("org", opts.org, orgs[1]) end
  local first = box.created_spec or box.spec or {}
  local team = first.base and first.base.team
  if opts.team and opts.team ~= team then add("team", opts.team, team) end
  local snapshot, source = opts.from_snapshot, box.source_info
  if snapshot == nil then return end
  local is_object = core.type(snapshot) == "Snapshot"
  local id = is_object and snapshot.id or snapshot
  if not source or source.kind ~= "snapshot"
    or id ~= source.id and id ~= source.name
    or is_object and (snapshot.version or 0) ~= (source.version or 0) then
    add("from_snapshot", snapshot, source)
  end
end

local function compare_spec(add, box, opts)
  if opts.spec == nil then return end
  local have = box.spec or {}
  for name, want in pairs(spec.spec(opts.spec)) do
    local found = have[name]
    if name ~= "labels" and not (name == "version" and not opts.spec.version)
      and not same(want, found) then
      add("spec." .. name, want, found)
    end
  end
end

-- No service says these of a box, but for the variables of a spec.
local function compare_command(add, box, opts)
  local config = opts.config or {}
  local env = box.spec and box.spec.env
  if config.env and next(config.env) and not same(config.env, env) then
    add("env", config.env, env)
  end
  if config.cmd then add("cmd", config.cmd) end
  if config.network and config.network.ssh ~= nil then
    add("ssh", config.network.ssh)
  end
end

-- One ListProxies, where there are to be some.
local function compare_proxies(add, box, opts, o)
  local want = opts.config and opts.config.network
    and opts.config.network.proxies or {}
  if #want == 0 then return end
  local have, missing = {}, false
  for _, proxy in ipairs(box:proxies { timeout = o.timeout }) do
    have[#have + 1] = { name = proxy.name, port = proxy.port }
  end
  for _, proxy in ipairs(want) do
    local found = false
    for _, one in ipairs(have) do
      found = found or one.name == proxy.name and one.port == (proxy.port or 0)
    end
    missing = missing or not found
  end
  if missing then add("proxies", want, have) end
end

-- The disks of a box, as volumes of a config have them.
local function mounts_of(box, o)
  local list, names = {}, {}
  for _, disk in ipairs(core.compute(box).disk:list { timeout = o.timeout }) do
    for _, one in ipairs(disk.attachments or {}) do
      if one.vm_id == box.id then
        list[#list + 1] = { disk_id = disk.id, mount_path = one.mount_path,
          read_only = one.mount_mode == "ro" }
        names[#list] = disk.name
      end
    end
  end
  return list, names
end

-- One ListDisks, where there are to be some. A disk may be named.
local function compare_volumes(add, box, opts, o)
  local want = opts.config and opts.config.volumes or {}
  if #want == 0 then return end
  local have, names = mounts_of(box, o)
  local function is_there(volume)
    for i, one in ipairs(have) do
      if (volume.disk_id == one.disk_id or volume.disk_id == names[i])
        and volume.mount_path == one.mount_path
        and (volume.read_only or false) == one.read_only then
        return true
      end
    end
    return false
  end
  for _, volume in ipairs(want) do
    if not is_there(volume) then return add("volumes", want, have) end
  end
end

--- The differences from the options that a box keeps: a list of
--- { field, want, have }, sorted by field; have is nil where the service does not
--- say.
function adopt.differences(box, opts, left)
  local list, o = boxd.json.array {}, resource.within({}, left)
  local function add(field, want, have)
    list[#list + 1] = { field = field, want = want, have = have }
  end
  for _, compare in ipairs { compare_fields, compare_origin, compare_spec,
    compare_command, compare_proxies, compare_volumes } do
    compare(add, box, opts, o)
  end
  table.sort(list, function(a, b) return a.field < b.field end)
  return list
end

return adopt
