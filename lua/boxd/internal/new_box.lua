-- What create and fork do after the box is made: settings that its request has no
-- field for. Where one of them fails the box is destroyed, so that none stays
-- that should have had an end.

local core = require "boxd.core"
local boxd = require "boxd"
local temporary = require "boxd.temporary"
core.internal()

local function set(box, o, ends)
  local function left() return { timeout = math.max(ends - boxd.now(), 0.001) } end
  if o.auto_hibernate_timeout then
    box:set_auto_hibernate_timeout(o.auto_hibernate_timeout, left())
  end
  local after = o.delete_after ~= 0 and o.delete_after
  if after or o.delete_after_cron then
    box:set_delete_after(after or { cron = o.delete_after_cron }, left())
  end
end

--- o: the options of create or fork; left: seconds for all of it.
return function(box, o, left)
  if not (o.auto_hibernate_timeout or o.delete_after or o.delete_after_cron) then
    return box
  end
  local ok, e = pcall(set, box, o, boxd.now() + left)
  if ok then return box end
  temporary.discard(box)
  error(e, 0)
end
