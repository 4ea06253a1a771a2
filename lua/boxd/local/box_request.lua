-- What a client asks of a new box, checked.

local ids = require "boxd.local.ids"
local labels = require "boxd.local.labels"
local limits = require "boxd.local.limits"
local status = require "boxd.local.status"
local system = require "boxd.local.system"

local fail = status.fail

local box_request = {}

local DEFAULT_IMAGE = "ubuntu:24.04"
local LIMITS = { vcpu = 64, memory = 1 << 40, disk = 1 << 44 }
local PROXIES_MAX = 32
-- What Linux takes for a new program: a string with its NUL, and all of them
-- with a pointer each, less some room for arguments.
local PAIR_MAX, ENV_MAX, ENV_COST = 128 << 10, (2 << 20) - (256 << 10), 9

box_request.DISKS_MAX = 64 -- as many as the sandbox of a box starts with

box_request.DEFAULT_IMAGE = DEFAULT_IMAGE

function box_request.check_name(name)
  if #name <= 63 and name:find "^[a-z][a-z0-9-]*$" and not name:find "%-$" then
    ids.check_name("vm-", name)
    return name
  end
  fail("INVALID_ARGUMENT", "'%s' is not a name of a box: 1 to 63 of a-z, 0-9 "
    .. "and '-', a letter first, no '-' at the end", name)
end

function box_request.check_image(image)
  if not image then return DEFAULT_IMAGE end
  if #image > 255 or not image:find "^%w[%w._/:@-]*$" then
    fail("INVALID_ARGUMENT", "'%s' is not an image reference, such as "
      .. "'ubuntu:24.04'", image)
  end
  system.say_other(image)
  return image
end

-- proto3 has no difference between 0 and nothing: the default. what: one of
-- LIMITS.
function box_request.check_size(what, value, default)
  local most = LIMITS[what]
  if not value or value == 0 then return default end
  if value < 0 or value > most then
    fail("INVALID_ARGUMENT", "%s is beyond the limit of %d", what, most)
  end
  return value
end

local function check_policy(policy)
  if not policy then return "always" end
  if policy ~= "always" and policy ~= "never" then
    fail("INVALID_ARGUMENT", "restart_policy is 'always' or 'never', not '%s'",
      policy)
  end
  return policy
end

-- One that a program can be started with.
function box_request.check_env_pair(name, value)
  if #name + #value + 2 <= PAIR_MAX then return end
  fail("INVALID_ARGUMENT", "the environment variable %s is too long: a program "
    .. "can have %d bytes in one", name, PAIR_MAX - 2)
end

function box_request.check_env_name(name)
  if name and name:find "^BOXD_" then
    fail("INVALID_ARGUMENT", "%s: names that begin with BOXD_ are reserved", name)
  end
  if name and #name <= 255 and name:find "^[%a_][%w_]*$" then return name end
  fail("INVALID_ARGUMENT", "'%s' is not a name of an environment variable",
    name or "")
end

local function check_env(env)
  for _, v in ipairs(env or {}) do
    box_request.check_env_name(v.key)
    box_request.check_env_pair(v.key, v.value or "")
  end
  return env
end

-- Refuses an environment, pairs of "NAME=value", that no program could be
-- started with.
function box_request.check_env_total(env, more)
  local total = more or 0
  for _, pair in ipairs(env) do total = total + #pair + ENV_COST end
  if total > ENV_MAX then
    fail("INVALID_ARGUMENT", "a box would have an environment of %d bytes, with "
      .. "the variables of its scopes: a program can have %d", total, ENV_MAX)
  end
end

-- What one pair costs of that.
function box_request.env_cost(name, value)
  return #name + 1 + #value + ENV_COST
end

-- A proxy's name; that of the default one is empty.
function box_request.check_proxy_name(name)
  if #name > 63 or not name:find "^[a-z0-9][a-z0-9-]*$" then
    fail("INVALID_ARGUMENT", "'%s' is not a name of a proxy: 1 to 63 of a-z, 0-9 "
      .. "and '-'", name)
  end
  return name
end

-- 0: found by what listens in the box.
function box_request.check_port(port)
  if port < 0 or port > 65535 then
    fail("INVALID_ARGUMENT", "%d is not a port: give 1 to 65535, or 0 to have it "
      .. "found", port)
  end
  return port
end

local function check_proxies(entries)
  local out, seen = { { name = "", port = 0 } }, { [""] = 1 }
  for _, entry in ipairs(entries or {}) do
    local name = entry.name and box_request.check_proxy_name(entry.name) or ""
    local port = box_request.check_port(entry.port or 0)
    if name == "" then
      out[1].port = port
    elseif seen[name] then
      fail("ALREADY_EXISTS", "there are two proxies named '%s'", name)
    else
      seen[name] = #out + 1
      out[seen[name]] = { name = name, port = port }
    end
  end
  if #out > PROXIES_MAX then
    fail("RESOURCE_EXHAUSTED", "%d proxies a box are the limit here",
      PROXIES_MAX)
  end
  return out
