-- boxd.BoxConfig, and a config as a request has it. Everything is
-- checked here, so that errors name the fields as the script wrote them.

local core = require "boxd.core"
local check = require "boxd.internal.check"
local kinds = require "boxd.internal.kinds"
local resource = require "boxd.internal.resource"
core.internal()

local record, list = kinds.record, kinds.list
local text, switch, count = kinds.text, kinds.switch, kinds.count

local config = {}

local function policy(what, v)
  if v ~= "always" and v ~= "never" then
    kinds.refuse(what, "\"always\" or \"never\"", v)
  end
  return v
end

-- A disk's id or name, or a Disk.
local function a_disk(what, v)
  return text(what, resource.is(v, "Disk") and v.id or v)
end

local read = record {
  vcpu = { count }, memory = { check.size, "memory_bytes" },
  disk = { check.size, "disk_bytes" },
  env = { kinds.variables }, cmd = { list(text) }, restart_policy = { policy },
  lifecycle = { record {
    auto_suspend_timeout = { count, "auto_suspend_timeout_secs" },
    auto_destroy_timeout = { count, "auto_destroy_timeout_secs" },
  }, "srf" },
  network = { record {
    ssh = { switch, default = true },
    proxies = { list(record {
      name = { text, needed = true }, port = { kinds.port },
    }) },
  } },
  idle_ignore_outbound = { switch },
  volumes = { list(record {
    disk_id = { a_disk, needed = true }, mount_path = { text, needed = true },
    read_only = { switch },
  }) },
}

-- Fields of a config that CreateVm has beside the VmConfig.
local BESIDE = { "env", "cmd", "restart_policy" }

-- The VmConfig message of a config, for requests that hold nothing else of it
-- (`why`, if given); nil when nothing is set.
function config.vm_config(c, why)
  if c == nil then return nil end
  local message = read("config", c)
  for _, name in ipairs(BESIDE) do
    if message[name] ~= nil then
      check.invalid("config.%s: %s", name,
        why or "only create of a box takes it")
    end
  end
  return next(message) and message or nil
end

-- Puts a config where CreateVm has it.
function config.apply(c, request)
  if c == nil then return request end
  local message = read("config", c)
  for _, name in ipairs(BESIDE) do
    request[name], message[name] = message[name], nil
  end
  request.restart_policy = request.restart_policy or "always"
  request.config = next(message) and message or nil
  return request
end

-- boxd.BoxConfig{...}: the same table, checked.
function config.BoxConfig(c)
  read("config", check.opt_table(1, "BoxConfig", c))
  return c or {}
end

return config
