-- What boxdlua's prompt knows: the names that complete a line, and how results
-- are shown. Neither runs code of the user's, nor waits.

local core = require "boxd.core"
local show = require "boxd.cli.show"
core.internal()

local repl = { show = show.value }

local KEYWORDS = {}
for word in ([[and break do else elseif end false for function goto if in local
  nil not or repeat return then true until while]]):gmatch "%a+" do
  KEYWORDS[#KEYWORDS + 1] = word
end

-- Only our own metamethods are called: another's may do anything.
local function is_ours(meta)
  local name = rawget(meta, "__name")
  return type(name) == "string" and name:find "^boxd%." ~= nil
    or meta == debug.getmetatable(require "boxd")
end

local collect

-- The names that an __index function keeps in tables of its own.
local function collect_upvalues(index, add, depth)
  for i = 1, 10 do
    local name, value = debug.getupvalue(index, i)
    if not name then return end
    if type(value) == "table" and name ~= "_ENV" then
      collect(value, add, depth + 1)
    end
  end
end

function collect(value, add, depth)
  if depth > 8 then return end
  for _, name in ipairs(core.names(value) or {}) do add(name) end
  if type(value) == "table" then
    for name in next, value do
      if type(name) == "string" then add(name) end
    end
  end
  local meta = debug.getmetatable(value)
  if type(meta) ~= "table" then return end
  if type(value) == "table" and is_ours(meta) and rawget(meta, "__pairs") then
    for name in pairs(value) do add(name) end
  end
  local index = rawget(meta, "__index")
  if type(index) == "table" then
    collect(index, add, depth + 1)
  elseif type(index) == "function" and is_ours(meta) then
    collect_upvalues(index, add, depth)
  end
end

function repl.is_ours(v)
  local meta = debug.getmetatable(v)
  return type(meta) == "table" and is_ours(meta)
end

-- The names that an object has, in no order.
function repl.names(object)
  local names = {}
  collect(object, function(name) names[#names + 1] = name end, 0)
  return names
end

-- value[name], without code of the user's.
local function field(value, name)
  for _ = 1, 8 do
    if type(value) == "table" then
      local found = rawget(value, name)
      if found ~= nil then return found end
    end
    local meta = debug.getmetatable(value)
    if type(meta) ~= "table" then return nil end
    local index = rawget(meta, "__index")
    if type(index) == "function" and is_ours(meta) then
      local ok, found = pcall(index, value, name)
      return ok and found or nil
    end
    if index == nil then return nil end
    value = index
  end
end

-- The value of "a.b.c", or nil.
local function resolve(path)
  local value = _G
  for name in path:gmatch "[%w_]+" do
    value = field(value, name)
    if value == nil then return nil end
  end
  return value
end

local function module_names(add)
  add "boxd.serve" -- our only module that scripts may need beside boxd
  for _, list in ipairs { package.loaded, package.preload } do
    for name in next, list do
      if type(name) == "string" and not name:find "^boxd%." then add(name) end
    end
  end
end

-- The names that may stand where the text ends, and how much of one is there.
local function find(text)
  local names, seen = {}, {}
  local typed, only_calls, owner
  local function add(name)
    if seen[name] or name:sub(1, #typed) ~= typed then return end
    if owner ~= nil and not name:find "^[%a_][%w_]*$" then return end
    if name:find "^__" and typed == "" then return end
    if only_calls and type(field(owner, name)) ~= "function" then return end
    seen[name] = true
    names[#names + 1] = name
  end
  typed = text:match "require%s*%(?%s*[\"']([%w_.]*)$"
  if typed then
    module_names(add)
    return names, typed
  end
  local path, mark
  path, mark, typed = text:match "([%a_][%w_.]*)%s*([.:])%s*([%w_]*)$"
  if path then
    owner, only_calls = resolve(path), mark == ":"
    if owner ~= nil then collect(owner, add, 0) end
    return names, typed
  end
  typed = text:match "[%w_]*$"
  if text:sub(1, #text - #typed):find "[.:\"']%s*$" then return names, typed end
  owner = _G
  collect(_G, add, 0)
  for _, word in ipairs(KEYWORDS) do add(word) end
  return names, typed
end

local function common_prefix(names)
  local prefix = names[1]
  for _, name in ipairs(names) do
    while name:sub(1, #prefix) ~= prefix do prefix = prefix:sub(1, -2) end
  end
  return prefix
end

-- The names in columns, as ls(1) has them.
local function in_columns(names, width)
  local widest = 0
  for _, name in ipairs(names) do widest = math.max(widest, #name) end
  local count = math.max(width // (widest + 2), 1)
  local height = (#names + count - 1) // count
  local lines = {}
  for row = 1, height do
    local cells = {}
    for i = row, #names, height do
      cells[#cells + 1] = names[i] .. (" "):rep(widest + 2 - #names[i])
    end
    lines[row] = table.concat(cells):gsub("%s+$", "")
  end
  return table.concat(lines, "\n")
end

-- What print is to be given for the results of a statement: a table's text in
-- place of the table; where one has several lines, each result has its own.
function repl.results(...)
  local n, texts, columns = select("#", ...), { ... }, false
  for i = 1, n do
    local shown = show.value(texts[i])
    columns = columns or shown ~= texts[i] and shown:find("\n", 1, true)
    texts[i] = shown
  end
  if not columns then return table.unpack(texts, 1, n) end
  for i = 1, n do texts[i] = tostring(texts[i]) end
  return table.concat(texts, "\n")
end

-- complete(text before the cursor, columns of the terminal) -> the text to
-- insert, or nil; a listing, or nil. At most one of them is there.
function repl.complete(text, width)
  if not text:find "%S" then return "  " end
  local names, typed = find(text)
  if #names == 0 then return nil end
  table.sort(names)
  local more = common_prefix(names):sub(#typed + 1)
  if more ~= "" or #names == 1 then return more end
  return nil, in_columns(names, width)
end

return repl
