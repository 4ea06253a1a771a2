-- Records on disk: a folder a kind, a JSON file a record. What put, update and
-- remove have done is durable when they return, and in memory only then. note is
-- for changes that have happened anyhow, and must not depend on a disk that may be full.

local boxd = require "boxd"
local log = require "boxd.local.log"
local schema = require "boxd.local.schema"
local status = require "boxd.local.status"
local serve = require "boxd.serve"
local sys = serve.sys

local store = {}
store.__index = store

-- In the changes of an update: the field goes away.
store.NONE = setmetatable({}, { __name = "none" })

local RETRY_SECONDS = 5   -- between two tries to write what is owed
local VERSION = 1        -- of what is kept, and how

local LOCK_SECONDS = 1    -- for a killed service to be gone
local SPAWNER_SECONDS = 10 -- and then for its spawner, with all boxes

local EAGAIN = 11

local function check(ok, message, errno)
  if ok then return ok end
  status.unable(errno, "the state can't be kept: %s", message)
end

-- Asks every few ms until it gets an answer, or nil when the time is over.
-- Nothing runs meanwhile: this is before the spawner, which no thread, gRPC's
-- neither, may precede.
local function ask_for(seconds, question)
  local last = boxd.now() + seconds
  local answer = question()
  while not answer and boxd.now() < last do
    sys.pause(0.005)
    answer = question()
  end
  return answer
end

local function lock(dir)
  local held, message, errno
  ask_for(LOCK_SECONDS, function()
    held, message, errno = sys.lock(dir .. "/lock")
    return held or errno ~= EAGAIN
  end)
  if held then return held end
  if errno ~= EAGAIN then
    status.unable(errno, "the state folder can't be used: %s", message)
  end
  error(("another service uses %s: end it, or choose another folder with "
    .. "--state"):format(dir), 0)
end

