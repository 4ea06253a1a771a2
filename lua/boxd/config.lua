-- boxd.BoxConfig and what becomes of a config in a request.

local core = require "boxd.core"
local check = require "boxd.check"
core.internal()

local config = {}

local FIELDS = { "vcpu", "memory", "disk", "env", "cmd", "restart_policy",
  "lifecycle", "network", "volumes" }
local LIFECYCLE = { "auto_suspend_timeout", "auto_destroy_timeout" }
local NETWORK = { "ssh", "proxies" }
local PROXY = { "name", "port" }
local VOLUME = { "disk_id", "mount_path", "read_only" }

local function sub_options(what, t, names)
  if t == nil then return nil end
  if type(t) ~= "table" then
    check.invalid("%s: a table expected, not a %s", what, type(t))
  end
  core.text.options(t, what, names)
  return t
end

-- Each entry of a list, checked for its names.
local function entries(what, t, names)
  if t == nil then return nil end
  if type(t) ~= "table" then
    check.invalid("%s: a list expected, not a %s", what, type(t))
  end
  local out = {}
  for i, entry in ipairs(t) do
    sub_options(("%s[%d]"):format(what, i), entry, names)
    local copy = {}
    for k, v in pairs(entry) do copy[k] = v end
    out[i] = copy
  end
  return out
end

local function env_list(env)
  if env == nil then return nil end
  if type(env) ~= "table" then
    check.invalid("config.env: a table expected, not a %s", type(env))
  end
  local out = {}
  for key, value in pairs(env) do
    if type(key) ~= "string" or not key:find("^[%a_][%w_]*$") then
      check.invalid("config.env: '%s' is no name of a variable (letters, "
        .. "digits and _, no digit first)", tostring(key))
    end
    out[#out + 1] = { key = key, value = value }
  end
  table.sort(out, function(a, b) return a.key < b.key end)
  return out
end

-- The VmConfig message; nil when nothing of it is set.
local function vm_config(c)
  local lifecycle = sub_options("config.lifecycle", c.lifecycle, LIFECYCLE)
  local network = sub_options("config.network", c.network, NETWORK)
  local out = {
    vcpu = c.vcpu,
    memory_bytes = c.memory and check.size("config.memory", c.memory),
    disk_bytes = c.disk and check.size("config.disk", c.disk),
    srf = lifecycle and {
      auto_suspend_timeout_secs = lifecycle.auto_suspend_timeout,
      auto_destroy_timeout_secs = lifecycle.auto_destroy_timeout,
    },
    network = network and {
      ssh = network.ssh,
      proxies = entries("config.network.proxies", network.proxies, PROXY),
    },
    volumes = entries("config.volumes", c.volumes, VOLUME),
  }
  return next(out) and out or nil
end

local function checked(c)
  if type(c) ~= "table" then
    check.invalid("config: a table expected, not a %s", type(c))
  end
  core.text.options(c, "config", FIELDS)
  local policy = c.restart_policy
  if policy ~= nil and policy ~= "always" and policy ~= "never" then
    check.invalid("config.restart_policy: \"always\" or \"never\", not %s",
      type(policy) == "string" and ("%q"):format(policy) or type(policy))
  end
  return c
end

-- The VmConfig message of a config, for requests that hold nothing else of it.
function config.vm_config(c)
  if c == nil then return nil end
  checked(c)
  for _, name in ipairs { "env", "cmd", "restart_policy" } do
    if c[name] ~= nil then
      check.invalid("config.%s: only create takes it", name)
    end
  end
  return vm_config(c)
end

-- Puts a config where CreateVm has it: partly beside the VmConfig.
function config.apply(c, request)
  if c == nil then return request end
  checked(c)
  request.env = env_list(c.env)
  request.cmd = c.cmd
  request.restart_policy = c.restart_policy or "always"
  request.config = vm_config(c)
  return request
end

-- boxd.BoxConfig{...}: the same table, checked.
function config.BoxConfig(c)
  config.apply(c == nil and {} or c, {})
  return c or {}
end

return config
