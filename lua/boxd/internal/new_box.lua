-- What create and fork do after the box is made: settings that its request has no
-- field for. Where one of them fails the box is destroyed, so that none stays
-- that should have had an end.

local core = require "boxd.core"
local boxd = require "boxd"
local lease = require "boxd.lease"
local temporary = require "boxd.temporary"
core.internal()

-- How the box ends; a copy of a leased one has no lease, but its end.
local function end_of(box, o)
  if o.delete_after_cron then return { cron = o.delete_after_cron } end
  local leased = lease.holds(core.compute(box), box.forked_from)
  return (leased or o.delete_after ~= 0) and (o.delete_after or leased and 0)
end

local function set(box, o, after, ends)
  local function left() return { timeout = math.max(ends - boxd.now(), 0.001) } end
  if o.auto_hibernate_timeout then
    box:set_auto_hibernate_timeout(o.auto_hibernate_timeout, left())
  end
  if after then box:set_delete_after(after, left()) end
end

--- o: the options of create or fork; left: seconds for all of it.
return function(box, o, left)
  local after = end_of(box, o)
  if not (o.auto_hibernate_timeout or after) then return box end
  local ok, e = pcall(set, box, o, after, boxd.now() + left)
  if ok then return box end
  temporary.discard(box)
  error(e, 0)
end
