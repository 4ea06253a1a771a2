-- c.network: networks that boxes share.

local core = require "boxd.core"
local check = require "boxd.check"
local resource = require "boxd.resource"
core.internal()

local function new(_, message)
  return resource.fields(message, { network_id = "id" }, {})
end

local service = {}

-- c.network:create(name="") -> { id = }
function service:create(name, opts)
  name, opts = check.trailing(name, opts)
  name = check.opt_string(1, "create", name)
  opts = check.options(2, "create", opts, { "timeout" })
  local compute = resource.compute(self)
  return new(compute,
    resource.call(compute, "CreateNetwork", { name = name }, opts))
end

service.list = resource.lister("ListNetworks", "networks", new)

return { service = resource.service("Networks", service) }
