-- What steps may be declared with. A refusal is raised at the script's line,
-- before anything runs.

local core = require "boxd.core"
local check = require "boxd.internal.check"
core.internal()

local want = {}

function want.options(method, opts, names)
  if opts == nil then return {} end
  if type(opts) ~= "table" then check.fail(2, method, "table", opts) end
  core.text.options(opts, method, names)
  local copy = {}
  for k, v in pairs(opts) do copy[k] = v end
  return copy
end

function want.text(method, what, v)
  if type(v) ~= "string" or v == "" then
    check.invalid("%s: %s is text that is not empty, not %s", method, what,
      check.show(v))
  end
  if v:find "\0" then
    check.invalid("%s: %s can't have a NUL byte", method, what)
  end
  return v
end

-- An absolute path in its one normal form.
function want.path(method, v)
  want.text(method, "a path", v)
  if v:sub(1, 1) ~= "/" then
    check.invalid("%s: a path in the box is absolute, as \"/etc/hosts\" is: "
      .. "%s is not", method, check.show(v))
  end
  if (v .. "/"):find("/../", 1, true) or (v .. "/"):find("/./", 1, true) then
    check.invalid("%s: a path has no \".\" or \"..\" in it: %s has", method,
      check.show(v))
  end
  v = v:gsub("//+", "/")
  if #v > 1 then v = v:gsub("/$", "") end
  return v
end

function want.mode(method, v)
  if v == nil then return nil end
  if type(v) ~= "string" or not v:find "^[0-7][0-7][0-7][0-7]?$" then
    check.invalid("%s: mode is text of 3 or 4 octal digits such as \"644\", "
      .. "not %s", method, check.show(v))
  end
  return ("%o"):format(tonumber(v, 8))
end

local NAME = "^[%w_][%w_.-]*%$?$"

function want.name(method, what, v)
  if type(v) ~= "string" or not v:find(NAME) or #v > 64 then
    check.invalid("%s: %s is a name of letters, digits, '_', '.' and '-', not %s",
      method, what, check.show(v))
  end
  return v
end

-- "user", "user:group", ":group" -> user, group.
function want.owner(method, v)
  if v == nil then return nil end
  local user, group
  if type(v) == "string" then user, group = v:match "^([^:]*):?([^:]*)$" end
  if not user or v == "" or v == ":" then
    check.invalid("%s: owner is \"user\", \"user:group\" or \":group\", not %s",
      method, check.show(v))
  end
  if user ~= "" then want.name(method, "owner's user", user) end
  if group ~= "" then want.name(method, "owner's group", group) end
  return user ~= "" and user or nil, group ~= "" and group or nil
end

function want.one_of(method, what, v, list)
  if v == nil then return list[1] end
  for _, each in ipairs(list) do
    if each == v then return v end
  end
  check.invalid("%s: %s is \"%s\", not %s", method, what,
    table.concat(list, "\" or \""), check.show(v))
end

function want.boolean(method, opts, name)
  local v = opts[name]
  if v ~= nil and type(v) ~= "boolean" then
    check.invalid("%s: %s is true or false, not %s", method, name, check.show(v))
  end
  return v
end

function want.integer(method, opts, name, least)
  local v = opts[name]
  if v ~= nil and (math.type(v) ~= "integer" or v < least) then
    check.invalid("%s: %s is an integer from %d on, not %s", method, name, least,
      check.show(v))
  end
  return v
end

-- A list of names; one alone is taken, too.
function want.names(method, what, v, pattern)
  if v == nil then return nil end
  if type(v) == "string" then v = { v } end
  if type(v) ~= "table" then
    check.invalid("%s: %s is a list of names, not %s", method, what, check.show(v))
  end
  local list, seen = {}, {}
  for k, each in pairs(v) do
    if math.type(k) ~= "integer" then
      check.invalid("%s: %s is a list of names: it has no field %s", method, what,
        check.show(k))
    end
    if type(each) ~= "string" or not each:find(pattern or NAME) then
      check.invalid("%s: %s has %s, which is not such a name", method, what,
        check.show(each))
    end
  end
  for _, each in ipairs(v) do
    if not seen[each] then list[#list + 1] = each end
    seen[each] = true
  end
  return list
end

function want.env(method, v)
  if v == nil then return nil end
  if type(v) ~= "table" then
    check.invalid("%s: env is a table of names and values, not %s", method,
      check.show(v))
  end
  local copy = {}
  for name, value in pairs(v) do
    if type(name) ~= "string" or not name:find "^[%a_][%w_]*$" then
      check.invalid("%s: env: %s is not a variable's name", method,
        check.show(name))
    end
    if type(value) ~= "string" and type(value) ~= "number"
        or tostring(value):find "\0" then
      check.invalid("%s: env: %s is text without NUL or a number, not %s", method,
        name, check.show(value))
    end
    copy[name] = tostring(value)
  end
  return copy
end

return want
