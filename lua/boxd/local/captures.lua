-- Captures: copies of boxes' files, each in a folder of its own, which nothing
-- changes any more. A record of kind snapshots, checkpoints or backups names the
-- folder that is its; folders that none names are swept at the next start.

local serve = require "boxd.serve"
local ids = require "boxd.local.ids"
local once = require "boxd.local.once"
local status = require "boxd.local.status"

local captures = {}
captures.__index = captures

local KINDS = { "snapshots", "checkpoints", "backups" }

function captures.new(service)
  local self = setmetatable({ service = service,
    dir = service.store.dir .. "/captures" }, captures)
  serve.sys.mkdir(self.dir, 448)
  return self
end

function captures:folder(capture) return self.dir .. "/" .. capture.folder end

-- Where it first matters: the large difference from boxd.sh.
function captures.say_files_only()
  once("forks, snapshots and checkpoints here copy files, not memory: what runs in "
    .. "a box is not in them")
end

-- Copies the files of a box that the caller has taken. Calls
-- keep(folder, bytes), which makes the record; without it, the copy goes.
function captures:take(box, keep)
  local folder = ids.new("files-", 8)
  local path = self.dir .. "/" .. folder
  local kept = false
  local _undo <close> = setmetatable({}, { __close = function()
    if not kept then self.service.spawner:remove(path) end
  end })
  local bytes = self.service.boxes:copy_files(box, path)
  local capture = keep(folder, bytes)
  kept = true
  return capture
end

-- Removes the record, and its files.
function captures:remove(kind, capture)
  self.service.store:remove(kind, capture.id)
  self:drop(capture.folder)
end

function captures:drop(folder)
  self.service.spawner:remove(self.dir .. "/" .. folder)
end

-- Those of a kind that belong to a box, in the order they were made.
function captures:of(kind, box)
  local out = {}
  for _, capture in ipairs(self.service.store:list(kind)) do
    if capture.vm_id == box.id then out[#out + 1] = capture end
  end
  return out
end

-- What belongs to a box goes with it.
function captures:gone(box)
  for _, kind in ipairs { "checkpoints", "backups" } do
    for _, capture in ipairs(self:of(kind, box)) do
      self:remove(kind, capture)
    end
  end
end

-- At the start: of deleted boxes, and unfinished folders.
function captures:restore()
  local store, boxes = self.service.store, self.service.boxes
  local used = {}
  for _, kind in ipairs(KINDS) do
    for _, capture in ipairs(store:list(kind)) do
      if capture.vm_id and not boxes.records[capture.vm_id] then
        store:remove(kind, capture.id)
      else
        used[capture.folder] = true
      end
    end
  end
  for _, name in ipairs(assert(serve.sys.list(self.dir))) do
    if not used[name] then self:drop(name) end
  end
end

-- A snapshot's or checkpoint's name; prefix: of its kind's ids.
function captures.check_name(name, prefix)
  if name and #name <= 63 and name:find "^%w[%w._-]*$" then
    ids.check_name(prefix, name)
    return name
  end
  status.fail("INVALID_ARGUMENT", "'%s' is not a name of a capture: 1 to 63 of "
    .. "letters, digits, '.', '_' and '-', a letter or digit first",
    name or "")
end

-- Milliseconds since 1970.
function captures.now() return os.time() * 1000 end

return captures
