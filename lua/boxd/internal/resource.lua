-- Calls of methods that are written in Lua.

local core = require "boxd.core"
local boxd = require "boxd"
local check = require "boxd.internal.check"
core.internal()

local resource = {}

-- One unary call; opts may hold `timeout` (seconds; default: the Compute's).
function resource.call(object, rpc, request, opts)
  return core.call(object, rpc, request, opts and opts.timeout)
end

-- The options of a method that makes several calls: its time, `limit` (seconds;
-- nil: none), is for all of them.
function resource.within(opts, limit)
  if not limit then return opts end
  local ends = boxd.now() + limit
  return setmetatable({}, { __index = function(_, name)
    if name ~= "timeout" then return opts[name] end
    return math.max(ends - boxd.now(), 0.001)
  end })
end

-- The Compute of an object of ours.
resource.compute = core.compute

-- The id of an object of a type, or the string itself.
function resource.id(index, method, v, of)
  if core.type(v) == of then return v.id end
  if type(v) ~= "string" then
    check.fail(index, method, "boxd." .. of .. " or string", v)
  end
  if v == "" then
    check.invalid("%s: an id or a name expected, not \"\"", method)
  end
  return v
end

return resource
