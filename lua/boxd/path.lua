-- boxd.path "local/file": a file of this machine where bytes are also taken.

local core = require "boxd.core"
local boxd = require "boxd"
local check = require "boxd.internal.check"
core.internal()

local Path = { __name = "boxd.path" }
Path.__index = Path

function Path:__tostring() return self.path end

local path = {}

-- The name of a file; C would take one with a NUL for a shorter one.
function path.check(index, method, name)
  check.string(index, method, name)
  if name:find("\0", 1, true) then
    check.invalid("%s: no file can have a NUL in its name: %s", method,
      check.show(name))
  end
  return name
end

function path.path(name)
  return setmetatable({ path = path.check(1, "path", name) }, Path)
end

-- The name, when v is a boxd.path; nil else.
function path.name(v)
  return getmetatable(v) == Path and v.path or nil
end

local function refuse(name, message)
  check.invalid("can't read the local file %s: %s", name, message)
end

-- Opens a regular file for reading: it, and its { mode=, size= }. A pipe or a
-- device might never answer, and would hold up all that runs.
function path.open(name)
  local f, found = core.open(name)
  if not f then refuse(name, found) end
  return f, found
end

local PIECE = 4 << 20 -- bytes between which other tasks have a turn

-- All of its bytes, at most `most`, and its mode.
function path.read(name, most)
  local f <close>, found = path.open(name)
  local parts, room = {}, most
  if found.size > most then refuse(name, path.TOO_LONG) end
  while true do
    local part, message = f:read(PIECE)
    if not part and message then refuse(name, message) end
    if not part then return table.concat(parts), found.mode end
    parts[#parts + 1], room = part, room - #part
    if room < 0 then refuse(name, path.TOO_LONG) end
    boxd.sleep(0)
  end
end

path.TOO_LONG = "it is longer than a message of 64 MiB: upload it, which "
  .. "streams"

return path
