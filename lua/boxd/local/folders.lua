-- Folders of boxes: listing, making, moving, copying and removing
-- paths, as the box sees them.

local files = require "boxd.local.files"
local status = require "boxd.local.status"
local text = require "boxd.local.text"

local fail, within = status.fail, files.within

local LIST_MAX = 10000 -- as many as the box gives, but for one
local EBUSY, EEXIST, EINVAL = 16, 17, 22

local folders = {}

-- Does one operation in the box; its errors are worded here where the
-- system's words do not say which path is meant, or what to do.
local function operate(service, handle, operation, path, other)
  local answer, message, errno =
    service.spawner:file(handle, operation, path, other)
  if answer then return answer end
  if errno == EBUSY then
    fail("FAILED_PRECONDITION", "%s holds what the box is made of, or a disk: "
      .. "detach the disk first, or choose another path", path)
  elseif errno == EEXIST then
    fail("ALREADY_EXISTS", "there is something at %s already: remove it "
      .. "first, or choose another path", other or path)
  elseif errno == EINVAL and other then
    fail("INVALID_ARGUMENT", "%s can't go to %s: that is in it, or ends in "
      .. "'.' or '..'", path, other)
  elseif errno == EINVAL then
    fail("INVALID_ARGUMENT", "%s: name the path itself, not '.' or '..'", path)
  end
  files.refuse(other and message .. " (to " .. other .. ")" or message, errno)
end

local TYPES = { directory = "d", link = "l", fifo = "p", socket = "s",
  device = "c" }
local TRIADS = { [0] = "---", "--x", "-w-", "-wx", "r--", "r-x", "rw-", "rwx" }

-- As ls writes it.
local function permissions(entry)
  local out = TYPES[entry.kind] or "-"
  for shift = 6, 0, -3 do
    local triad = TRIADS[entry.mode >> shift & 7]
    -- setuid, setgid and sticky stand where x does
    if entry.mode & 512 << shift // 3 ~= 0 then
      local mark = shift == 0 and "t" or "s"
      triad = triad:sub(1, 2) .. (triad:find "x" and mark or mark:upper())
    end
    out = out .. triad
  end
  return out
end

local function list(service, request)
  return within(service, request, function(handle, path)
    local found = operate(service, handle, "list", path)
    local entries = {}
    for i = 1, math.min(#found, LIST_MAX) do
      local entry = found[i]
      local is_dir = entry.kind == "directory"
      entries[i] = { name = text.readable(entry.name), is_dir = is_dir,
        size_bytes = is_dir and 0 or entry.size,
        permissions = permissions(entry), modified_at = entry.mtime,
        added_at = entry.ctime }
    end
    return { entries = entries, truncated = #found > LIST_MAX }
  end)
end

-- The RPCs that do something with one path, or with two.
local function on_path(operation)
  return function(service, request)
    return within(service, request, function(handle, path)
      operate(service, handle, operation, path)
      return {}
    end)
  end
end

local function on_paths(operation)
  return function(service, request)
    if not request.new_path then
      fail("INVALID_ARGUMENT", "new_path is missing")
    end
    return within(service, request, function(handle, path)
      operate(service, handle, operation, path, request.new_path)
      return {}
    end, "old_path")
  end
end

folders.rpcs = {
  ListDir = list, Mkdir = on_path "mkdir", DeletePath = on_path "remove",
  RenamePath = on_paths "rename", CopyPath = on_paths "copy",
}

return folders
