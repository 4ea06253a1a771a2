-- The port that a box's proxies lead to while none is set, found as boxd.sh finds
-- it: the first of PORTS that something outside the box could reach, once it has
-- been there for ADOPT_SECONDS, and until nothing listens there any more; else
-- DEFAULT. Boxes that share the machine's network are looked at when a client asks
-- or connects, others all the time.

local boxd = require "boxd"
local once = require "boxd.local.once"

local PORTS = { 80, 443, 8080, 8000, 3000, 5000, 5173 }
local DEFAULT = 8000
local ADOPT_SECONDS, LOOK_SECONDS = 0.75, 0.25

-- <linux/inet_diag.h>: all TCP sockets that listen, of both families.
local LISTEN, AF_INET, NLMSG_ERROR, NLMSG_DONE = 10, 2, 2, 3
local REQUEST = ("<I4I2I2I4I4 I1I1I1I1 c48 I4I4"):pack(76, 18, 0x301, 1, 0,
  0, 0, 0, 0, ("\0"):rep(48), 1 << LISTEN, 0)
local ANY, MAPPED = ("\0"):rep(16), ("\0"):rep(10) .. "\xff\xff"

local found_port = {}
found_port.__index = found_port

-- known: by record id, { handle, sockets (of that), port (adopted), candidate,
-- since }.
function found_port.new(service)
  return setmetatable({ service = service, known = {} }, found_port)
end

-- Whether a listener at this address is there for the box's interface: at any
-- address, or one of IPv4 that is not loopback.
local function is_reachable(family, address)
  if family ~= AF_INET then
    if address == ANY then return true end
    if address:sub(1, #MAPPED) ~= MAPPED then return false end
    address = address:sub(#MAPPED + 1)
  end
  return address:byte() ~= 127
end

-- Adds the ports of one reply's messages. Returns true after the last one.
local function take(ports, reply)
  local at = 1
  while at + 16 <= #reply do
    local len, kind = ("<I4I2"):unpack(reply, at)
    if kind == NLMSG_DONE then return true end
    if kind == NLMSG_ERROR then
      once "ports that boxes listen on are not found: the kernel has no tcp_diag"
      return true
    end
    local family = reply:byte(at + 16)
    local port, _, address = (">I2I2c16"):unpack(reply, at + 20)
    if is_reachable(family, address) then ports[port] = true end
    at = at + (len + 3) // 4 * 4
  end
  return #reply == 0
end

-- The set of ports that are listened on in a box. The kernel answers at once.
local function listening(known)
  local ports, sockets = {}, known.sockets
  if not sockets or not sockets:write(REQUEST) then return ports end
  for reply in function() return sockets:read() end do
    if take(ports, reply) then break end
  end
  return ports
end

local function first(ports)
  for _, port in ipairs(PORTS) do
    if ports[port] then return port end
  end
end

-- The box's record in `known`, for as long as that runs.
local function know(self, record, handle)
  local known = self.known[record.id]
  if known and known.handle == handle then return known end
  known = { handle = handle,
    sockets = self.service.spawner:sockets(handle) or nil }
  if self.service.boxes.live[record.id] == handle then -- still
    self:gone(record)
    self.known[record.id] = known
  end
  return known
end

-- Looks once. Returns the box's record in `known`.
local function look(self, record, handle)
  local known = know(self, record, handle)
  local ports = listening(known)
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
    for _, record in ipairs(all:list()) do
      local handle = all.live[record.id]
      if handle and record.status == "running" and is_found(record) then
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
function found_port:gone(record)
  local known = self.known[record.id]
  self.known[record.id] = nil
  if known and known.sockets then known.sockets:close() end
end

return found_port
