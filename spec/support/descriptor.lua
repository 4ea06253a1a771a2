-- Reads what `protoc --descriptor_set_out` writes, a FileDescriptorSet, into
-- rows written as in contract.tsv. It knows only what a contract file holds
-- and raises on everything else, so that nothing goes by unseen.

local descriptor = {}

-- FieldDescriptorProto.Type; messages carry their name instead.
local TYPES = {
  [1] = "double", [2] = "float", [3] = "int64", [4] = "uint64",
  [5] = "int32", [8] = "bool", [9] = "string", [12] = "bytes", [13] = "uint32",
}
local MESSAGE, REPEATED = 11, 3

-- The fields we know of each descriptor message: number = name. A name with
-- brackets may be repeated and is read into a list.
local FILE_SET = { [1] = "file[]" }
local FILE = { [1] = "name", [2] = "package", [4] = "message[]",
  [6] = "service[]", [12] = "syntax" }
local MESSAGE_TYPE = { [1] = "name", [2] = "field[]", [3] = "nested[]",
  [7] = "options", [8] = "oneof[]" }
local MESSAGE_OPTIONS = { [7] = "map_entry" }
local FIELD = { [1] = "name", [3] = "number", [4] = "label", [5] = "type",
  [6] = "type_name", [9] = "oneof_index", [10] = "json_name",
  [17] = "proto3_optional" }
local ONEOF = { [1] = "name" }
local SERVICE = { [1] = "name", [2] = "method[]" }
local METHOD = { [1] = "name", [2] = "input", [3] = "output",
  [5] = "client_streaming", [6] = "server_streaming" }

local function varint(bytes, at)
  local value, shift = 0, 0
  repeat
    local byte = bytes:byte(at) or error("descriptor ends inside a number")
    value = value | (byte & 0x7f) << shift
    at, shift = at + 1, shift + 7
  until byte < 0x80
  return value, at
end

-- Decodes one message into a table of the names in `shape`.
local function decode(bytes, shape)
  local out, at = {}, 1
  for _, name in pairs(shape) do
    if name:find "%[%]$" then out[name:sub(1, -3)] = {} end
  end
  while at <= #bytes do
    local key, value
    key, at = varint(bytes, at)
    if key & 7 == 0 then
      value, at = varint(bytes, at)
    elseif key & 7 == 2 then
      value, at = varint(bytes, at)
      at, value = at + value, bytes:sub(at, at + value - 1)
    else
      error("descriptor has wire type " .. (key & 7))
    end
    local name = shape[key >> 3]
    if not name then
      error(("%s has something we do not expect, field %d: %q")
        :format(out.name or "the descriptor", key >> 3, value))
    end
    local list = out[name:match "^(.*)%[%]$"]
    if list then list[#list + 1] = value else out[name] = value end
  end
  return out
end

local function local_name(type_name, package)
  local prefix = "." .. package .. "."
  assert(type_name:sub(1, #prefix) == prefix, type_name)
  return type_name:sub(#prefix + 1)
end

-- The map entries nested in a message: name -> "map<K,V>".
local function maps_of(message, package)
  local maps = {}
  for _, bytes in ipairs(message.nested) do
    local entry = decode(bytes, MESSAGE_TYPE)
    local options = decode(entry.options or "", MESSAGE_OPTIONS)
    assert(options.map_entry == 1, entry.name .. " is nested, but no map")
    local kinds = {}
    for i, field in ipairs(entry.field) do
      field = decode(field, FIELD)
      kinds[i] = TYPES[field.type] or local_name(field.type_name, package)
    end
    maps[message.name .. "." .. entry.name] =
      ("map<%s,%s>"):format(kinds[1], kinds[2])
  end
  return maps
end

-- The type and label columns of a field.
local function describe(field, message, maps, package)
  local kind = TYPES[field.type]
  if field.type == MESSAGE then
    kind = local_name(field.type_name, package)
    if maps[kind] then return maps[kind], "map" end
  end
  assert(kind, field.name .. " has a type we do not expect")
  if field.proto3_optional == 1 then return kind, "optional" end
  if field.label == REPEATED then return kind, "repeated" end
  if field.oneof_index then
    local oneof = decode(message.oneof[field.oneof_index + 1], ONEOF)
    return kind, "oneof " .. oneof.name
  end
  return kind, ""
end

local function add_message(rows, message, package)
  rows.messages[#rows.messages + 1] = message.name
  assert(not message.options, message.name .. " has options")
  local maps = maps_of(message, package)
  for _, bytes in ipairs(message.field) do
    local field = decode(bytes, FIELD)
    rows.fields[#rows.fields + 1] = table.concat(
      { message.name, field.number, field.name,
        describe(field, message, maps, package) }, "\t")
  end
end

local function add_method(rows, method, package)
  local function side(name, streamed)
    return (streamed == 1 and "stream " or "") .. local_name(name, package)
  end
  rows.rpcs[#rows.rpcs + 1] = table.concat({ method.name,
    side(method.input, method.client_streaming),
    side(method.output, method.server_streaming) }, "\t")
end

-- Rows of the one file in `bytes`: { package, syntax, service, rpcs = {...},
-- messages = {...}, fields = {...} }, columns parted by tabs.
function descriptor.rows(bytes)
  local files = decode(bytes, FILE_SET).file
  assert(#files == 1, "want one file in the descriptor set")
  local file = decode(files[1], FILE)
  assert(#file.service == 1, "want one service in the file")
  local service = decode(file.service[1], SERVICE)
  local rows = { package = file.package, syntax = file.syntax,
    service = service.name, rpcs = {}, messages = {}, fields = {} }
  for _, message in ipairs(file.message) do
    add_message(rows, decode(message, MESSAGE_TYPE), file.package)
  end
  for _, method in ipairs(service.method) do
    add_method(rows, decode(method, METHOD), file.package)
  end
  return rows
end

return descriptor
