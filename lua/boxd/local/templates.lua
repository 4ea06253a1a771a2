-- Templates: records of an image and a config, which boxes are made from.

local box_request = require "boxd.local.box_request"
local ids = require "boxd.local.ids"
local proxies = require "boxd.local.proxies"
local status = require "boxd.local.status"

local fail = status.fail

local function find(store, id)
  local template = id and store:all("templates")[id]
  if not template then fail("NOT_FOUND", "no template '%s'", id or "") end
  return template
end

local function create(service, request)
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

local function list(service)
  local out = {}
  for i, t in ipairs(service.store:list "templates") do
    local config = t.config or {}
    out[i] = { template_id = t.id, name = t.name, image_ref = t.image,
      status = "ready", vcpu = config.vcpu, memory_bytes = config.memory_bytes }
  end
  return { templates = out }
end

-- Zero and an empty list are what a request has that leaves the field out.
local function is_set(value)
  return value ~= 0 and not (type(value) == "table" and next(value) == nil)
end

-- The template's config, with the fields that the request sets over it.
local function merged(base, over)
  local out = {}
  for k, v in pairs(base or {}) do out[k] = v end
  for k, v in pairs(over or {}) do
    if is_set(v) then out[k] = v end
  end
  return out
end

local function create_box(service, request)
  local template = find(service.store, request.template_id)
  local record = service.boxes:create({
    name = request.name, image_ref = template.image,
    config = merged(template.config, request.config),
  }, function(box, volumes) service.disks:attach_all(box, volumes) end)
  return { vm_id = record.id, name = record.name, status = record.status,
    public_ip = record.public_ip, url = proxies.url(record),
    boot_time_ms = record.boot_time_ms }
end

local function delete(service, request)
  find(service.store, request.template_id)
  service.store:remove("templates", request.template_id)
  return {}
end

return {
  rpcs = {
    CreateTemplate = create,
    ListTemplates = list,
    DeleteTemplate = delete,
    CreateVmFromTemplate = create_box,
  },
}
