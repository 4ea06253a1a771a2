-- What the services of a Compute share: a client's calls with their default
-- timeout, objects that keep their Compute privately, rows turned into methods.

local core = require "boxd.core"
local check = require "boxd.check"
core.internal()

local resource = {}

local COMPUTE = {} -- the private key of an object's Compute

-- What an object was made with: its Compute, or a Compute's client.
local function owner(object)
  return type(object) == "table" and rawget(object, COMPUTE) or check.self()
end

-- One unary call; opts may hold `timeout` (seconds; default: the client's).
function resource.call(compute, rpc, request, opts)
  return owner(compute):call(rpc, request,
    opts and opts.timeout or compute.timeout)
end

-- The userdata under a Compute.
resource.client = owner

function resource.own(object, compute)
  rawset(object, COMPUTE, compute)
  return object
end

resource.compute = owner

-- The id of an object of a class, or the string itself.
function resource.id(index, method, v, class)
  if getmetatable(v) == class then return v.id end
  if type(v) == "string" then return v end
  check.fail(index, method, class.__name .. " or string", v)
end

-- Copies a message's fields under the names that objects have.
function resource.fields(message, names, into)
  for from, value in pairs(message) do into[names[from] or from] = value end
  return into
end

-- Makes the class of a service, c.NAME: methods called with the service itself,
-- which holds its Compute.
function resource.service(name, methods)
  local class = { __name = "boxd." .. name, __index = methods }
  return function(compute)
    return setmetatable(resource.own({}, compute), class)
  end
end

-- The method of a row { rpc, list = field, wrap = function(compute, message) }
-- that takes no argument and returns a list.
function resource.lister(rpc, field, wrap)
  return function(self, opts)
    opts = check.options(1, "list", opts, { "timeout" })
    local compute = owner(self)
    local out = resource.call(compute, rpc, {}, opts)[field]
    if wrap then
      for i, message in ipairs(out) do out[i] = wrap(compute, message) end
    end
    return out
  end
end

return resource
