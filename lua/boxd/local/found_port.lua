-- The port that a box's proxies lead to while none is set, found as boxd.sh finds
-- it: the first of PORTS that something outside the box could reach, once it has
-- been there for ADOPT_SECONDS, and until nothing listens there any more; else
-- DEFAULT. It is looked for when a client asks or connects.

local boxd = require "boxd"

local PORTS = { 80, 443, 8080, 8000, 3000, 5000, 5173 }
local DEFAULT = 8000
local ADOPT_SECONDS = 0.75

local LISTENING = "0A"
local MAPPED = "0000000000000000FFFF0000" -- IPv4 in /proc/net/tcp6

local found_port = {}
found_port.__index = found_port

-- known: by record id, { port (adopted), candidate, since }.
function found_port.new(service)
  return setmetatable({ service = service, known = {} }, found_port)
end

local function read_all(fd)
  local parts = {}
  for part in function() return fd:read() end do parts[#parts + 1] = part end
  fd:close()
  return table.concat(parts)
end

-- Whether a listener at this address is there for the box's interface: at any
-- address, or one of IPv4 that is not loopback. Least significant byte first.
local function is_reachable(address)
  if #address > 8 then
    if address:find "^0+$" then return true end
    if address:sub(1, #MAPPED) ~= MAPPED then return false end
    address = address:sub(#MAPPED + 1)
  end
  return address:sub(7, 8) ~= "7F"
end

-- The set of ports that are listened on in a box.
local function listening(self, handle)
  local ports = {}
  for _, path in ipairs { "/proc/1/net/tcp", "/proc/1/net/tcp6" } do
    local fd = self.service.spawner:file(handle, "read", path)
    local text = fd and read_all(fd) or ""
    for address, port, state in
      text:gmatch " (%x+):(%x%x%x%x) %x+:%x+ (%x%x) " do
      if state == LISTENING and is_reachable(address) then
        ports[tonumber(port, 16)] = true
      end
    end
  end
  return ports
end

local function first(ports)
  for _, port in ipairs(PORTS) do
    if ports[port] then return port end
  end
end

-- Looks once. Returns what is known of the box.
local function look(self, record, handle)
  local known = self.known[record.id] or {}
  self.known[record.id] = known
  local ports = listening(self, handle)
  if known.port and ports[known.port] then return known end
  local candidate = first(ports)
  if candidate ~= known.candidate then
    known.candidate, known.since = candidate, boxd.now()
  end
  known.port = nil
  if candidate and boxd.now() - known.since >= ADOPT_SECONDS then
    known.port, known.candidate = candidate, nil
  end
  return known
end

-- Waits until a port that something listens on is adopted. Without one: the
-- default, which something may listen on by the time of a connection.
function found_port:await(record, handle)
  local known = look(self, record, handle)
  while not known.port and known.candidate do
    boxd.sleep(math.max(0, known.since + ADOPT_SECONDS - boxd.now()))
    known = look(self, record, handle)
  end
  return known.port or DEFAULT
end

-- The port now; handle: of a running box, or nil. What listens since a short while
-- is adopted later.
function found_port:now(record, handle)
  if not handle then return DEFAULT end
  return look(self, record, handle).port or DEFAULT
end

-- The box is gone, or what ran in it.
function found_port:gone(record) self.known[record.id] = nil end

return found_port
