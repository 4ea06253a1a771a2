-- What methods that are written in Lua share.

local core = require "boxd.core"
local check = require "boxd.internal.check"
local kinds = require "boxd.internal.kinds"
local resource = require "boxd.internal.resource"
core.internal()

local method = {}

-- The id that stands in a request for an object of a type, an id or a name.
function method.id(index, name, v, of)
  local id = resource.id(index, name, v, of)
  if id == "" then
    check.invalid("%s: an id or a name expected, not \"\"", name)
  end
  return id
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

return method
