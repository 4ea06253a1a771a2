-- What records have: by it a damaged file is known when it is read, and named,
-- before anything relies on it. A field is a type, or a schema of its own for the
-- items of a list; those under `optional` may be missing.

local TEXT, NUMBER, FLAG, TABLE = "string", "integer", "boolean", "table"

local schema = {}

local VALUES = { { key = TEXT, optional = { value = TEXT } } }

local BOX = {
  image = TEXT, restart_policy = TEXT, vcpu = NUMBER, memory_bytes = NUMBER,
  disk_bytes = NUMBER, auto_suspend = NUMBER, auto_destroy = NUMBER,
  proxies = { { name = TEXT, port = NUMBER, optional = { gate = NUMBER } } },
  optional = {
    boot_time_ms = NUMBER, public_ip = TEXT,
    env = VALUES, cmd = { TEXT }, labels = TABLE, networks = { TEXT },
    egress_allow = { TEXT }, isolated = FLAG, shared = FLAG,
    bot_protection = TEXT, idle_ignore_outbound = FLAG, delete_at = NUMBER,
    delete_after = NUMBER, delete_cron = TEXT, backup = TABLE, spec = TABLE,
    source = TABLE, states = TABLE, used_at = NUMBER, woken_at = NUMBER,
    in_use = FLAG, hostname = TEXT, forked_from = TEXT, folder = TEXT,
    ports = { { port = NUMBER, optional = { gate = NUMBER } } },
  },
}

local function with(base, fields)
  for k, v in pairs(base) do fields[k] = v end
  return fields
end

schema.kinds = {
  backups = { id = TEXT, vm_id = TEXT, folder = TEXT, size_bytes = NUMBER,
    created_at = NUMBER, expires_at = NUMBER },
  boxes = with(BOX, { id = TEXT, name = TEXT, status = TEXT,
    created_at = NUMBER, auto_hibernate = NUMBER }),
  checkpoints = { id = TEXT, name = TEXT, vm_id = TEXT, folder = TEXT,
    size_bytes = NUMBER, created_at = NUMBER },
  disks = { id = TEXT, name = TEXT, size_bytes = NUMBER, created_at = NUMBER,
    optional = { vm_id = TEXT, mount_path = TEXT, read_only = FLAG } },
  domains = { id = TEXT, domain = TEXT, vm_id = TEXT },
  keys = { id = TEXT, hash = TEXT, key_prefix = TEXT, created_at = NUMBER,
    last_used_at = NUMBER, expires_at = NUMBER, optional = { name = TEXT } },
  networks = { id = TEXT, subnet = TEXT },
  secrets = { optional = { key = TEXT, api_key = TEXT, id = TEXT } },
  snapshots = { id = TEXT, name = TEXT, folder = TEXT, version = NUMBER,
    size_bytes = NUMBER, created_at = NUMBER, updated_at = NUMBER,
    use_count = NUMBER, record = BOX },
  templates = { id = TEXT, name = TEXT, optional = { config = TABLE } },
  tokens = { id = TEXT, jti = TEXT, created_at = NUMBER, expires_at = NUMBER },
  vars = { id = TEXT, kind = TEXT, name = TEXT, scope = TEXT, value = TEXT },
}

local check -- of a table; declared for what is in it

-- True; or false, and where in the value the fault is.
local function fits(value, wanted)
  if type(wanted) == "table" then
    if type(value) ~= "table" then return false, "" end
    return check(value, wanted)
  end
  return (math.type(value) or type(value)) == wanted, ""
end

local function check_list(list, item)
  for i, value in ipairs(list) do
    local ok, where = fits(value, item)
    if not ok then return false, ("[%d]%s"):format(i, where) end
  end
  return true
end

local function check_fields(record, fields, optional)
  for name, wanted in pairs(fields) do
    local value = record[name]
    if name ~= "optional" and not (optional and value == nil) then
      local ok, where = fits(value, wanted)
      if not ok then return false, "." .. name .. where end
    end
  end
  return true
end

function check(record, wanted)
  if wanted[1] then return check_list(record, wanted[1]) end
  local ok, where = check_fields(record, wanted)
  if not ok then return false, where end
  return check_fields(record, wanted.optional or {}, true)
end

--- nil when a record of that kind has its required fields, under its id; else the field
--- that is wrong.
function schema.fault(kind, id, record)
  local wanted = schema.kinds[kind]
  if not wanted then return nil end
  local ok, where = check(record, wanted)
  if not ok then return where:sub(2) end
  if wanted.id and record.id ~= id then return "id" end
end

return schema
