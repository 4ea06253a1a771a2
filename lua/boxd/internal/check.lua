-- Argument checks of our Lua files. A wrong type is an ordinary argument error
-- at the script's line; a refused value is an InvalidArgumentError.

local core = require "boxd.core"
core.internal()

local check = {}

-- The level, for the caller, of the nearest function outside our files: the
-- script's; nil without one.
function check.script_level()
  local level = 2
  while true do
    local info = debug.getinfo(level, "S")
    if not info then return nil end
    if info.what ~= "C" and not core.is_internal(info.source) then
      return level - 1
    end
    level = level + 1
  end
end

-- Raises the message at the script's line.
local function complain(message) error(message, check.script_level() or 0) end

-- "script.lua:3:" of the script's line; "" without one.
function check.where()
  local level = check.script_level()
  local info = level and debug.getinfo(level, "Sl")
  return info and ("%s:%d:"):format(info.short_src, info.currentline) or ""
end

-- Raises the error of a task of ours, which has no line of the script's.
function check.raise(e)
  if type(e) == "string" then e = check.where() .. " " .. e end
  if core.type(e) == "Error" and e.where == "" then e.where = check.where() end
  error(e, 0)
end

local function typename(v)
  local ours = core.type(v)
  if ours then return "boxd." .. ours end
  local meta = getmetatable(v)
  local name = type(meta) == "table" and rawget(meta, "__name")
  return name or (v == nil and "nil") or type(v)
end

function check.fail(index, method, expected, got)
  complain(("bad argument #%d to '%s' (%s expected, got %s)"):format(
    index, method, expected, typename(got)))
end

function check.string(index, method, v)
  if type(v) ~= "string" then check.fail(index, method, "string", v) end
  return v
end

function check.opt_string(index, method, v, default)
  if v == nil then return default end
  return check.string(index, method, v)
end

-- An integer field of an options table, from `least` on, or absent.
function check.integer(method, opts, name, least)
  local v = opts[name]
  if v ~= nil and (math.type(v) ~= "integer" or v < least) then
    check.field(method, opts, name, "number")
    check.invalid("%s: %s is an integer from %d on, not %s", method, name,
      least, check.show(v))
  end
  return v
end

function check.opt_table(index, method, v)
  if v ~= nil and type(v) ~= "table" then
    check.fail(index, method, "table", v)
  end
  return v or {}
end

-- A value for a message: text quoted and short, else its type.
function check.show(v)
  local plain = v == nil or type(v) == "number" or type(v) == "boolean"
  if plain then return tostring(v) end
  if type(v) ~= "string" then return "a " .. typename(v) end
  return ("%q"):format(#v > 40 and v:sub(1, 40) .. "..." or v)
end

-- Two maps of variables: a name in both of them would lose one value.
function check.apart(method, env, secret_env)
  for name in pairs(secret_env or {}) do
    if env and env[name] ~= nil then
      check.invalid("%s: %s is in env and in secret_env: one of them is enough",
        method, name)
    end
  end
end

-- For an optional argument before the options: both, wherever the options are.
function check.trailing(v, opts)
  if type(v) == "table" and opts == nil then return nil, v end
  return v, opts
end

function check.invalid(fmt, ...)
  core.raise("InvalidArgumentError", fmt:format(...))
end

local NONE = {}

-- An options table: nil, or only the given names. `timeout` is always one. What
-- is returned is only read.
function check.options(index, method, opts, names)
  if opts == nil then return NONE end
  if type(opts) ~= "table" then
    complain(("bad argument #%d to '%s' (table expected, got %s: options have "
      .. "names, as in { timeout = 30 })"):format(index, method, typename(opts)))
  end
  core.text.options(opts, method, names)
  if opts.timeout ~= nil then check.seconds(method, "timeout", opts.timeout) end
  return opts
end

-- A field of an options table, of a type or absent.
function check.field(method, opts, name, expected)
  local v = opts[name]
  if v ~= nil and type(v) ~= expected then
    complain(("bad option '%s' to '%s' (%s expected, got %s)"):format(
      name, method, expected, typename(v)))
  end
  return v
end

function check.seconds(method, name, v)
  if type(v) ~= "number" then
    complain(("bad option '%s' to '%s' (number of seconds expected, got %s)")
      :format(name, method, typename(v)))
  end
  if not (v > 0) then
    check.invalid("%s: %s must be a positive number of seconds", method, name)
  end
  return v
end

-- "4G" or an integer of bytes.
function check.size(name, v)
  if math.type(v) == "integer" then
    if v < 0 then check.invalid("%s: a size can't be negative", name) end
    return v
  end
  if type(v) ~= "string" then
    check.invalid("%s: a size is text such as \"4G\" or an integer of bytes, "
      .. "not %s", name, check.show(v))
  end
  return core.text.size(v)
end

return check
