-- Proxies: ports of this machine that lead to a port of a box.

local status = require "boxd.local.status"

local fail = status.fail

local DEFAULT_PORT = 8000

local proxies = {}

-- Every box has one from the start.
local function of(record)
  if not record.proxies then
    record.proxies = { { name = "default", port = DEFAULT_PORT } }
  end
  return record.proxies
end

local function find(record, name)
  name = name or "default"
  for i, proxy in ipairs(of(record)) do
    if proxy.name == name then return proxy, i end
  end
  fail("NOT_FOUND", "box '%s' has no proxy '%s'", record.name, name)
end

local function info(record, proxy)
  return { name = proxy.name, vm_name = record.name, vm_id = record.id,
    port = proxy.port, is_default = proxy.name == "default" }
end

local function save(service, record)
  service.store:put("boxes", record.id, record)
end

local function create(service, request)
  local record = service.boxes:find_vm(request)
  local name = request.name or ""
  if #name > 63 or not name:find "^[a-z0-9][a-z0-9-]*$" then
    fail("INVALID_ARGUMENT", "'%s' is no name of a proxy: 1 to 63 of a-z, 0-9 "
      .. "and '-'", name)
  end
  if request.port > 65535 then
    fail("INVALID_ARGUMENT", "%d is no port", request.port)
  end
  for _, other in ipairs(of(record)) do
    if other.name == name then
      fail("ALREADY_EXISTS", "box '%s' has a proxy '%s' already", record.name,
        name)
    end
  end
  local proxy = { name = name, port = request.port }
  table.insert(of(record), proxy)
  save(service, record)
  return { name = name, vm_name = record.name, port = proxy.port }
end

local function set_port(service, request)
  local record = service.boxes:find_vm(request)
  local port = math.tointeger(tonumber(request.port or "", 10))
  if not port or port < 0 or port > 65535 then
    fail("INVALID_ARGUMENT", "'%s' is no port", request.port or "")
  end
  find(record, request.name).port = port
  save(service, record)
  return {}
end

local function delete(service, request)
  local record = service.boxes:find_vm(request)
  local proxy, i = find(record, request.name)
  if proxy.name == "default" then
    fail("FAILED_PRECONDITION", "the default proxy stays with its box")
  end
  table.remove(of(record), i)
  save(service, record)
  return {}
end

proxies.rpcs = {
  CreateProxy = create, SetProxyPort = set_port, DeleteProxy = delete,
  ListProxies = function(service, request)
    local record = service.boxes:find_vm(request)
    local out = {}
    for i, proxy in ipairs(of(record)) do out[i] = info(record, proxy) end
    return { proxies = out }
  end,
}

return proxies
