-- The output of each box's main process: two files of at most LIMIT bytes, the
-- older one replaced when the newer is full. Positions count from the first
-- byte that the older file held as the service started.

local boxd = require "boxd"
local serve = require "boxd.serve"
local say = require "boxd.local.log"
local status = require "boxd.local.status"

local fail, sys = status.fail, serve.sys

local LIMIT = 1 << 20
local READ = 64 << 10

local log = {}
log.__index = log

local function size_of(path)
  local f = io.open(path, "rb")
  if not f then return 0 end
  local size = f:seek "end"
  f:close()
  return size
end

local function open_log(path)
  local self = setmetatable({ path = path, older = path .. ".1",
    older_at = 0, changed = serve.signal() }, log)
  self.newer_at = size_of(self.older)
  self.at = self.newer_at + size_of(path)
  return self
end

local function rotate(self)
  if self.file then self.file:close() end
  self.file = nil
  assert(os.rename(self.path, self.older))
  self.older_at, self.newer_at = self.newer_at, self.at
end

local function append(self, data)
  if self.at - self.newer_at >= LIMIT then rotate(self) end
  if not self.file then
    self.file = assert(io.open(self.path, "ab"))
    self.file:setvbuf "no"
  end
  assert(self.file:write(data))
  self.at = self.at + #data
end

-- A disk that is full must not end the box: what can't be kept is dropped, and
-- that is said once.
function log:write(data)
  if self.ended then return end
  local ok, e = pcall(append, self, data)
  if not ok and not self.complained then
    say("a box's log can't be written: %s", tostring(e))
  end
  self.complained = not ok
  self.changed:fire()
end

local function read_file(path, offset)
  local f = io.open(path, "rb")
  if not f then return nil end
  local _f <close> = f
  f:seek("set", offset)
  return f:read(READ)
end

-- The log from a position on, as far as one read goes, and where it ends;
-- nil when there is no more yet.
function log:read(at)
  at = math.max(at, self.older_at)
  local data
  if at < self.newer_at then
    data = read_file(self.older, at - self.older_at)
    if not data then at = self.newer_at end -- it is shorter than it was
  end
  if not data and at < self.at then
    data = read_file(self.path, at - self.newer_at)
  end
  return data, at + (data and #data or 0)
end

function log:close()
  if self.file then self.file:close() end
  self.file = nil
  self.ended = true
  self.changed:fire()
end

local logs = {}
logs.__index = logs

function logs.new(dir)
  sys.mkdir(dir, 448)
  return setmetatable({ dir = dir, open = {} }, logs)
end

function logs:of(record)
  local known = self.open[record.id]
  if not known then
    known = open_log(self.dir .. "/" .. record.id .. ".log")
    self.open[record.id] = known
  end
  return known
end

-- The box is gone: its followers see the end, its files go.
function logs:gone(record)
  local known = self:of(record)
  known:close()
  os.remove(known.path)
  os.remove(known.older)
  self.open[record.id] = nil
end

-- Files of deleted boxes.
function logs:sweep(records)
  for _, name in ipairs(assert(sys.list(self.dir))) do
    if not records[name:match "^(.-)%.log" or ""] then
      os.remove(self.dir .. "/" .. name)
    end
  end
end

-- A client that leaves wakes the follower up.
local function wake_at_leaving(call, known)
  if call:wait_cancelled() then known.changed:fire() end
end

local function follow(call, known, at)
  boxd.spawn(wake_at_leaving, call, known)
  while not known.ended and not call:cancelled() do
    local data
    data, at = known:read(at)
    if data then
      call:send { data = data }
    else
      known.changed:wait()
    end
  end
end

-- StreamLogs
function logs.stream(service, call)
  local request = call:recv() or {}
  if not request.vm_id then fail("INVALID_ARGUMENT", "vm_id is missing") end
  local known = service.logs:of(service.boxes:find(request.vm_id))
  if request.follow then return follow(call, known, 0) end
  local last, at = known.at, 0
  while at < last do
    local data
    data, at = known:read(at)
    if not data then return end
    call:send { data = data }
  end
end

return logs
