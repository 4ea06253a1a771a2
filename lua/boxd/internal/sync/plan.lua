-- The changes that make one listing like another.

local core = require "boxd.core"
core.internal()

local plan = {}

-- Is the entry there as it is to be? Files with a digest in both are compared by
-- it, not by their times.
local function same(a, b)
  if a.kind ~= b.kind then return false end
  if a.kind == "link" then return a.target == b.target and a.mtime == b.mtime end
  if a.mode ~= b.mode then return false end
  if a.kind == "folder" then return true end
  if a.size ~= b.size then return false end
  if a.digest and b.digest then return a.digest == b.digest end
  return a.mtime == b.mtime
end

-- The paths that stand in the way of one of another kind, or that the source
-- has no more; the inner ones first.
local function doomed(source, dest, delete)
  local away, list = {}, {}
  for path, entry in pairs(dest) do
    local wanted = source[path]
    if wanted and wanted.kind ~= entry.kind or delete and not wanted then
      away[path] = true
    end
  end
  for path in pairs(dest) do
    local parent = path
    while parent and not away[parent] do parent = parent:match "^(.*)/[^/]*$" end
    if parent then list[#list + 1] = path end
  end
  table.sort(list, function(a, b) return a > b end)
  return list
end

local WRITE = 192 -- of a mode: its owner may make and remove entries

-- Folders there that have to be written in, and can't be: they are opened first,
-- and sent, too, for their modes to be set again at the end.
local function open_folders(p, source, dest)
  local known = {}
  for _, path in ipairs(p.send) do known[path] = true end
  local function look(path)
    local parent = path:match "^(.*)/[^/]*$"
    local there = dest[parent]
    if not there or there.kind ~= "folder" or there.mode & WRITE == WRITE
      or p.open[parent] then return end
    p.open[parent] = there.mode | WRITE
    if source[parent] and not known[parent] then p.send[#p.send + 1] = parent end
  end
  for _, path in ipairs(p.remove) do look(path) end
  for i = 1, #p.send do look(p.send[i]) end
end

--- { send = paths with a folder before its entries, remove = paths, open = modes
--- by path, of folders to be changed before, unchanged = files and links, bytes =
--- of the files to send, count = files and links to send }
function plan.make(source, dest, delete)
  local p = { send = {}, unchanged = 0, bytes = 0, count = 0, open = {},
    remove = doomed(source, dest, delete) }
  for path, entry in pairs(source) do
    local there = dest[path]
    local counts = entry.kind ~= "folder"
    if there and same(entry, there) then
      p.unchanged = p.unchanged + (counts and 1 or 0)
    else
      p.send[#p.send + 1] = path
      p.count = p.count + (counts and 1 or 0)
      if entry.kind == "file" then p.bytes = p.bytes + entry.size end
    end
  end
  open_folders(p, source, dest)
  table.sort(p.send)
  return p
end

--- The paths of files that only their bytes can tell from each other.
function plan.doubtful(source, dest)
  local list = {}
  for path, entry in pairs(source) do
    local there = dest[path]
    if entry.kind == "file" and there and there.kind == "file"
      and entry.size == there.size then
      list[#list + 1] = path
    end
  end
  return list
end

return plan
