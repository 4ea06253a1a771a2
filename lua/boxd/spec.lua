-- Machine specs: plain tables that say what a box is to be, put together of
-- pieces. Maps merge, the later piece winning; lists are joined without
-- duplicates; `version`, `base`, `size` and `assign_to` may not be set twice to
-- different values; `isolated` only ever turns on; a name is in `env` or in
-- `secrets`, not in both.

local core = require "boxd.core"
local boxd = require "boxd"
local check = require "boxd.internal.check"
local kinds = require "boxd.internal.kinds"
core.internal()

local spec = {}

local VERSION = 1

local function size(what, v)
  v = kinds.text(what, v):match "^%s*(.-)%s*$"
  local vcpu, memory = v:match "^(%d+)%s*[xX]%s*(%d+)$"
  if not vcpu then return v end -- for the service to refuse
  return ("%sx%s"):format(vcpu:gsub("^0+(%d)", "%1"),
    (memory:gsub("^0+(%d)", "%1")))
end

local function base(what, v)
  local out = kinds.map(what, v)
  local kind, name = next(out)
  if (kind ~= "team" and kind ~= "snapshot") or next(out, kind)
    or name == "" then
    check.invalid("%s: exactly one of team and snapshot expected, such as "
      .. "{ team = \"eng\" }", what)
  end
  return out
end

-- Fields: their types, and how two pieces' values become one.
local FIELDS = {
  version = { kinds.count, "once" }, base = { base, "once" },
  size = { size, "once" }, assign_to = { kinds.text, "once" },
  labels = { kinds.map, "map" }, env = { kinds.map, "map" },
  connections = { kinds.map, "map" },
  networks = { kinds.texts, "list" }, egress = { kinds.texts, "list" },
  secrets = { kinds.texts, "list" }, agents = { kinds.texts, "list" },
  packages = { kinds.texts, "list" },
  isolated = { kinds.switch, "either" },
}
local NAMES = {}
for name in pairs(FIELDS) do NAMES[#NAMES + 1] = name end
table.sort(NAMES)

local function show(v)
  if type(v) ~= "table" then return check.show(v) end
  local kind, name = next(v)
  return ("{ %s = %s }"):format(kind, check.show(name))
end

local function same(a, b)
  if type(a) ~= "table" then return a == b end
  local kind, name = next(a)
  return b[kind] == name
end

local JOIN = {}

-- Empty is the same as unset.
function JOIN.once(name, a, b)
  if b == "" or b == 0 then return a end
  if a ~= nil and not same(a, b) then
    check.invalid("spec.%s: set twice to different values, %s and %s", name,
      show(a), show(b))
  end
  return b
end

function JOIN.map(_, a, b)
  local out = {}
  for k, v in pairs(a or {}) do out[k] = v end
  for k, v in pairs(b) do out[k] = v end
  return next(out) and out or nil
end

function JOIN.list(_, a, b)
  local out, has = {}, {}
  for _, list in ipairs { a or {}, b } do
    for _, v in ipairs(list) do
      if not has[v] then out[#out + 1] = v end
      has[v] = true
    end
  end
  return #out > 0 and out or nil
end

function JOIN.either(_, a, b) return a or b or nil end

local function add(into, name, v)
  local field = FIELDS[name]
  into[name] = JOIN[field[2]](name, into[name],
    field[1]("spec." .. name, v))
end

-- Adds a piece: the pieces in its list part, then its own fields.
local function add_piece(into, piece)
  if type(piece) ~= "table" then
    check.invalid("spec: a piece is a table, not %s", check.show(piece))
  end
  for _, one in ipairs(piece) do add_piece(into, one) end
  local fields = {}
  for name, v in pairs(piece) do
    if not (math.type(name) == "integer" and name >= 1 and name <= #piece) then
      fields[name] = v
    end
  end
  core.text.options(fields, "spec", NAMES)
  for name, v in pairs(fields) do add(into, name, v) end
end

-- boxd.spec{ piece..., field = value, ... }: one spec of them all, checked; it
-- is a piece itself. Raises InvalidArgumentError that names the field.
function spec.spec(piece)
  if type(piece) ~= "table" then check.fail(1, "spec", "table", piece) end
  local out = {}
  add_piece(out, piece)
  for _, name in ipairs(out.secrets or {}) do
    if out.env and out.env[name] ~= nil then
      check.invalid("spec.secrets: %s is in env too; a name is a plain value "
        .. "or a secret, not both", check.show(name))
    end
  end
  out.version = out.version or VERSION
  return out
end

--- Does the spec have a map under that name?
function spec.is_map(name) return FIELDS[name][2] == "map" end

--- Are two values of a field the same?
function spec.same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  if #a ~= #b then return false end
  for _, pair in ipairs { { a, b }, { b, a } } do
    for key, v in pairs(pair[1]) do
      if pair[2][key] ~= v then return false end
    end
  end
  return true
end

--- A copy of a spec to change: its maps and lists are there, empty or not.
function spec.open(piece)
  local out = spec.spec(piece)
  for name, field in pairs(FIELDS) do
    if field[2] == "map" or field[2] == "list" then
      out[name] = out[name] or {}
    end
  end
  return out
end

-- The name and the value that JSON has of a field.
local function written(name, v)
  local field = FIELDS[name]
  if field[2] == "list" then v = boxd.json.array(v) end
  return name == "assign_to" and "assignTo" or name, v
end

-- A spec as the table of its JSON form, nothing empty in it.
function spec.document(piece)
  local out = {}
  for name, v in pairs(spec.spec(piece)) do
    local key, value = written(name, v)
    out[key] = value
  end
  return out
end

local null = boxd.json.null

-- Of a map in a patch: a key that is boxd.json.null goes.
local function patched_map(what, v)
  local kept, out = {}, {}
  for key, value in pairs(v) do
    if value == null then out[key] = null else kept[key] = value end
  end
  for key, value in pairs(kinds.map(what, kept)) do out[key] = value end
  return out
end

-- A patch as the table of its JSON form: scalars and lists replace, maps merge,
-- boxd.json.null removes.
function spec.patch(patch)
  core.text.options(patch, "update_spec", NAMES)
  local out = {}
  for name, v in pairs(patch) do
    local field, what = FIELDS[name], "update_spec: " .. name
    local value = null
    if v ~= null then
      local is_map = field[2] == "map" and type(v) == "table"
      value = (is_map and patched_map or field[1])(what, v)
    end
    if value == null then
      out[name == "assign_to" and "assignTo" or name] = null
    else
      local key, shown = written(name, value)
      out[key] = shown
    end
  end
  return out
end

return spec
