-- Exposed ports: ports of this machine that lead to one of a box's, whatever
-- listens there. A record's list `ports` has { port, gate }: the box's and this
-- machine's, which is kept over restarts where it is still free.

local listeners = require "boxd.local.listeners"
local status = require "boxd.local.status"

local fail = status.fail

local COUNT_MAX = 3 -- a box, as the real service has it

local ports = {}
ports.__index = ports

-- listeners: open ones, by record id and port of the box.
function ports.new(service)
  return setmetatable({ service = service, listeners = {} }, ports)
end

local function open(self, record, port, wanted)
  local gate = listeners.open(self.service, record, wanted,
    function() return port end)
  self.listeners[record.id] = self.listeners[record.id] or {}
  self.listeners[record.id][port] = gate
  return gate:port()
end

local function close(self, record, port)
  self.listeners[record.id][port]:close()
  self.listeners[record.id][port] = nil
end

local function copy_list(record)
  local out = {}
  for i, entry in ipairs(record.ports or {}) do
    out[i] = { port = entry.port, gate = entry.gate }
  end
  return out
end

function ports:prepare(record)
  local list, moved = copy_list(record), false
  for _, entry in ipairs(list) do
    local port = open(self, record, entry.port, entry.gate)
    moved = moved or port ~= entry.gate
    entry.gate = port
  end
  if moved then self.service.boxes:note(record, { ports = list }) end
end

function ports:gone(record)
  for port in pairs(self.listeners[record.id] or {}) do close(self, record, port) end
  self.listeners[record.id] = nil
end

-- RPCs.

local function info(record, entry)
  return { vm_name = record.name, vm_id = record.id, dns = "127.0.0.1",
    public_port = entry.gate, vm_port = entry.port, protocol = "tcp" }
end

local function find(list, port)
  for i, entry in ipairs(list) do
    if entry.port == port then return entry, i end
  end
end

local function check(request)
  if request.vm_port < 1 or request.vm_port > 65535 then
    fail("INVALID_ARGUMENT", "vm_port is 1 to 65535, not %d", request.vm_port)
  end
  local protocol = request.protocol or "tcp"
  if protocol == "udp" or protocol == "both" then
    fail("UNIMPLEMENTED", "the embedded service exposes TCP only, not '%s'",
      protocol)
  elseif protocol ~= "tcp" then
    fail("INVALID_ARGUMENT", "protocol is 'tcp', not '%s'", protocol)
  end
end

local function expose(service, request)
  check(request)
  local self, record = service.ports, service.boxes:find_vm(request)
  local _lock <close> = service.boxes:lock(record)
  local list = copy_list(record)
  local entry = find(list, request.vm_port)
  if entry then return info(record, entry) end
  if #list >= COUNT_MAX then
    fail("RESOURCE_EXHAUSTED", "%d exposed ports a box are the limit: "
      .. "unexpose one", COUNT_MAX)
  end
  entry = { port = request.vm_port }
  entry.gate = open(self, record, entry.port)
  list[#list + 1] = entry
  local ok, e = pcall(service.boxes.change, service.boxes, record,
    { ports = list })
  if not ok then
    close(self, record, entry.port)
    error(e, 0)
  end
  return info(record, entry)
end

local function unexpose(service, request)
  local record = service.boxes:find_vm(request)
  local _lock <close> = service.boxes:lock(record)
  local list = copy_list(record)
  local entry, i = find(list, request.vm_port)
  if not entry then
    fail("NOT_FOUND", "port %d of box '%s' is not exposed", request.vm_port,
      record.name)
  end
  table.remove(list, i)
  service.boxes:change(record, { ports = list })
  close(service.ports, record, entry.port)
  return { forward = info(record, entry) }
end

local function list_all(service, request)
  local records = request.vm and { service.boxes:find(request.vm) }
    or service.boxes:list()
  local out = {}
  for _, record in ipairs(records) do
    for _, entry in ipairs(record.ports or {}) do
      out[#out + 1] = info(record, entry)
    end
  end
  return { forwards = out }
end

ports.rpcs = { ExposePort = expose, UnexposePort = unexpose,
  ListExposedPorts = list_all }

return ports
