-- The port that a box's proxies lead to while none is set, found as boxd.sh finds
-- it: the first of PORTS that something outside the box could reach, once it has
-- been there for ADOPT_SECONDS, and until nothing listens there any more; else
-- DEFAULT. A look makes the kernel walk through all its connections, 2 ms each
-- time: so boxes are looked at when a client asks or connects, soon after it has
-- used one, and less and less often after that; those that share the machine's
-- network only when asked for.

local boxd = require "boxd"

local PORTS = { 80, 443, 8080, 8000, 3000, 5000, 5173 }
local DEFAULT = 8000
local ADOPT_SECONDS = 0.75
local FIRST, LAST = 0.25, 60 -- seconds between two looks

local LISTENING = "0A"
local MAPPED = "0000000000000000FFFF0000" -- IPv4 in /proc/net/tcp6

local found_port = {}
found_port.__index = found_port

-- known: by record id, { port (adopted), candidate, since, pause, due }: pause to
-- the look that is due then.
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

local function know(self, record)
  local known = self.known[record.id]
  if not known then
    known = { pause = FIRST, due = boxd.now() + FIRST }
    self.known[record.id] = known
  end
  return known
end

-- Looks once. Returns the box's record in `known`.
local function look(self, record, handle)
  local known = know(self, record)
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

-- Looks, if it is time to. Returns when to look again.
local function look_when_due(self, record, handle)
  local known, now = know(self, record), boxd.now()
  if known.due > now then return known.due end
  look(self, record, handle)
  known.due = known.candidate and known.since + ADOPT_SECONDS
    or now + known.pause
  known.pause = math.min(known.pause * 2, LAST)
  return known.due
end

-- Looks at boxes that run, for as long as the service does.
function found_port:run()
  local all = self.service.boxes
  while not all.net_host do
    local next = math.huge
    for id, handle in pairs(all.live) do
      local record = all.records[id]
      if record and record.status == "running" and is_found(record) then
        next = math.min(next, look_when_due(self, record, handle))
      end
    end
    all.changed:wait(next < math.huge and math.max(0, next - boxd.now()) or nil)
  end
end

-- A client uses the box: what it does may soon listen.
function found_port:stir(record)
  local known = know(self, record)
  if known.pause > FIRST then
    known.pause, known.due = FIRST, boxd.now() + FIRST
    self.service.boxes.changed:fire()
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
