-- c.template and Template: an image and a config that boxes are made from.
-- The 0.1 contract has them; today's service answers UNIMPLEMENTED.

local core = require "boxd.core"
local check = require "boxd.internal.check"
local config = require "boxd.config"
local resource = require "boxd.internal.resource"
local volumes = require "boxd.internal.volumes"
core.internal()

local call, compute_of = resource.call, resource.compute

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
  local template = call(compute, "CreateTemplate",
    { name = name, image_ref = image, config = settings }, opts, "Template")
  core.set(template, "image", image)
  core.set(template, "vcpu", settings and settings.vcpu)
  core.set(template, "memory_bytes", settings and settings.memory_bytes)
  return template
end

-- c.template:create_vm(template_or_id, { name=, config= }) -> Box
function service:create_vm(template, opts)
  local id = resource.id(1, "create_vm", template, "Template")
  opts = check.options(2, "create_vm", opts, { "name", "config", "timeout" })
  local compute = compute_of(self)
  local made = volumes.call(compute, "CreateVmFromTemplate", {
    template_id = id,
    name = check.field("create_vm", opts, "name", "string"),
    config = config.vm_config(opts.config),
  }, opts, "Box")
  if type(template) ~= "string" then
    core.set(made, "image", template.image)
  end
  return made
end

core.methods("boxd.Templates", service)
