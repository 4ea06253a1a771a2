-- Variables: values of the account that are in the environment of boxes'
-- commands, by scope. Secrets are those whose value is never returned. The
-- files that have them are for the service's user only, as all of the state is.

local box_request = require "boxd.local.box_request"
local ids = require "boxd.local.ids"
local status = require "boxd.local.status"

local fail = status.fail

local VALUE_MAX, COUNT_MAX = 64 << 10, 1024
local DEFAULT_SCOPE = "private"

-- Whether a box has the variables of a scope; later ones win.
local SCOPES = { "all", "shared", "private", "unattached",
  "private-unattached" }

-- By its spec.
local function lists(record, name)
  for _, listed in ipairs(record.spec and record.spec.secrets or {}) do
    if listed == name then return true end
  end
  return false
end

local REACHES = {
  all = function() return true end,
  shared = function(record) return record.shared == true end,
  private = function() return true end,
  unattached = lists,
  ["private-unattached"] = lists,
}

local vars = {}
vars.__index = vars

function vars.new(service)
  return setmetatable({ service = service, records = service.store:all "vars" },
    vars)
end

function vars:add_env(record, values)
  local all = self.service.store:list "vars"
  for _, scope in ipairs(SCOPES) do
    for _, var in ipairs(all) do
      if var.scope == scope and REACHES[scope](record, var.name) then
        values[var.name] = var.value
      end
    end
  end
end

-- A text without the values of the secrets that a box has.
function vars:hide(record, text)
  for _, var in pairs(self.records) do
    if var.kind == "secret" and #var.value > 0
      and REACHES[var.scope](record, var.name) then
      local plain = var.value:gsub("%p", "%%%0")
      text = text:gsub(plain, "[secret " .. var.name .. "]")
    end
  end
  return text
end

local function find(self, scope, name)
  for _, var in pairs(self.records) do
    if var.scope == scope and var.name == name then return var end
  end
end

local function check_scope(scope, kind)
  scope = scope or DEFAULT_SCOPE
  if not REACHES[scope] then
    fail("INVALID_ARGUMENT", "'%s' is not a scope: %s", scope,
      table.concat(SCOPES, ", "))
  end
  if kind == "env" and REACHES[scope] == lists then
    fail("INVALID_ARGUMENT", "only secrets can be %s", scope)
  end
  return scope
end

local function check_kind(kind)
  if kind == "env" or kind == "secret" then return kind end
  fail("INVALID_ARGUMENT", "kind is 'env' or 'secret', not '%s'", kind or "")
end

local function check_value(value)
  value = value or ""
  if #value > VALUE_MAX or value:find "\0" then
    fail("INVALID_ARGUMENT", "a value has at most %d bytes, none of them zero",
      VALUE_MAX)
  end
  return value
end

local function check_domains(domains)
  if #(domains or {}) == 0 then return end
  fail("UNIMPLEMENTED", "the embedded service can't put a secret into requests "
    .. "on their way: without domains, boxes have the value itself")
end

-- No box may have more in its environment than programs can be started with.
local function check_total(service, name, value, scope)
  local cost = box_request.env_cost(name, value)
  for _, record in ipairs(service.boxes:list()) do
    if REACHES[scope](record, name) then
      box_request.check_env_total(service.boxes:env(record, name), cost)
    end
  end
end

local function set(service, request)
  box_request.check_org(request.org)
  check_domains(request.domains)
  local self, store = service.vars, service.store
  local kind, name = check_kind(request.kind), box_request.check_env_name(request.name)
  local scope = check_scope(request.scope, kind)
  local value = check_value(request.value)
  local var = find(self, scope, name)
  if var and var.kind ~= kind then
    fail("ALREADY_EXISTS", "%s is a%s here already: remove it first", name,
      var.kind == "env" and "n env var" or " secret")
  end
  check_total(service, name, value, scope)
  if var then
    store:update("vars", var, { value = value })
  elseif #store:list "vars" >= COUNT_MAX then
    fail("RESOURCE_EXHAUSTED", "%d variables are the limit here", COUNT_MAX)
  else
    local id = ids.new("var-", 8)
    store:put("vars", id, { id = id, kind = kind, name = name, scope = scope,
      value = value })
  end
  return { message = ("set %s (%s)"):format(name, scope) }
end

local function found(self, scope, name, kind)
  local var = find(self, scope, name)
  if var and (not kind or var.kind == kind) then return var end
  fail("NOT_FOUND", "no %s '%s' in scope %s", kind or "variable", name, scope)
end

local function remove(service, request)
  box_request.check_org(request.org)
  local kind, name = check_kind(request.kind), box_request.check_env_name(request.name)
  local scope = check_scope(request.scope, kind)
  local var = found(service.vars, scope, name, kind)
  service.store:remove("vars", var.id)
  return { message = ("removed %s (%s)"):format(name, scope) }
end

local function move(service, request)
  box_request.check_org(request.org)
  local self, name = service.vars, box_request.check_env_name(request.name)
  local var = found(self, check_scope(request.from), name)
  local to = check_scope(request.to, var.kind)
  if find(self, to, name) then
    fail("ALREADY_EXISTS", "%s is in scope %s already", name, to)
  end
  check_total(service, name, var.value, to)
  service.store:update("vars", var, { scope = to })
  return { message = ("moved %s from %s to %s"):format(name,
    request.from or DEFAULT_SCOPE, to) }
end

-- How many boxes have it by their specs.
local function bound(service, var)
  if REACHES[var.scope] ~= lists then return 0 end
  local n = 0
  for _, record in ipairs(service.boxes:list()) do
    if lists(record, var.name) then n = n + 1 end
  end
  return n
end

local function list(service, request)
  box_request.check_org(request.org)
  local kind, out = request.kind and check_kind(request.kind), {}
  for _, var in ipairs(service.store:list "vars") do
    if not kind or var.kind == kind then
      out[#out + 1] = { name = var.name, kind = var.kind, scope = var.scope,
        value = var.kind == "env" and var.value or nil,
        bound_machines = bound(service, var) }
    end
  end
  return { vars = out }
end

vars.rpcs = { SetVar = set, ListVars = list, RemoveVar = remove,
  SetSecretScope = move }

return vars
