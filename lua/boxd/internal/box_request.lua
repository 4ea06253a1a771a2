-- What c.box:create, temporary, fork and list send.

local core = require "boxd.core"
local check = require "boxd.internal.check"
local config = require "boxd.config"
local kinds = require "boxd.internal.kinds"
local method = require "boxd.internal.method"
local resource = require "boxd.internal.resource"
local spec = require "boxd.spec"
core.internal()

local box_request = {}

-- Options whose field of CreateVmRequest has their name.
local PLAIN = { org = kinds.text, shared = kinds.switch, labels = kinds.map,
  networks = kinds.texts, isolated = kinds.switch, team = kinds.text }
local CREATE = { "name", "image", "config", "org", "shared", "labels",
  "networks", "isolated", "team", "spec", "from_snapshot", "timeout" }

-- The arguments of create and temporary: name and options, or options alone.
function box_request.create_options(name, opts, of)
  local index = 2
  if type(name) == "table" then
    if opts ~= nil then check.fail(2, of, "no value", opts) end
    name, opts, index = nil, name, 1
  end
  check.opt_string(1, of, name)
  opts = check.options(index, of, opts, CREATE)
  check.field(of, opts, "image", "string")
  local inner = check.field(of, opts, "name", "string")
  if name and inner and name ~= inner then
    check.invalid("%s: two names, %s and %s: give one", of, check.show(name),
      check.show(inner))
  end
  return name or inner, opts
end

local function refuse_beside(opts, what, names, why)
  for _, name in ipairs(names) do
    local v = opts[name]
    if v ~= nil and v ~= false then
      check.invalid("create: %s does not go with %s: %s", name, what, why)
    end
  end
end

-- A spec says these itself.
local function check_beside_spec(opts)
  refuse_beside(opts, "spec", { "image", "networks", "isolated", "labels" },
    "put it in the spec")
  local c = type(opts.config) == "table" and opts.config or {}
  for _, name in ipairs { "env", "vcpu", "memory" } do
    if c[name] ~= nil then
      check.invalid("create: config.%s does not go with spec: put it in the "
        .. "spec%s", name, name == "env" and "" or " (size)")
    end
  end
end

local function from_snapshot(opts, request)
  refuse_beside(opts, "from_snapshot",
    { "image", "shared", "networks", "team" },
    "a snapshot is restored as it was taken")
  local v = opts.from_snapshot
  if resource.is(v, "Snapshot") then
    v = v.id
  else
    check.field("create", opts, "from_snapshot", "string")
  end
  if v == "" then check.invalid("create: from_snapshot is a name or an id") end
  request.snapshot = v
  request.config = config.vm_config(opts.config, "a box from a snapshot takes "
    .. "it from there")
  return "CreateVmFromSnapshot", request
end

-- The RPC that makes a box, and its request.
function box_request.create(name, opts)
  local request = { name = name }
  for option, kind in pairs(PLAIN) do
    request[option] = method.option("create", opts, option, kind)
  end
  if opts.spec ~= nil then
    check.field("create", opts, "spec", "table")
    check_beside_spec(opts)
    request.spec = spec.spec(opts.spec)
  end
  if opts.from_snapshot ~= nil then return from_snapshot(opts, request) end
  request.image_ref = opts.image
  return "CreateVm", config.apply(opts.config, request)
end

box_request.FORK = { "name", "config", "shared", "networks", "isolated",
  "labels", "timeout" }

function box_request.fork(source_id, opts)
  local request = { source_vm_id = source_id,
    name = check.field("fork", opts, "name", "string"),
    config = config.vm_config(opts.config) }
  for _, option in ipairs { "shared", "networks", "isolated", "labels" } do
    request[option] = method.option("fork", opts, option, PLAIN[option])
  end
  return request
end

return box_request
