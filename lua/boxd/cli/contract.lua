-- The contract of a server, asked of it by reflection, beside ours.

local probe = require "boxd.cli.probe"
local serve = require "boxd.serve"

local contract = {}

local SERVICE = "boxd.api.v1.BoxdApi"
local FILES_MAX = 50
local UNIMPLEMENTED = 12

local function varint(n)
  local out = ""
  while n > 127 do
    out = out .. string.char(n & 127 | 128)
    n = n >> 7
  end
  return out .. string.char(n)
end

-- A reflection request: field 3 asks for a file, 4 for that of a symbol.
local function question(field, text)
  return varint(field << 3 | 2) .. varint(#text) .. text
end

local function read_varint(bytes, at)
  local n, shift = 0, 0
  repeat
    local byte = bytes:byte(at) or error("the descriptor is cut short", 0)
    n, shift, at = n | (byte & 127) << shift, shift + 7, at + 1
  until byte < 128
  return n, at
end

-- A message as number -> list of values.
local function decode(bytes)
  local at, fields = 1, {}
  while at <= #bytes do
    local key, value
    key, at = read_varint(bytes, at)
    local kind = key & 7
    if kind == 0 then
      value, at = read_varint(bytes, at)
    elseif kind == 2 then
      value, at = read_varint(bytes, at)
      at, value = at + value, bytes:sub(at, at + value - 1)
    elseif kind == 1 or kind == 5 then
      at = at + (kind == 1 and 8 or 4)
    else
      error("the descriptor can't be read", 0)
    end
    fields[key >> 3] = fields[key >> 3] or {}
    table.insert(fields[key >> 3], value)
  end
  return fields
end

local function list(fields, number) return fields[number] or {} end

local function text(fields, number) return list(fields, number)[1] or "" end

local function add_messages(found, messages, prefix)
  for _, bytes in ipairs(messages) do
    local message = decode(bytes)
    local name = prefix .. text(message, 1)
    for _, field in ipairs(list(message, 2)) do
      found.fields[name .. "." .. text(decode(field), 1)] = true
    end
    add_messages(found, list(message, 3), name .. ".")
  end
end

local function add_file(found, file)
  for _, bytes in ipairs(list(file, 6)) do
    local service = decode(bytes)
    if text(file, 2) .. "." .. text(service, 1) == SERVICE then
      for _, method in ipairs(list(service, 2)) do
        found.rpcs[text(decode(method), 1)] = true
      end
    end
  end
  add_messages(found, list(file, 4), "")
end

-- All that the files which `ask(question)` gives hold: sets of names.
local function read(ask)
  local found = { rpcs = {}, fields = {} }
  local queue, seen = { question(4, SERVICE) }, {}
  local n = 0
  while #queue > 0 and n < FILES_MAX do
    n = n + 1
    local answer = decode(ask(table.remove(queue)))
    for _, e in ipairs(list(answer, 7)) do error(text(decode(e), 2), 0) end
    for _, response in ipairs(list(answer, 4)) do
      for _, bytes in ipairs(list(decode(response), 1)) do
        local file = decode(bytes)
        if not seen[text(file, 1)] then
          seen[text(file, 1)] = true
          add_file(found, file)
          for _, other in ipairs(list(file, 3)) do
            if not seen[other] and not other:find "^google/" then
              queue[#queue + 1] = question(3, other)
            end
          end
        end
      end
    end
  end
  return found
end

-- The names of `a` that `b` lacks, in order.
local function beyond(a, b)
  local names = {}
  for name in pairs(a) do
    if not b[name] then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

-- Compares the server behind a client with us: { lacks, beyond, lacks_fields,
-- beyond_fields }, lists of names. nil and why when it can't; the third value
-- is true when the server just does not offer reflection.
function contract.compare(client, seconds)
  local version, unknown = "v1", false
  local function ask(bytes)
    local answer, why, status = probe.reflect(client, version, bytes, seconds)
    if not answer and status == UNIMPLEMENTED and version == "v1" then
      version = "v1alpha"
      answer, why, status = probe.reflect(client, version, bytes, seconds)
    end
    unknown = status == UNIMPLEMENTED
    return answer or error(why, 0)
  end
  local ok, theirs = pcall(read, ask)
  if not ok then return nil, tostring(theirs), unknown end
  local ours = read(serve.reflect)
  return {
    lacks = beyond(ours.rpcs, theirs.rpcs),
    beyond = beyond(theirs.rpcs, ours.rpcs),
    lacks_fields = beyond(ours.fields, theirs.fields),
    beyond_fields = beyond(theirs.fields, ours.fields),
  }
end

return contract
