-- boxd.BoxConfig and what becomes of a config in a request. Everything is
-- checked here, so that errors name the fields as the script wrote them.

local core = require "boxd.core"
local check = require "boxd.check"
core.internal()

local config = {}

-- A kind of value is a function(what, v) that returns what the request holds.

local function refuse(what, expected, v)
  check.invalid("%s: %s expected, not %s", what, expected, check.show(v))
end

local function of_type(name, expected)
  return function(what, v)
    if type(v) ~= name then refuse(what, expected, v) end
    return v
  end
end

local text = of_type("string", "text")
local switch = of_type("boolean", "true or false")
local a_table = of_type("table", "a table")

local function integer(most)
  return function(what, v)
    if math.type(v) ~= "integer" or v < 0 or v > most then
      refuse(what, ("an integer from 0 to %d"):format(most), v)
    end
    return v
  end
end

local count, port = integer(0xFFFFFFFF), integer(65535)

-- Of a table with these fields: a row is { kind, name in the request }.
local function record(rows)
  local names = {}
  for name in pairs(rows) do names[#names + 1] = name end
  table.sort(names)
  return function(what, v)
    core.text.options(a_table(what, v), what, names)
    local out = {}
    for name, value in pairs(v) do
      local row = rows[name]
      out[row[2] or name] = row[1](what .. "." .. name, value)
    end
    for name, row in pairs(rows) do
      if v[name] == nil then
        if row.needed then check.invalid("%s.%s is missing", what, name) end
        out[row[2] or name] = row.default
      end
    end
    return out
  end
end

local function list(kind)
  return function(what, v)
    if type(v) ~= "table" then refuse(what, "a list", v) end
    local out, n = {}, 0
    for _ in pairs(v) do n = n + 1 end
    for i = 1, n do
      if v[i] == nil then check.invalid("%s: a list without holes and names "
        .. "expected", what) end
      out[i] = kind(("%s[%d]"):format(what, i), v[i])
    end
    return out
  end
end

local function variables(what, v)
  local out = {}
  for key, value in pairs(a_table(what, v)) do
    if type(key) ~= "string" or not key:find("^[%a_][%w_]*$") then
      check.invalid("%s: %s is no name of a variable (letters, digits and _, "
        .. "no digit first)", what, check.show(key))
    end
    out[#out + 1] = { key = key, value = text(what .. "." .. key, value) }
  end
  table.sort(out, function(a, b) return a.key < b.key end)
  return out
end

local function policy(what, v)
  if v ~= "always" and v ~= "never" then
    refuse(what, "\"always\" or \"never\"", v)
  end
  return v
end

local read = record {
  vcpu = { count }, memory = { check.size, "memory_bytes" },
  disk = { check.size, "disk_bytes" },
  env = { variables }, cmd = { list(text) }, restart_policy = { policy },
  lifecycle = { record {
    auto_suspend_timeout = { count, "auto_suspend_timeout_secs" },
    auto_destroy_timeout = { count, "auto_destroy_timeout_secs" },
  }, "srf" },
  network = { record {
    ssh = { switch, default = true },
    proxies = { list(record { name = { text, needed = true }, port = { port } }) },
  } },
  volumes = { list(record {
    disk_id = { text, needed = true }, mount_path = { text, needed = true },
    read_only = { switch },
  }) },
}

-- Fields of a config that CreateVm has beside the VmConfig.
local BESIDE = { "env", "cmd", "restart_policy" }

-- The VmConfig message of a config, for requests that hold nothing else of it;
-- nil when nothing is set.
function config.vm_config(c)
  if c == nil then return nil end
  local message = read("config", c)
  for _, name in ipairs(BESIDE) do
    if message[name] ~= nil then
      check.invalid("config.%s: only create of a box takes it", name)
    end
  end
  return next(message) and message or nil
end

-- Puts a config where CreateVm has it.
function config.apply(c, request)
  if c == nil then return request end
  local message = read("config", c)
  for _, name in ipairs(BESIDE) do
    request[name], message[name] = message[name], nil
  end
  request.restart_policy = request.restart_policy or "always"
  request.config = next(message) and message or nil
  return request
end

-- boxd.BoxConfig{...}: the same table, checked.
function config.BoxConfig(c)
  read("config", check.opt_table(1, "BoxConfig", c))
  return c or {}
end

return config