-- The start time of a process, which no later one with its number shares; nil
-- when it is gone.
local function start_of(pid)
  local f = io.open(("/proc/%d/stat"):format(pid))
  if not f then return nil end
  local _f <close> = f
  local state, rest = (f:read "a" or ""):match "%) (%a) (.*)"
  if not state or state == "Z" or state == "X" then return nil end
  local fields = {}
  for field in rest:gmatch "%S+" do fields[#fields + 1] = field end
  return fields[19] -- the 22nd of all
end

-- Boxes of a service that was killed may need a moment more to die.
local function await_spawner(dir)
  local f = io.open(dir .. "/spawner")
  if not f then return end
  local pid, start = f:read("n", "n")
  f:close()
  if not pid then return end
  if not ask_for(SPAWNER_SECONDS, function()
    return start_of(pid) ~= tostring(start)
  end) then
    error(("process %d still ends the boxes of the service before: try again")
      :format(pid), 0)
  end
end

-- For the next service of this folder.
function store:note_spawner(pid)
  local ok, message = sys.write(self.dir .. "/spawner",
    ("%d %s\n"):format(pid, start_of(pid) or 0), true)
  if not ok then log("a restart can't wait for this service's boxes to end: %s",
    message) end
end

local function check_private(path, remedy)
  local ok, message = sys.private(path)
  if ok then return end
  if message then error("the state can't be used: " .. message, 0) end
  error(("others can read %s, which holds keys: %s"):format(path, remedy), 0)
end

-- Refuses a newer service's state, and marks this one with its version.
local function check_version(dir)
  local path = dir .. "/version"
  local f = io.open(path)
  local text = f and f:read "a"
  if f then f:close() end
  local version = math.tointeger((text or ""):match "^(%d+)\n$")
  if text and not version then
    error(("%s is damaged: restore it, or write %d into it"):format(path,
      VERSION), 0)
  elseif text and version > VERSION then
    error(("%s was made by a newer boxdlua (version %d, here it is %d): use that "
      .. "one, or choose another folder with --state"):format(dir, version,
      VERSION), 0)
  elseif version ~= VERSION then
    check(sys.write(path, VERSION .. "\n"))
  end
end

local function read_all(self)
  check_version(self.dir)
  for kind in pairs(schema.kinds) do self:all(kind) end
  await_spawner(self.dir)
end

-- Opens the folder, making it; raises with what to do when it can't be used.
function store.open(dir)
  check(sys.mkdir(dir, 448)) -- 0700
  check_private(dir, "chmod 700 it, or choose another folder with --state")
  -- owed: the kinds of records that are not on disk as they are, by record.
  local self = setmetatable({ dir = dir, lock = lock(dir), kinds = {},
    last = 0, owed = {}, owing = serve.signal() }, store)
  local ok, e = pcall(read_all, self)
  if ok then return self end
  self.lock:close() -- for the next one, which need not wait for the collector
  error(e, 0)
end

local function read(path, kind, id)
  local f <close> = assert(io.open(path, "rb"))
  local ok, record = pcall(boxd.json.decode, f:read "a" or "")
  local fault
  if ok and type(record) == "table" then
    fault = schema.fault(kind, id, record)
    if not fault then return record end
  end
  error(("%s is damaged%s: restore it, or remove it to go on without"):format(
    path, fault and " (" .. fault .. ")" or ""), 0)
end

-- The table id -> record of a kind, read at the first use. What a write left
-- half done goes.
function store:all(kind)
  local records = self.kinds[kind]
  if records then return records end
  records = {}
  local folder = self.dir .. "/" .. kind
  check(sys.mkdir(folder, 448))
  for _, name in ipairs(check(sys.list(folder))) do
    local id = name:match "^(.*)%.json$"
    if id then
      if kind == "secrets" then
        check_private(folder .. "/" .. name, "chmod 600 it")
      end
      records[id] = read(folder .. "/" .. name, kind, id)
      self.last = math.max(self.last, records[id].n or 0)
    elseif name:find "%.new$" then
      check(sys.unlink(folder .. "/" .. name))
    end
  end
  self.kinds[kind] = records
  return records
end

local function path_of(self, kind, id)
  return ("%s/%s/%s.json"):format(self.dir, kind, id)
end

-- A refused change must not come back with the next service: a change may be in
-- its place, and only its durability be in doubt.
local function checked(path, old, ok, message, errno)
  if not ok and old then
    sys.write(path, boxd.json.encode(old), true)
  elseif not ok then
    sys.unlink(path)
  end
  check(ok, message, errno)
end

-- old: the record as it is, or nil.
local function write(self, kind, id, record, old, passing)
  local path = path_of(self, kind, id)
  checked(path, old, sys.write(path, boxd.json.encode(record), passing))
  if old then self.owed[old] = nil end
end

-- n: the order in which records were made.
function store:number()
  self.last = self.last + 1
  return self.last
end

function store:put(kind, id, record)
  local records = self:all(kind)
  record.n = record.n or self:number()
  write(self, kind, id, record, records[id])
  records[id] = record
end

function store.apply(record, changes)
  for k, v in pairs(changes) do
    if v == store.NONE then v = nil end
    record[k] = v
  end
end

-- Changes fields of a record. passing: it may be lost when the machine falls,
-- though not when the service does.
function store:update(kind, record, changes, passing)
  local new = {}
  for k, v in pairs(record) do new[k] = v end
  store.apply(new, changes)
  write(self, kind, record.id, new, record, passing)
  for k in pairs(changes) do record[k] = new[k] end
end

-- False: it is owed from here on.
local function try(self, kind, record, passing)
  local ok, message = sys.write(path_of(self, kind, record.id),
    boxd.json.encode(record), passing)
  self.owed[record] = not ok and kind or nil
  return ok, message
end

-- Changes fields of a record to their actual values. What can't be
-- written is tried again until it can.
function store:note(kind, record, changes, passing)
  store.apply(record, changes)
  local others = next(self.owed)
  local ok, message = try(self, kind, record, passing)
  if ok then return end
  if not others then
    log("the state can't be written, which is tried again: %s", message)
  end
  self.owing:fire()
end

-- Writes all pending records. False: some failed.
function store:settle()
  for record, kind in pairs(self.owed) do
    if not try(self, kind, record) then return false end
  end
  return true
end

-- A task of the service: writes pending records as soon as it can.
function store:run()
  while true do
    self.owing:wait()
    repeat boxd.sleep(RETRY_SECONDS) until self:settle()
  end
end

function store:remove(kind, id)
  local records = self:all(kind)
  local path = path_of(self, kind, id)
  checked(path, records[id], sys.unlink(path))
  if records[id] then self.owed[records[id]] = nil end
  records[id] = nil
end

-- Records of a kind in the order of their creation.
function store:list(kind)
  local out = {}
  for _, record in pairs(self:all(kind)) do out[#out + 1] = record end
  table.sort(out, function(a, b)
    if a.n ~= b.n then return (a.n or 0) < (b.n or 0) end
    return a.id < b.id
  end)
  return out
end

return store
