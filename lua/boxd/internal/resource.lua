-- What the services of a Compute share: a client's calls with their default
-- timeout, objects that keep their Compute privately, rows turned into methods.

local core = require "boxd.core"
local boxd = require "boxd"
local check = require "boxd.internal.check"
core.internal()

local resource = {}

-- One unary call; opts may hold `timeout` (seconds; default: the Compute's).
-- into: the type of the object that is made of the reply, or one to refresh.
function resource.call(object, rpc, request, opts, into)
  return core.call(object, rpc, request, opts and opts.timeout, into)
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

-- Is v an object of the type?
function resource.is(v, of) return core.type(v) == of end

-- The id of an object of a type, or the string itself.
function resource.id(index, method, v, of)
  if core.type(v) == of then return v.id end
  if type(v) == "string" then return v end
  check.fail(index, method, "boxd." .. of .. " or string", v)
end

return resource
