-- c.template and Template: an image and a config that boxes are made from.
-- The 0.1 contract has them; today's service answers UNIMPLEMENTED.

local core = require "boxd.core"
local box = require "boxd.box"
local check = require "boxd.check"
local config = require "boxd.config"
local resource = require "boxd.resource"
local volumes = require "boxd.volumes"
core.internal()

local call, compute_of = resource.call, resource.compute

local Template = { __name = "boxd.Template" }

function Template:__tostring()
  return ("Template(id=%q, name=%q, image=%q, status=%q)"):format(
    self.id, self.name or "", self.image or "", self.status or "")
end

local NAMES = { template_id = "id", image_ref = "image" }

local function new(compute, message)
  local template = resource.fields(message, NAMES, {})
  return setmetatable(resource.own(template, compute), Template)
end

local service = {}

-- c.template:create{ name=, image=, config= }
function service:create(opts)
  opts = check.options(1, "create", opts,
    { "name", "image", "config", "timeout" })
  local name = check.field("create", opts, "name", "string")
  if not name or name == "" then
    check.invalid("create: a template needs a name")
  end
  local image = check.field("create", opts, "image", "string")
  local compute = compute_of(self)
  local settings = config.vm_config(opts.config)
  local template = new(compute, call(compute, "CreateTemplate",
    { name = name, image_ref = image, config = settings }, opts))
  template.image = image
  template.vcpu = settings and settings.vcpu
  template.memory_bytes = settings and settings.memory_bytes
  return template
end

service.list = resource.lister("ListTemplates", "templates", new)

-- c.template:create_vm(template_or_id, { name=, config= }) -> Box
function service:create_vm(template, opts)
  local id = resource.id(1, "create_vm", template, Template)
  opts = check.options(2, "create_vm", opts, { "name", "config", "timeout" })
  local compute = compute_of(self)
  local made = box.new(compute, volumes.call(compute, "CreateVmFromTemplate", {
    template_id = id,
    name = check.field("create_vm", opts, "name", "string"),
    config = config.vm_config(opts.config),
  }, opts))
  if type(template) == "table" then made.image = template.image end
  return made
end

-- c.template:delete(template_or_id)
function service:delete(template, opts)
  local id = resource.id(1, "delete", template, Template)
  opts = check.options(2, "delete", opts, { "timeout" })
  call(compute_of(self), "DeleteTemplate", { template_id = id }, opts)
end

return { service = resource.service("Templates", service) }
