-- Gates: listening ports of this machine, each of which leads to a port of a
-- box. The opener of a listener gives the port at each connection.

local boxd = require "boxd"
local serve = require "boxd.serve"
local status = require "boxd.local.status"

local CONNECTIONS_MAX = 256 -- a gate; others wait
local SHARE = 8 -- of the process's descriptors: all listeners' connections, of two each

local listeners = {}

local gate = {}
gate.__index = gate

-- One connection, from its arrival to its end.
local function carry(self, outer)
  local _outer <close> = outer
  local service, record = self.service, self.record
  local _used <close> = service.idle:use(record)
  local handle = service.boxes:handle(record)
  local port = self.find_port(handle)
  local inner = port and service.spawner:connect(handle, port)
  if inner then serve.relay(outer, inner) end
end

-- A failure here (a stopped box, a closed port) ends the connection:
-- a port's client can see no more than that.
local function carry_and_count(self, outer)
  pcall(carry, self, outer)
  self.tasks[outer] = nil
  self.count, self.pool.count = self.count - 1, self.pool.count - 1
  self.pool.freed:fire()
end

local function accept_all(self)
  for fd in function() return self.listener:accept() end do
    self.count, self.pool.count = self.count + 1, self.pool.count + 1
    self.tasks[fd] = true
    local task = boxd.spawn(carry_and_count, self, fd)
    if self.tasks[fd] then self.tasks[fd] = task end
    while self.count >= CONNECTIONS_MAX or self.pool.count >= self.pool.max do
      self.pool.freed:wait()
    end
  end
end

-- On the port that is wanted, or on another one.
local function listen(wanted)
  local listener, message = serve.gate(wanted or 0)
  if not listener and wanted then listener, message = serve.gate(0) end
  if not listener then
    status.fail("RESOURCE_EXHAUSTED", "no port of this machine is free: %s",
      message)
  end
  return listener
end

-- What all listeners of a service have together.
function listeners.pool(descriptors)
  return { count = 0, max = descriptors // SHARE, freed = serve.signal() }
end

-- find_port(handle): the box's port, or nil when there is none now.
function listeners.open(service, record, wanted, find_port)
  local self = setmetatable({ service = service, record = record,
    find_port = find_port, listener = listen(wanted), tasks = {}, count = 0,
    pool = service.gates }, gate)
  boxd.spawn(accept_all, self)
  return self
end

function gate:port() return self.listener:port() end

-- Ends its connections, too.
function gate:close()
  self.listener:close()
  for _, task in pairs(self.tasks) do
    if task ~= true then task:cancel() end
  end
end

return listeners
