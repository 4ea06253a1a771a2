-- The name of a box, in the box: its hostname, and the two files that have it.

local boxd = require "boxd"

local hostname = {}

local SECONDS = 3 -- for files of a box that may hold up who writes them

local FILE_MAX = 1 << 16 -- /etc/hosts of a box may be anything

-- As the box's root, whose files they are.
local function call(spawner, handle, operation, path, other)
  return spawner:file(handle, operation, path, other, 0, true)
end

local function read(spawner, handle, path)
  local fd, size = call(spawner, handle, "read", path)
  if not fd then return nil end
  local _fd <close> = fd
  return size > 0 and size <= FILE_MAX and fd:read_file(size) or nil
end

local function write(spawner, handle, path, data)
  local fd, temporary, final = call(spawner, handle, "begin", path)
  if not fd then return end
  local ok = fd:write(data)
  fd:close()
  ok = ok and call(spawner, handle, "commit", temporary, final)
  if not ok then call(spawner, handle, "remove", temporary) end
end

-- The text with one name for another, as a word of its own.
local function replaced(text, old, new)
  return (text:gsub("[%w.-]+", function(word)
    return word == old and new or nil
  end))
end

--- Names a running box anew. What a box has made of its files under /etc is
--- its own business: files that can't be written stay as they are. nil, why and
--- errno when the box itself can't be named.
function hostname.set(spawner, handle, old, new)
  local ok, message, errno = spawner:hostname(handle, new)
  if not ok then return nil, message, errno end
  local done, e = pcall(boxd.with_timeout, SECONDS, function()
    local hosts = read(spawner, handle, "/etc/hosts")
    if hosts then
      write(spawner, handle, "/etc/hosts", replaced(hosts, old, new))
    end
    write(spawner, handle, "/etc/hostname", new .. "\n")
  end)
  if not done and not boxd.is_error(e, boxd.TimeoutError) then error(e, 0) end
  return true
end

return hostname
