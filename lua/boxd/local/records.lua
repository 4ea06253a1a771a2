-- Templates and networks: records, with their effects.

local box_request = require "boxd.local.box_request"
local ids = require "boxd.local.ids"
local proxies = require "boxd.local.proxies"
local status = require "boxd.local.status"

local fail = status.fail

local records = {}
records.__index = records

-- Opens what the store has, and makes the default network.
function records.open(store)
  local self = setmetatable({ store = store }, records)
  for id, network in pairs(store:all "networks") do
    if network.default then self.default_network = id end
  end
  if not self.default_network then
    self.default_network = self:new_network("default", true)
  end
  return self
end

function records:new_network(name, default)
  local id = ids.new("net-")
  local taken = {}
  for _, network in pairs(self.store:all "networks") do
    taken[network.subnet] = true
  end
  local n = 0
  while taken[("10.%d.%d.0/24"):format(64 + n // 256, n % 256)] do n = n + 1 end
  self.store:put("networks", id, { id = id, name = name, default = default,
    subnet = ("10.%d.%d.0/24"):format(64 + n // 256, n % 256),
    created_at = os.time() })
  return id
end

local function find_template(self, id)
  local template = id and self.store:all("templates")[id]
  if not template then fail("NOT_FOUND", "no template '%s'", id or "") end
  return template
end

local function create_template(service, request)
  if not request.name then fail("INVALID_ARGUMENT", "name is missing") end
  local store = service.store
  for _, other in pairs(store:all "templates") do
    if other.name == request.name then
      fail("ALREADY_EXISTS", "there is a template named '%s' already",
        request.name)
    end
  end
  box_request.check_image(request.image_ref)
  box_request.fields({ config = request.config }, service.limits) -- it raises for a bad one
  local id = ids.new("tpl-")
  store:put("templates", id, { id = id, name = request.name,
    image = request.image_ref, config = request.config,
    created_at = os.time() })
  return { template_id = id, name = request.name, status = "ready" }
end

local function list_templates(service)
  local out = {}
  for i, t in ipairs(service.store:list "templates") do
    local config = t.config or {}
    out[i] = { template_id = t.id, name = t.name, image_ref = t.image,
      status = "ready", vcpu = config.vcpu, memory_bytes = config.memory_bytes }
  end
  return { templates = out }
end

-- The template's config, with the fields that the request sets over it.
local function merged(base, over)
  local out = {}
  for k, v in pairs(base or {}) do out[k] = v end
  for k, v in pairs(over or {}) do
    if v ~= 0 then out[k] = v end
  end
  return out
end

local function create_from_template(service, request)
  local template = find_template(service.records, request.template_id)
  local record = service.boxes:create({
    name = request.name, image_ref = template.image,
    config = merged(template.config, request.config),
  }, function(box, volumes) service.disks:attach_all(box, volumes) end)
  return { vm_id = record.id, name = record.name, status = record.status,
    public_ip = record.public_ip, url = proxies.url(record),
    boot_time_ms = record.boot_time_ms }
end

records.rpcs = {
  CreateTemplate = create_template,
  ListTemplates = list_templates,
  DeleteTemplate = function(service, request)
    find_template(service.records, request.template_id)
    service.store:remove("templates", request.template_id)
    return {}
  end,
  CreateVmFromTemplate = create_from_template,
  CreateNetwork = function(service, request)
    return { network_id = service.records:new_network(request.name) }
  end,
  ListNetworks = function(service)
    local out = {}
    for i, n in ipairs(service.store:list "networks") do
      out[i] = { network_id = n.id, subnet = n.subnet, status = "active" }
    end
    return { networks = out }
  end,
}

return records
