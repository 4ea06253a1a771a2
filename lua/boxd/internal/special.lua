-- Local files that are neither file nor folder: pipes and devices, to which a
-- download is written without holding up what else runs.

local core = require "boxd.core"
local boxd = require "boxd"
local check = require "boxd.internal.check"
core.internal()

local special = {}
special.__index = special

local PAUSE_MAX = 0.02 -- seconds between two tries

-- Calls fn until its first result is not false; waits in between.
local function try(fn, ...)
  local pause = 0.001
  while true do
    local result, message = fn(...)
    if result ~= false then return result, message end
    boxd.sleep(pause)
    pause = math.min(pause * 2, PAUSE_MAX)
  end
end

--- Opens it for writing; a pipe when something reads from it.
function special.open(name)
  local raw, message = try(core.open_special, name)
  if not raw then
    check.invalid("can't write the local file %s: %s", name, message)
  end
  return setmetatable({ raw = raw, name = name }, special)
end

--- True, or raises.
function special:write(data)
  local at = 0
  while at < #data do
    local n, message = try(self.raw.write, self.raw, data, at)
    if not n then
      check.invalid("can't write the local file %s: %s", self.name, message)
    end
    at = at + n
  end
  return true
end

function special:close() return self.raw:close() end

return special
