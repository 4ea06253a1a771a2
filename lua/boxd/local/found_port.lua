-- The port that a box's proxies lead to while none is set, found as boxd.sh finds
-- it: the first of PORTS that something outside the box could reach, once it has
-- been there for ADOPT_SECONDS, and until nothing listens there any more; else
-- DEFAULT. Boxes that share the machine's network are looked at when a client asks
-- or connects, others all the time.

local boxd = require "boxd"

local PORTS = { 80, 443, 8080, 8000, 3000, 5000, 5173 }
local DEFAULT = 8000
local ADOPT_SECONDS, LOOK_SECONDS = 0.75, 0.25

local LISTENING = "0A"
local MAPPED = "0000000000000000FFFF0000" -- IPv4 in /proc/net/tcp6

local found_port = {}
found_port.__index = found_port

-- known: by record id, { port (adopted), candidate, since }.
function found_port.new(service)
  return setmetatable({ service = service, known = {} }, found_port)
end

-- A file of the machine about a box's network; "" for a box that has ended.
local function read(path)
  local f = io.open(path)
  if not f then return "" end
  local text = f:read "a"
  f:close()
  return text or ""
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
  local folder = ("/proc/%d/net/"):format(self.service.boxes.pids[handle] or 0)
  for _, name in ipairs { "tcp", "tcp6" } do
    for address, port, state in
      read(folder .. name):gmatch " (%x+):(%x%x%x%x) %x+:%x+ (%x%x) " do
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

-- Looks once. Returns the box's record in `known`.
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

local function is_found(record)
  for _, proxy in ipairs(record.proxies) do
    if proxy.port == 0 then return true end
  end
end

-- Looks at boxes that run, for as long as the service does.
function found_port:run()
  local all = self.service.boxes
  while not all.net_host do
    for id, handle in pairs(all.live) do
      local record = all.records[id]
      if record and record.status == "running" and is_found(record) then
        look(self, record, handle)
      end
    end
    if next(all.live) then boxd.sleep(LOOK_SECONDS) else all.changed:wait() end
  end
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
