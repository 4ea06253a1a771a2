-- Machine specs as values: checked, merged, patched and compared. A spec is a
-- table with the keys of FIELDS, empty ones left out; nothing here knows boxes.

local account = require "boxd.local.account"
local boxd = require "boxd"
local box_request = require "boxd.local.box_request"
local labels = require "boxd.local.labels"
local settings = require "boxd.local.settings"
local status = require "boxd.local.status"

local fail = status.fail

local machine_spec = {}

local VERSION = 1
local GIB = 1 << 30
local PACKAGES_MAX, PACKAGE_MAX = 50, 4096

-- In the order clients show them; the names are those of JSON.
local FIELDS = { "version", "base", "size", "assignTo", "labels", "networks",
  "isolated", "egress", "env", "secrets", "connections", "agents", "packages" }
local KINDS = { version = "number", base = "map", size = "string",
  assignTo = "string", labels = "map", networks = "list", isolated = "boolean",
  egress = "list", env = "map", secrets = "list", connections = "map",
  agents = "list", packages = "list" }

machine_spec.FIELDS, machine_spec.KINDS = FIELDS, KINDS

local function bad(field, fmt, ...)
  fail("INVALID_ARGUMENT", "spec.%s: " .. fmt, field, ...)
end

local function is_empty(v)
  return v == nil or v == "" or v == false or v == 0
    or type(v) == "table" and next(v) == nil
end

local function copy(v)
  if type(v) ~= "table" then return v end
  local out = {}
  for k, x in pairs(v) do out[k] = x end
  return out
end

-- The stored form: empty fields left out, values copied.
function machine_spec.compact(spec)
  local out = {}
  for _, field in ipairs(FIELDS) do
    if not is_empty(spec[field]) then out[field] = copy(spec[field]) end
  end
  out.version = out.version or VERSION
  return out
end

-- Between a request's message and a spec.

function machine_spec.of_message(message)
  local spec = copy(message)
  spec.assignTo, spec.assign_to = message.assign_to, nil
  return machine_spec.check(spec)
end

function machine_spec.to_message(spec)
  local message = copy(spec)
  message.assign_to, message.assignTo = spec.assignTo, nil
  return message
end

-- Checking.

-- vCPUs and bytes of "2x8".
function machine_spec.size(text)
  local vcpu, gib = text:match "^%s*0*(%d+)%s*[xX]%s*0*(%d+)%s*$"
  if not vcpu or #vcpu > 4 or #gib > 6 then
    bad("size", "'%s' is not a size, such as '2x8' for 2 vCPUs and 8 GiB", text)
  end
  vcpu, gib = math.tointeger(vcpu), math.tointeger(gib)
  if vcpu == 0 or gib == 0 then bad("size", "'%s' has a zero", text) end
  return box_request.check_size("vcpu", vcpu),
    box_request.check_size("memory", gib * GIB)
end