end

box_request.PROXIES_MAX = PROXIES_MAX

-- A mount path as disks have it: written in one way only.
function box_request.check_mount_path(path)
  path = (path or ""):gsub("/+", "/"):gsub("(.)/$", "%1")
  if not path:find "^/." or ("/" .. path .. "/"):find "/%.%.?/" then
    fail("INVALID_ARGUMENT", "mount_path is an absolute path, not '%s'", path)
  end
  return path
end

local function check_volumes(volumes)
  local seen = {}
  for _, v in ipairs(volumes or {}) do
    if not v.disk_id then fail("INVALID_ARGUMENT", "disk_id is missing") end
    local path = box_request.check_mount_path(v.mount_path)
    v.mount_path = path
    if seen[path] or seen[v.disk_id] then
      fail("INVALID_ARGUMENT", "a disk and a mount path can be in volumes only "
        .. "once: see %s", path)
    end
    seen[path], seen[v.disk_id] = true, true
  end
  if #(volumes or {}) > box_request.DISKS_MAX then
    fail("RESOURCE_EXHAUSTED", "%d disks a box are the limit here",
      box_request.DISKS_MAX)
  end
  return volumes or {}
end

-- There is one user here, without organisations and teams; "local" is
-- where that user's boxes are, as GetVm has it for shared ones.
function box_request.check_org(org)
  if org and org ~= box_request.ORG then
    fail("UNIMPLEMENTED", "org '%s': the embedded service has one user and no "
      .. "organisations; leave org out", org)
  end
end

box_request.ORG = "local"

local function check_context(request)
  box_request.check_org(request.org)
  if request.team then
    fail("UNIMPLEMENTED", "team '%s': the embedded service has one user and no "
      .. "teams; leave team out", request.team)
  end
end

local NETWORKS_MAX = 16

-- The complete set of a box's networks, each once.
function box_request.check_networks(networks)
  local out, seen = {}, {}
  for _, name in ipairs(networks or {}) do
    if #name > 63 or not name:find "^[a-z0-9][a-z0-9-]*$" then
      fail("INVALID_ARGUMENT", "'%s' is not a name of a network: 1 to 63 of a-z, "
        .. "0-9 and '-'", name)
    end
    if not seen[name] then out[#out + 1] = name end
    seen[name] = true
  end
  if #out > NETWORKS_MAX then
    fail("INVALID_ARGUMENT", "%d networks a box are the limit here",
      NETWORKS_MAX)
  end
  return out
end

-- What a box is beside its size and what runs in it; a fork has it of its
-- source where the request says nothing.
local function add_settings(fields, request, config, source)
  local networks = box_request.check_networks(request.networks)
  local ignore = config.idle_ignore_outbound
  if ignore == nil then ignore = source.idle_ignore_outbound end
  fields.labels = labels.merged(source.labels, request.labels)
  fields.networks = #networks > 0 and networks or source.networks or {}
  fields.isolated = request.isolated or source.isolated or false
  fields.shared = request.shared or false
  fields.egress_allow = source.egress_allow or {}
  fields.bot_protection = source.bot_protection or "off"
  fields.idle_ignore_outbound = ignore or false
  fields.delete_after = source.delete_after
  fields.delete_cron = source.delete_cron
  fields.auto_hibernate = source.auto_hibernate or 0
  return fields
end

-- vCPUs, memory and disk, as the request, the source or nobody has them.
local function sizes(config, source, quotas)
  local vcpu, memory = quotas:size(config.vcpu, config.memory_bytes)
  return box_request.check_size("vcpu", vcpu, source.vcpu or limits.VCPU),
    box_request.check_size("memory", memory,
      source.memory_bytes or limits.MEMORY),
    box_request.check_size("disk", quotas:disk(config.disk_bytes),
      source.disk_bytes or limits.DISK)
end

-- The fields of a record that a CreateVmRequest or ForkVmRequest gives, and the
-- volumes that are to be attached. quotas: the service's limits; source: the record
-- that is forked.
function box_request.fields(request, quotas, source)
  local config = request.config or {}
  local srf = config.srf or {}
  source = source or {}
  check_context(request)
  local vcpu, memory, disk = sizes(config, source, quotas)
  return add_settings({
    name = request.name and box_request.check_name(request.name),
    image = source.image or box_request.check_image(request.image_ref),
    vcpu = vcpu, memory_bytes = memory, disk_bytes = disk,
    auto_suspend = srf.auto_suspend_timeout_secs or source.auto_suspend or 0,
    auto_destroy = srf.auto_destroy_timeout_secs or 0,
    env = source.env or check_env(request.env),
    cmd = source.cmd or request.cmd,
    restart_policy = source.restart_policy
      or check_policy(request.restart_policy),
    proxies = check_proxies((config.network or {}).proxies),
  }, request, config, source), check_volumes(config.volumes)
end

return box_request
