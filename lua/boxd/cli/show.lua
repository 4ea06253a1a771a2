-- How the prompt shows a value: objects by their tostring, tables with their
-- fields, a list of records as a table of columns. Long values are cut, and
-- secrets are not shown.

local core = require "boxd.core"
core.internal()

local show = {}

local DEPTH = 3       -- tables in tables
local ENTRIES = 20    -- of a table
local ROWS, COLUMNS = 100, 8
local TEXT = 60       -- bytes of a string deep inside a table,
local TEXT_TOP = 300  -- ... right in it,
local CELL = 40       -- ... and in a column

local SECRET = { token = true, api_key = true, password = true, secret = true,
  authorization = true, bearer = true }

local function is_secret(key, text)
  return type(key) == "string" and SECRET[key:lower()]
    or text:find "^bx[dk]_" or text:find "^eyJ[%w_-]+%.[%w_-]+%."
end

local function cut(text, limit)
  if #text <= limit then return text end
  local at = utf8.len(text) and utf8.offset(text, 0, limit) or limit
  return text:sub(1, at - 1) .. "…"
end

local ESCAPES = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t",
  ["\\"] = "\\\\", ["\""] = "\\\"" }

-- A string as Lua writes it, on one line.
local function quoted(text, limit)
  local escaped = cut(text, limit or TEXT):gsub("[%c\\\"]", function(c)
    return ESCAPES[c] or ("\\x%02x"):format(c:byte())
  end)
  if not utf8.len(escaped) then
    escaped = escaped:gsub("[\128-\255]", function(c)
      return ("\\x%02x"):format(c:byte())
    end)
  end
  return '"' .. escaped .. '"'
end

local function has_text(v)
  local meta = debug.getmetatable(v)
  -- Here its output is wanted, not its size.
  if type(v) == "table" and meta and meta.__name == "boxd.ExecResult" then
    return false
  end
  return type(meta) == "table" and rawget(meta, "__tostring") ~= nil
end

local function sorted_keys(t)
  local keys = {}
  for key in next, t do
    -- Tables as keys are how objects keep private things.
    if type(key) ~= "table" then keys[#keys + 1] = key end
  end
  table.sort(keys, function(a, b)
    local ta, tb = math.type(a) or type(a), math.type(b) or type(b)
    if ta ~= tb then return ta < tb end
    if ta == "integer" or ta == "float" or ta == "string" then return a < b end
    return tostring(a) < tostring(b)
  end)
  return keys
end

local describe

local function key_text(key)
  if type(key) == "string" and key:find "^[%a_][%w_]*$" then return key end
  return "[" .. (type(key) == "string" and quoted(key) or tostring(key)) .. "]"
end

local function describe_table(t, depth, above)
  if above[t] then return "{…}" end
  if next(t) == nil then return "{}" end
  if depth > DEPTH then return "{…}" end
  above[t] = true
  local parts, length = {}, rawlen(t)
  for i, key in ipairs(sorted_keys(t)) do
    if i > ENTRIES then
      parts[#parts + 1] = "…"
      break
    end
    local text = describe(t[key], depth + 1, above, key)
    local in_order = math.type(key) == "integer" and key >= 1 and key <= length
    parts[#parts + 1] = in_order and text or key_text(key) .. " = " .. text
  end
  above[t] = nil
  local line = "{ " .. table.concat(parts, ", ") .. " }"
  if #line <= 76 or depth > 1 then return line end
  return "{\n  " .. table.concat(parts, ",\n  ") .. "\n}"
end

function describe(v, depth, above, key)
  if type(v) == "string" then
    if is_secret(key, v) then return "(hidden)" end
    return quoted(v, depth <= 2 and TEXT_TOP or TEXT)
  end
  if type(v) ~= "table" or has_text(v) then return tostring(v) end
  return describe_table(v, depth, above)
end

-- Lists of records.

local FIRST = { "id", "name", "status", "image", "public_ip", "url", "port",
  "vcpu", "memory_bytes", "disk_bytes", "size_bytes", "ssh_port",
  "permissions", "is_dir", "modified_at", "created_at" }

local function is_record(v)
  if core.table(v) then return true end
  if type(v) ~= "table" or next(v) == nil or rawlen(v) > 0 then return false end
  for key, value in next, v do
    if type(key) ~= "string" and type(key) ~= "table" then return false end
    if type(value) == "function" then return false end
  end
  return true
end

local function is_list_of_records(t)
  local n = rawlen(t)
  if n == 0 then return false end
  for key, value in next, t do
    local fits = math.type(key) == "integer" and is_record(value)
      or key == "n"
    if not fits then return false end
  end
  return true
end

local NOTHING = { [""] = true, [0] = true, [false] = true }

-- The columns: the most wanted first, then by name; none that is
-- nested, or that says nothing in any row.
local function columns_of(list)
  local seen, names = {}, {}
  for _, record in ipairs(list) do
    for key, value in next, record do
      if type(key) == "string" and type(value) ~= "table"
        and not NOTHING[value] and not seen[key] then
        seen[key] = true
        names[#names + 1] = key
      end
    end
  end
  local rank = {}
  for i, name in ipairs(FIRST) do rank[name] = i end
  table.sort(names, function(a, b)
    local ra, rb = rank[a] or 100, rank[b] or 100
    if ra ~= rb then return ra < rb end
    return a < b
  end)
  return table.move(names, 1, math.min(#names, COLUMNS), 1, {})
end

local function cell(record, name)
  local v = rawget(record, name)
  if v == nil then return "" end
  local text = tostring(v)
  if is_secret(name, text) then return "(hidden)" end
  if type(v) == "number" and v > 1e8 and name:find "_at$" then
    return os.date("%Y-%m-%d %H:%M:%S", v // 1 | 0)
  end
  return (cut(text, CELL):gsub("%c", " "))
end

local function width_of(text) return utf8.len(text) or #text end

-- The records as tables.
local function plain(list)
  local out = {}
  for i, record in ipairs(list) do out[i] = core.table(record) or record end
  return out
end

local function table_of(list)
  list = plain(list)
  local names = columns_of(list)
  local rows = { names }
  for i = 1, math.min(#list, ROWS) do
    local row = {}
    for at, name in ipairs(names) do row[at] = cell(list[i], name) end
    rows[#rows + 1] = row
  end
  local widths = {}
  for _, row in ipairs(rows) do
    for at, text in ipairs(row) do
      widths[at] = math.max(widths[at] or 0, width_of(text))
    end
  end
  local count, room = 0, (core.screen() or 100) + 2
  for at, width in ipairs(widths) do
    room = room - width - 2
    if room >= 0 or at == 1 then count = at end
  end
  for i, row in ipairs(rows) do
    for at = 1, count do
      row[at] = row[at] .. (" "):rep(widths[at] - width_of(row[at]))
    end
    rows[i] = table.concat(row, "  ", 1, count):gsub("%s+$", "")
  end
  if #list > ROWS then
    rows[#rows + 1] = ("… %d more"):format(#list - ROWS)
  end
  return table.concat(rows, "\n")
end

-- What print is to be given for a result: the value, or a text.
function show.value(v)
  if type(v) ~= "table" or has_text(v) then return v end
  if is_list_of_records(v) then return table_of(v) end
  return describe_table(v, 1, {})
end

return show
