-- Leases of temporary boxes: the service deletes such a box some seconds after
-- this process was last alive. The core renews them, on a thread of its own.

local core = require "boxd.core"
local boxd = require "boxd"
local resource = require "boxd.internal.resource"
core.internal()

local DEFAULT = 3600
local CALL_SECONDS = 20 -- of one call, and so of a renewal under way
local LOOK = 0.01

local lease = {}

-- By Compute, then by the id of the box: { lease of the core, seconds }.
local leases = setmetatable({}, { __mode = "k" })

-- The Computes whose service can't delete a box by itself.
local unable = setmetatable({}, { __mode = "k" })
local warned = false

--- The seconds that options of temporary ask for; nil: no lease.
function lease.seconds(options)
  if options.lease ~= nil then return options.lease or nil end
  if options.delete_after == nil and options.delete_after_cron == nil then
    return DEFAULT
  end
end

--- One SetDeleteAfter. request: its fields beside vm_id.
function lease.set_end(box, request, opts)
  request.vm_id = box.id
  local reply = resource.call(box, "SetDeleteAfter", request, opts)
  local ms = reply.delete_at_ms or 0
  core.set(box, "delete_at", ms ~= 0 and ms // 1000 or nil)
  core.set(box, "delete_after_cron", request.delete_after_cron)
end

local function of(box)
  local boxes = leases[resource.compute(box)]
  return boxes and boxes[box.id]
end

-- Has the core renew it.
local function keep(box, seconds)
  local compute = resource.compute(box)
  leases[compute] = leases[compute] or {}
  leases[compute][box.id] = { core.lease(compute, box.id, seconds), seconds }
end

local function warn_once(e)
  if warned then return end
  warned = true
  warn(("boxd: this service does not delete a box by itself: a temporary box "
    .. "stays if its script is killed (%s); lease=false says nothing"):format(
    e.message))
end

-- The end is set in two tries at most. False: the service has no such ends.
local function set_first(box, seconds, ends)
  local ok, e
  for _ = 1, 2 do
    ok, e = pcall(lease.set_end, box, { delete_after_secs = seconds },
      { timeout = math.min(math.max(ends - boxd.now(), 1), CALL_SECONDS) })
    if ok then return true end
    if e.code == "UNIMPLEMENTED" then
      unable[resource.compute(box)] = true
      warn_once(e)
      return false
    end
  end
  error(e, 0)
end

--- Gives a new box its lease; ends: the caller's time. Raises what keeps it from
--- having one.
function lease.begin(box, seconds, ends)
  if unable[resource.compute(box)] then return end
  if set_first(box, seconds, ends) then keep(box, seconds) end
end

-- Ends it; returns once no renewal is under way any more.
local function settle(found)
  local ends = boxd.now() + CALL_SECONDS
  while not found[1]:finish() and boxd.now() < ends do boxd.sleep(LOOK) end
end

--- As set_end, by the script: a lease of the box ends first. Where it fails that
--- goes on.
function lease.replace(box, request, opts)
  local found = of(box)
  if not found then return lease.set_end(box, request, opts) end
  leases[resource.compute(box)][box.id] = nil
  local ok, e = pcall(function()
    settle(found)
    lease.set_end(box, request, opts)
  end)
  if ok then return end
  keep(box, found[2])
  error(e, 0)
end

--- The box is gone.
function lease.ended(box)
  local found = of(box)
  if not found then return end
  found[1]:finish()
  leases[resource.compute(box)][box.id] = nil
  local failure = found[1]:failure()
  if failure then
    warn(("boxd: the lease of box %s (%d s) could not be renewed: %s"):format(
      box.name or box.id, found[2], failure))
  end
end

--- Is the box of that id leased, by this process?
function lease.holds(compute, id)
  local boxes = leases[compute]
  return boxes and id and boxes[id] ~= nil
end

return lease
