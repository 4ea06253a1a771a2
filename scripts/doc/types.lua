-- Reads annotations as lua/boxd/types/*.lua have them into a list of the items they
-- describe, in their order:
--   { kind = "class", name =, parents = { name, ... }, text =, fields = {} }
--   { kind = "function", class =, mark = "." or ":", name =, text =, rpc = { },
--     raises = text or nil, params = {}, returns = {}, overloads = { type } }
-- where a field, parameter or result is { name =, optional =, type =, text = }.
-- Raises on an unknown annotation, so that none goes by unseen.

local types = {}

--- The files of the annotations, in the reference's order.
types.files = {}
for i, name in ipairs { "module", "compute", "box", "box_commands", "box_files",
  "box_network", "files", "provision", "exec", "job", "captures", "account" } do
  types.files[i] = "lua/boxd/types/" .. name .. ".lua"
end

local CLOSING = { ["("] = ")", ["{"] = "}", ["["] = "]", ["<"] = ">" }

-- "fun(a: b): c  text" -> "fun(a: b): c", "text": a type ends at a blank that
-- no bracket holds and no : , | comes before.
local function split_type(text)
  local open, at, quoted = {}, 1, false
  while at <= #text do
    local c = text:sub(at, at)
    if c == '"' then quoted = not quoted end
    if not quoted then
      if CLOSING[c] then
        open[#open + 1] = CLOSING[c]
      elseif c == open[#open] then
        open[#open] = nil
      elseif c == " " and #open == 0 and not text:sub(1, at - 1):find "[:,|]$" then
        break
      end
    end
    at = at + 1
  end
  return text:sub(1, at - 1), (text:sub(at + 1):gsub("^# ?", ""))
end

local function named(text)
  local name, optional, rest = text:match "^([%w_.]+)(%??) (.+)$"
  if not name then error("no name and type: " .. text) end
  local type_, about = split_type(rest)
  return { name = name, optional = optional == "?", type = type_, text = about }
end

local function result(text)
  local type_, rest = split_type(text)
  local name, about = rest:match "^([%w_.]+) ?(.*)$"
  return { name = name, type = type_, text = about or rest }
end

-- "RPC: A, then B." and "Raises: ...", which may go on, are taken out.
local function take_facts(item)
  local lines = {}
  local into
  for line in item.text:gmatch "[^\n]+" do
    local rpc, raises = line:match "^RPC: (.*)$", line:match "^Raises: (.*)$"
    if rpc then
      for name in rpc:gmatch "%u[%w]+" do item.rpc[#item.rpc + 1] = name end
      item.rpc.text, into = rpc, nil
    elseif raises then
      item.raises, into = raises, "raises"
    elseif into then
      item.raises = item.raises .. " " .. line
    else
      lines[#lines + 1] = line
    end
  end
  item.text = table.concat(lines, "\n")
end

local function new_block()
  return { text = {}, params = {}, returns = {}, overloads = {} }
end

local reader = {}

-- "(partial) boxd.Box": more functions of a class that another file describes.
function reader:class(rest)
  local more = rest:match "^%(partial%) ([%w_.]+)$"
  if more then
    if not self.classes[more] then error("no such class yet: " .. more) end
    self.class_, self.block = nil, new_block()
    return
  end
  local name, parents = rest:match "^([%w_.]+)%s*:?%s*(.*)$"
  self.class_ = { kind = "class", name = name, parents = {}, fields = {},
    text = table.concat(self.block.text, "\n") }
  for parent in parents:gmatch "[%w_.]+" do
    table.insert(self.class_.parents, parent)
  end
  if self.classes[name] then error("a class twice: " .. name) end
  self.items[#self.items + 1], self.classes[name] = self.class_, true
  self.block = new_block()
end

function reader:field(rest) table.insert(self.class_.fields, named(rest)) end
function reader:param(rest) table.insert(self.block.params, named(rest)) end
reader["return"] = function(self, rest)
  table.insert(self.block.returns, result(rest))
end
function reader:overload(rest) table.insert(self.block.overloads, rest) end
function reader:meta() self.block = new_block() end

local function add_function(self, class, mark, name, arguments)
  local b = self.block
  local item = { kind = "function", class = class, mark = mark, name = name,
    text = table.concat(b.text, "\n"), params = b.params, rpc = {},
    returns = b.returns, overloads = b.overloads, arguments = arguments }
  take_facts(item)
  self.items[#self.items + 1] = item
  self.block = new_block()
end

local function read_file(self, path)
  self.block = new_block()
  for line in io.lines(path) do
    local tag, rest = line:match "^%-%-%-@(%l+) ?(.*)$"
    local text = line:match "^%-%-%- ?(.*)$"
    local class, mark, name, arguments =
      line:match "^function ([%w_]+)([.:])([%w_]+)%((.-)%) end$"
    if tag then
      local read = reader[tag] or error("unknown annotation: " .. line)
      read(self, rest)
    elseif text then
      table.insert(self.block.text, text)
    elseif class then
      add_function(self, class, mark, name, arguments)
    elseif line:find "^function" then
      error("a function on one line expected: " .. line)
    end
  end
end

--- What these files describe.
function types.read(paths)
  local self = { items = {}, classes = {} }
  for _, path in ipairs(paths) do read_file(self, path) end
  return self.items
end

return types
