-- The file of a local folder that bytes arrive in: it gets its name when it is
-- whole. Its own name has the process that writes it, so that the next sync knows
-- what one that was killed has left.

local core = require "boxd.core"
core.internal()

local part = {}

--- A new name in the folder.
function part.new(folder)
  local f <close> = assert(io.open "/proc/self/stat")
  return ("%s/.boxd-sync-%d-%x"):format(folder, f:read "n", math.random(0))
end

--- Takes them out of the listing of a folder, and removes those of processes that
--- are gone.
function part.take_out(folder, entries, keep)
  for name in pairs(entries) do
    local pid = name:match "^%.boxd%-sync%-(%d+)%-%x+$"
    if pid then
      entries[name] = nil
      if not keep and not core.kind("/proc/" .. pid) then
        os.remove(folder .. "/" .. name)
      end
    end
  end
end

return part
