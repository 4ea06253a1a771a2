-- What the services of a Compute share: a client's calls with their default
-- timeout, objects that keep their Compute privately, rows turned into methods.

local core = require "boxd.core"
local boxd = require "boxd"
local check = require "boxd.check"
core.internal()

local resource = {}

-- The private keys of an object's Compute (of a Compute: its client) and of
-- what a Compute was made of.
local COMPUTE, OPTIONS = {}, {}

-- What an object was made with: its Compute, or a Compute's client.
local function owner(object)
  return type(object) == "table" and rawget(object, COMPUTE) or check.self()
end

-- Is it an object of ours, as a method has for its self?
function check.is_object(v)
  return type(v) == "table" and rawget(v, COMPUTE) ~= nil
end

-- What took the place of RPCs that today's service has no longer.
local SNAPSHOTS = "templates have given way to snapshots: c.snapshot:%s"
local SUCCESSORS = {
  CreateTemplate = SNAPSHOTS:format "create(box, name)",
  ListTemplates = SNAPSHOTS:format "list()",
  DeleteTemplate = SNAPSHOTS:format "delete(name)",
  CreateVmFromTemplate = "templates have given way to snapshots: "
    .. "c.box:create{ from_snapshot = name }",
  BindDomain = "custom domains have taken its place: AddCustomDomain, which "
    .. "c.domain:bind uses",
  UnbindDomain = "custom domains have taken its place: RemoveCustomDomain, "
    .. "which c.domain:unbind uses",
  ListDomains = "custom domains have taken its place: ListCustomDomains, "
    .. "which c.domain:list uses",
  ChangeShape = "a box has a size of its own now: box:resize{ vcpu = 2 }",
}

-- One unary call; opts may hold `timeout` (seconds; default: the client's).
function resource.call(compute, rpc, request, opts)
  local client, successor = owner(compute), SUCCESSORS[rpc]
  local timeout = opts and opts.timeout or compute.timeout
  if not successor then return client:call(rpc, request, timeout) end
  local ok, reply = pcall(client.call, client, rpc, request, timeout)
  if ok then return reply end
  if type(reply) == "table" and reply.code == "UNIMPLEMENTED" then
    reply.message = ("%s: %s"):format(reply.message or rpc, successor)
  end
  error(reply, 0)
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

-- The userdata under a Compute.
resource.client = owner

-- A Compute's userdata, and what it was made of.
function resource.connect(compute, options)
  rawset(compute, OPTIONS, options)
  return resource.own(compute, core.client(options))
end

-- One call, also when the Compute has been closed: by a client of its own.
function resource.call_anyway(compute, rpc, request, opts)
  if owner(compute):is_open() then
    return resource.call(compute, rpc, request, opts)
  end
  local client <close> = core.client(compute[OPTIONS])
  return client:call(rpc, request, opts and opts.timeout or compute.timeout)
end

function resource.own(object, compute)
  rawset(object, COMPUTE, compute)
  return object
end

resource.compute = owner

-- Is v of a class, or of one that says to be a kind of it?
function resource.is(v, class)
  local meta = getmetatable(v)
  return meta == class or type(meta) == "table" and rawget(meta, "kind") == class
end

-- The id of an object of a class, or the string itself.
function resource.id(index, method, v, class)
  if resource.is(v, class) then return v.id end
  if type(v) == "string" then return v end
  check.fail(index, method, class.__name .. " or string", v)
end

-- Copies a message's fields under the names that objects have.
function resource.fields(message, names, into)
  for from, value in pairs(message) do into[names[from] or from] = value end
  return into
end

-- A message with its fields under those names: the same table.
function resource.rename(message, names)
  for from, to in pairs(names) do
    local value = message[from]
    if value ~= nil then message[to], message[from] = value, nil end
  end
  return message
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
