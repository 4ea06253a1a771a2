-- Networks: records of a name and a subnet, one of them the default.

local ids = require "boxd.local.ids"

local networks = {}
networks.__index = networks

-- Makes the default network where the store has none.
function networks.open(store)
  local self = setmetatable({ store = store }, networks)
  for id, network in pairs(store:all "networks") do
    if network.default then self.default = id end
  end
  self.default = self.default or self:create("default", true)
  return self
end

local function subnet(n) return ("10.%d.%d.0/24"):format(64 + n // 256, n % 256) end

-- Returns the id of a new network, which has the first free subnet.
function networks:create(name, default)
  local id = ids.new("net-")
  local taken, n = {}, 0
  for _, network in pairs(self.store:all "networks") do
    taken[network.subnet] = true
  end
  while taken[subnet(n)] do n = n + 1 end
  self.store:put("networks", id, { id = id, name = name, default = default,
    subnet = subnet(n), created_at = os.time() })
  return id
end

networks.rpcs = {
  CreateNetwork = function(service, request)
    return { network_id = service.networks:create(request.name) }
  end,
  ListNetworks = function(service)
    local out = {}
    for i, n in ipairs(service.store:list "networks") do
      out[i] = { network_id = n.id, subnet = n.subnet, status = "active" }
    end
    return { networks = out }
  end,
}

return networks
