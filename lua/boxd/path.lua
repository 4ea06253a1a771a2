-- boxd.path "local/file": a file of this machine where bytes are also taken.

local core = require "boxd.core"
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

-- Opens for reading; an error is an InvalidArgumentError.
function path.open(name)
  local f, message = io.open(name, "rb")
  if not f then check.invalid("can't read the local file %s", message) end
  return f
end

-- All of its bytes.
function path.read(name)
  local f <close> = path.open(name)
  local data, message = f:read "a"
  if not data then
    check.invalid("can't read the local file %s: %s", name, message)
  end
  return data
end

return path
