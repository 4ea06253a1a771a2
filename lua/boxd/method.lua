-- Methods that are written as rows:
--
--   { RPC, argument..., options = { name = argument }, vm = field,
--     fixed = { field = value }, reply = ...,
--     after = function(self, reply, request) }
--
-- An argument or an option is { field of the request, kind }: a kind of
-- kinds.lua, or a class whose objects stand for their id beside ids and names.
-- `vm` is the field that takes the id of the object itself. `reply` is what is
-- returned: a field, true for all of it, or function(compute, reply).

local core = require "boxd.core"
local check = require "boxd.check"
local kinds = require "boxd.kinds"
local resource = require "boxd.resource"
core.internal()

local method = {}

-- The id that stands in a request for an object, an id or a name.
function method.id(index, name, v, class)
  local id = resource.id(index, name, v, class)
  if id == "" then
    check.invalid("%s: an id or a name expected, not \"\"", name)
  end
  return id
end

local function argument(index, name, row, v)
  local field, kind = row[1], row[2]
  if type(kind) == "table" then return method.id(index, name, v, kind) end
  local expected = kinds.types[kind]
  if expected and (math.type(v) or type(v)) ~= expected then
    check.fail(index, name, expected, v)
  end
  return kind(("%s: %s"):format(name, field), v)
end

-- The value of an option, nil where it is not given.
function method.option(name, opts, option, kind)
  local v = opts[option]
  if v == nil then return nil end
  local expected = kinds.types[kind]
  if expected then
    check.field(name, opts, option,
      expected == "integer" and "number" or expected)
  end
  return kind(("%s: %s"):format(name, option), v)
end

local function option_names(row)
  local names = { "timeout" }
  for name in pairs(row.options or {}) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local function result(row, compute, reply)
  local wanted = row.reply
  if type(wanted) == "string" then return reply[wanted] end
  if type(wanted) == "function" then return wanted(compute, reply) end
  if wanted then return reply end
end

-- The method of a row.
function method.make(name, row)
  local arguments, names = #row - 1, option_names(row)
  return function(self, ...)
    local compute, request = resource.compute(self), {}
    for field, value in pairs(row.fixed or {}) do request[field] = value end
    if row.vm then request[row.vm] = self.id end
    for i = 1, arguments do
      local of = row[i + 1]
      request[of[1]] = argument(i, name, of, (select(i, ...)))
    end
    local opts = check.options(arguments + 1, name,
      (select(arguments + 1, ...)), names)
    for option, of in pairs(row.options or {}) do
      request[of[1]] = method.option(name, opts, option, of[2])
    end
    local reply = resource.call(compute, row[1], request, opts)
    if row.after then row.after(self, reply, request) end
    return result(row, compute, reply)
  end
end

-- Adds the methods of `rows`, name -> row, to a table of methods.
function method.add(methods, rows)
  for name, row in pairs(rows) do methods[name] = method.make(name, row) end
  return methods
end

-- Messages with times in milliseconds get them in whole seconds, under other
-- names perhaps; what never was (0) goes.
function method.seconds(message, times)
  for from, to in pairs(times) do
    local ms = message[from]
    message[from] = nil
    if ms and ms ~= 0 then message[to] = ms // 1000 end
  end
  return message
end

-- A reply's list, each entry made into a record by new(compute, message).
function method.records(field, new)
  return function(compute, reply)
    local out = reply[field]
    for i, message in ipairs(out) do out[i] = new(compute, message) end
    return out
  end
end

return method
