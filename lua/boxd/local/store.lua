-- Records on disk: a folder a kind, a JSON file a record. What put and remove
-- have done is durable when they return.

local boxd = require "boxd"
local sys = require "boxd.serve".sys

local store = {}
store.__index = store

local function check(ok, message)
  if not ok then error("the state can't be written: " .. message, 0) end
  return ok
end

-- Opens the folder, making it; raises with what to do when it can't be used.
function store.open(dir)
  check(sys.mkdir(dir, 448)) -- 0700
  if not sys.private(dir) then
    error(("others can read %s, which holds keys: chmod 700 it, or choose "
      .. "another folder with --state"):format(dir), 0)
  end
  local lock = sys.lock(dir .. "/lock")
  if not lock then
    error(("another service uses %s: end it, or choose another folder with "
      .. "--state"):format(dir), 0)
  end
  return setmetatable({ dir = dir, lock = lock, kinds = {} }, store)
end

-- The table id -> record of a kind, read at the first use.
function store:all(kind)
  local records = self.kinds[kind]
  if records then return records end
  records = {}
  local folder = self.dir .. "/" .. kind
  check(sys.mkdir(folder, 448))
  for _, name in ipairs(check(sys.list(folder))) do
    local id = name:match "^(.*)%.json$"
    if id then
      local f <close> = assert(io.open(folder .. "/" .. name, "rb"))
      records[id] = boxd.json.decode(f:read "a")
    end
  end
  self.kinds[kind] = records
  return records
end

function store:put(kind, id, record)
  local records = self:all(kind)
  check(sys.write(("%s/%s/%s.json"):format(self.dir, kind, id),
    boxd.json.encode(record)))
  records[id] = record
end

function store:remove(kind, id)
  local records = self:all(kind)
  check(sys.unlink(("%s/%s/%s.json"):format(self.dir, kind, id)))
  records[id] = nil
end

-- Records of a kind in the order of their creation.
function store:list(kind)
  local out = {}
  for _, record in pairs(self:all(kind)) do out[#out + 1] = record end
  table.sort(out, function(a, b)
    if a.created_at ~= b.created_at then return a.created_at < b.created_at end
    return a.id < b.id
  end)
  return out
end

return store