function machine_spec.size_text(vcpu, bytes)
  return ("%dx%d"):format(vcpu, bytes // GIB)
end

local function check_kind(field, value)
  local kind = KINDS[field]
  if kind == "map" or kind == "list" then
    if type(value) ~= "table" then bad(field, "it is a %s", kind) end
    for k, v in pairs(value) do
      if type(v) ~= "string" or math.type(k) ~= (kind == "list" and "integer"
        or nil) then
        bad(field, "it is a %s of texts", kind)
      end
    end
  elseif type(value) ~= kind then
    bad(field, "it is a %s", kind)
  end
end

local function check_base(base)
  if base.team then
    fail("UNIMPLEMENTED", "spec.base: the embedded service has no teams: give "
      .. "a snapshot")
  elseif not base.snapshot or next(base, next(base)) then
    bad("base", "give one of team and snapshot")
  end
end

local function check_env(spec)
  for name, value in pairs(spec.env or {}) do
    if not name:find "^[%a_][%w_]*$" then
      bad("env", "'%s' is not a name of an environment variable", name)
    elseif name:find "^BOXD_" then
      bad("env", "%s: names that begin with BOXD_ are reserved", name)
    end
    box_request.check_env_pair(name, value)
  end
  for _, name in ipairs(spec.secrets or {}) do
    if not name:find "^[%a_][%w_]*$" then
      bad("secrets", "'%s' is not a name of a secret", name)
    elseif (spec.env or {})[name] then
      bad("secrets", "'%s' is also in env: a name is a plain value or a "
        .. "secret, not both", name)
    end
  end
end

local function check_packages(packages)
  if #packages > PACKAGES_MAX then
    bad("packages", "%d commands are the limit", PACKAGES_MAX)
  end
  for _, command in ipairs(packages) do
    if #command > PACKAGE_MAX then
      bad("packages", "a command has at most %d bytes", PACKAGE_MAX)
    end
  end
end

local function check_connections(connections)
  for name, scope in pairs(connections) do
    if scope ~= "personal" and not scope:find "^shared:." then
      bad("connections", "%s is 'personal' or 'shared:TAG', not '%s'", name,
        scope)
    end
  end
end

-- A list without duplicates.
local function once(list)
  local out, seen = {}, {}
  for _, v in ipairs(list) do
    if not seen[v] then out[#out + 1] = v end
    seen[v] = true
  end
  return out
end

-- The spec in its stored form; raises for one that can't be.
function machine_spec.check(spec)
  for field, value in pairs(spec) do
    if not KINDS[field] then
      bad(field, "unknown field; a spec has %s", table.concat(FIELDS, ", "))
    end
    check_kind(field, value)
    if KINDS[field] == "list" then spec[field] = once(value) end
  end
  spec = machine_spec.compact(spec)
  if spec.version ~= VERSION then
    bad("version", "%s is not known here, only %d", spec.version, VERSION)
  end
  if spec.base then check_base(spec.base) end
  if spec.size then
    spec.size = machine_spec.size_text(machine_spec.size(spec.size))
  end
  if spec.assignTo and spec.assignTo ~= account.USER then
    bad("assignTo", "no user '%s': the embedded service has '%s' only",
      spec.assignTo, account.USER)
  end
  if spec.labels then labels.merged(nil, spec.labels) end
  if spec.networks then box_request.check_networks(spec.networks) end
  if spec.egress then spec.egress = settings.check_egress(spec.egress) end
  check_env(spec)
  check_connections(spec.connections or {})
  check_packages(spec.packages or {})
  return spec
end

-- Merging.

-- `over` on top of `base`: maps merge, lists join, isolation only turns on.
function machine_spec.merge(base, over)
  local out = machine_spec.compact(base)
  for _, field in ipairs(FIELDS) do
    local kind, a, b = KINDS[field], out[field], over[field]
    if b == nil then
      goto continue
    elseif kind == "map" and field ~= "base" and a then
      for k, v in pairs(b) do a[k] = v end
    elseif kind == "list" and a then
      table.move(b, 1, #b, #a + 1, a)
      out[field] = once(a)
    elseif field == "size" and a and a ~= b then
      bad("size", "%s: the snapshot's is %s", b, a)
    else
      out[field] = copy(b)
    end
    ::continue::
  end
  return machine_spec.check(out)
end

-- Patching (RFC 7396) and comparing.

local null = boxd.json.null

local function decode(what, text)
  local ok, value = pcall(boxd.json.decode, text)
  if ok and type(value) == "table" then return value end
  fail("INVALID_ARGUMENT", "%s is a JSON object", what)
end

-- The text of a spec a client has read.
function machine_spec.decode(what, text)
  return machine_spec.compact(decode(what, text))
end

-- The spec that a patch, as JSON text, makes of another.
function machine_spec.patched(spec, text)
  local out = machine_spec.compact(spec)
  for field, value in pairs(decode("patch", text)) do
    if value == null then
      out[field] = nil
    elseif KINDS[field] == "map" and field ~= "base"
      and type(value) == "table" then
      out[field] = out[field] or {}
      for k, v in pairs(value) do
        out[field][k] = v ~= null and v or nil
      end
    elseif KINDS[field] == "list" and type(value) == "table" then
      out[field] = table.move(value, 1, #value, 1, {})
    else
      out[field] = copy(value)
    end
  end
  return machine_spec.check(out)
end

function machine_spec.equal(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for k, v in pairs(a) do
    if not machine_spec.equal(v, b[k]) then return false end
  end
  for k in pairs(b) do
    if a[k] == nil then return false end
  end
  return true
end

local function show(v)
  if type(v) ~= "table" then return v ~= nil and tostring(v) or nil end
  return next(v) .. ":" .. v[next(v)]
end

-- As sets: keys of a map, or entries of a list.
local function keys(kind, v)
  local out = {}
  for k, x in pairs(v or {}) do
    if kind == "list" then out[x] = true else out[k] = x end
  end
  return out
end

local function sorted(set)
  local out = {}
  for k in pairs(set) do out[#out + 1] = k end
  table.sort(out)
  return out
end

-- What differs in a field: a MachineSpecChange without how it is applied; nil
-- when nothing does.
function machine_spec.difference(field, before, after)
  if machine_spec.equal(before, after) then return nil end
  local kind = KINDS[field]
  if kind ~= "list" and (kind ~= "map" or field == "base") then
    return { field = field, before = show(before), after = show(after) }
  end
  local old, new = keys(kind, before), keys(kind, after)
  local added, removed, changed = {}, {}, {}
  for k, v in pairs(new) do
    if old[k] == nil then added[k] = true
    elseif old[k] ~= v then changed[k] = true end
  end
  for k in pairs(old) do
    if new[k] == nil then removed[k] = true end
  end
  return { field = field, added = sorted(added), removed = sorted(removed),
    changed = sorted(changed) }
end

return machine_spec
