-- Proxies: ports of this machine that lead to a port of a box. A record's list
-- `proxies` has { name, port, gate }: the box's port (0: found, see found_port.lua)
-- and this machine's, which is kept over restarts where it is still free. The
-- first is the default one, whose name is empty.

local box_request = require "boxd.local.box_request"
local found_port = require "boxd.local.found_port"
local listeners = require "boxd.local.listeners"
local status = require "boxd.local.status"

local fail = status.fail

local proxies = {}
proxies.__index = proxies

-- listeners: open ones, by record id and name.
function proxies.new(service)
  return setmetatable({ service = service, listeners = {},
    found = found_port.new(service) }, proxies)
end

local function find(record, name)
  name = name or ""
  for i, proxy in ipairs(record.proxies) do
    if proxy.name == name then return proxy, i end
  end
  fail("NOT_FOUND", "box '%s' has no proxy '%s': the name of its default one is "
    .. "empty", record.name, name)
end

-- Opening and closing.

-- The box's port that a proxy leads to now.
function proxies:port(record, handle, name)
  local port = find(record, name).port
  return port ~= 0 and port or self.found:await(record, handle)
end

-- A connection to a box's default proxy, as its gate makes them, or nil.
function proxies:connect(record)
  local ok, handle = pcall(self.service.boxes.handle, self.service.boxes,
    record)
  if not ok then return nil end
  local port = self:port(record, handle)
  return self.service.spawner:connect(handle, port)
end

local function open(self, record, proxy)
  local gate = listeners.open(self.service, record, proxy.gate, function(handle)
    return self:port(record, handle, proxy.name)
  end)
  self.listeners[record.id] = self.listeners[record.id] or {}
  self.listeners[record.id][proxy.name] = gate
  return gate:port()
end

local function close(self, record, name)
  local gate = self.listeners[record.id][name]
  self.listeners[record.id][name] = nil
  gate:close()
end

local function copy_list(list)
  local out = {}
  for i, proxy in ipairs(list) do
    out[i] = { name = proxy.name, port = proxy.port, gate = proxy.gate }
  end
  return out
end

function proxies:prepare(record)
  local list = copy_list(record.proxies)
  local moved = list[1].name == "default" -- by a service of version 0.1.0
  if moved then list[1].name = "" end
  for _, proxy in ipairs(list) do
    local port = open(self, record, proxy)
    moved = moved or port ~= proxy.gate
    proxy.gate = port
  end
  if moved then self.service.boxes:note(record, { proxies = list }) end
end

function proxies:gone(record)
  for name in pairs(self.listeners[record.id] or {}) do
    close(self, record, name)
  end
  self.listeners[record.id] = nil
  self.found:gone(record)
end

-- The box has ended, and its listeners with it.
function proxies:up(record) self.found:gone(record) end

local function domain_of(proxy) return "127.0.0.1:" .. proxy.gate end

-- Where a box answers: its default proxy.
function proxies.url(record) return "http://" .. domain_of(find(record)) end

function proxies:show(record, out) -- luacheck: ignore self
  local proxy = find(record)
  if proxy.gate then out.access_domain = domain_of(proxy) end
end

-- RPCs.

local function info(record, proxy, effective)
  return { name = proxy.name, vm_name = record.name, vm_id = record.id,
    domain = domain_of(proxy), port = proxy.port, effective_port = effective,
    port_display = proxy.port == 0 and "auto" or tostring(proxy.port),
    port_mode = proxy.port == 0 and "auto" or "locked",
    is_default = proxy.name == "" }
end

local function create(service, request)
  local name = box_request.check_proxy_name(request.name or "")
  local port = box_request.check_port(request.port)
  local record = service.boxes:find_vm(request)
  local _lock <close> = service.boxes:lock(record)
  local list = copy_list(record.proxies)
  for _, other in ipairs(list) do
    if other.name == name then
      fail("ALREADY_EXISTS", "box '%s' has a proxy '%s' already", record.name,
        name)
    end
  end
  if #list >= box_request.PROXIES_MAX then
    fail("RESOURCE_EXHAUSTED", "%d proxies a box are the limit here", #list)
  end
  local proxy = { name = name, port = port }
  proxy.gate = open(service.proxies, record, proxy)
  list[#list + 1] = proxy
  local ok, e = pcall(service.boxes.change, service.boxes, record,
    { proxies = list })
  if not ok then
    close(service.proxies, record, name)
    error(e, 0)
  end
  return { name = name, vm_name = record.name, port = port,
    domain = domain_of(proxy) }
end

local function set_port(service, request)
  local text = request.port or ""
  if text == "auto" then text = "0" end
  local port = text:find "^%d+$" and #text < 9 and math.tointeger(text)
  if not port then
    fail("INVALID_ARGUMENT", "'%s' is not a port: give a number, or 0 to have it "
      .. "found", text)
  end
  box_request.check_port(port)
  local record = service.boxes:find_vm(request)
  local _lock <close> = service.boxes:lock(record)
  local _, i = find(record, request.name)
  local list = copy_list(record.proxies)
  list[i].port = port
  service.boxes:change(record, { proxies = list })
  return {}
end

local function delete(service, request)
  local record = service.boxes:find_vm(request)
  local _lock <close> = service.boxes:lock(record)
  local proxy, i = find(record, request.name)
  if proxy.name == "" then
    fail("FAILED_PRECONDITION", "the default proxy stays with its box")
  end
  local list = copy_list(record.proxies)
  table.remove(list, i)
  service.boxes:change(record, { proxies = list })
  close(service.proxies, record, proxy.name)
  return {}
end

local function effective(service, record, proxy)
  if proxy.port ~= 0 then return proxy.port end
  local handle = record.status == "running" and service.boxes.live[record.id]
  return service.proxies.found:now(record, handle)
end

proxies.rpcs = {
  CreateProxy = create, SetProxyPort = set_port, DeleteProxy = delete,
  ListProxies = function(service, request)
    local record = service.boxes:find_vm(request)
    if record.new then service.boxes:lock(record):free() end -- it has none yet
    local out = {}
    for i, proxy in ipairs(copy_list(record.proxies)) do
      out[i] = info(record, proxy, effective(service, record, proxy))
    end
    return { proxies = out }
  end,
}

return proxies
