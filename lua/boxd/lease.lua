-- Leases of temporary boxes: the service deletes such a box some seconds after
-- this process was last alive. The core renews them, on a thread of its own.

local core = require "boxd.core"
local boxd = require "boxd"
local resource = require "boxd.internal.resource"
core.internal()

local DEFAULT = 3600
local CALL_SECONDS = 20 -- of one call, and so of a renewal under way
local LOOK = 0.01

local lease = { methods = {} }

-- By Compute, then by the id of the box. The end of a box takes it out.
local leases = core.leases

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

-- Has the core renew it.
local function keep(box, seconds)
  local compute = resource.compute(box)
  leases[compute] = leases[compute] or {}
  leases[compute][box.id] = core.lease(compute, box.id, seconds)
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
    ok, e = pcall(box.set_delete_after, box, seconds,
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

--- Gives a new box its lease; ends: the caller's time. Raises when it can't
--- have one.
function lease.begin(box, seconds, ends)
  if unable[resource.compute(box)] then return end
  if set_first(box, seconds, ends) then keep(box, seconds) end
end

--- Is the box of that id leased, by this process?
function lease.holds(compute, id)
  local boxes = leases[compute]
  return boxes and id and boxes[id] ~= nil
end

-- Ends it; returns once no renewal is under way any more.
local function settle(one)
  local ends = boxd.now() + CALL_SECONDS
  while not one:finish() and boxd.now() < ends do boxd.sleep(LOOK) end
end

-- box:set_delete_after of a leased box: the lease ends first, and goes on where
-- the service refuses.
function lease.methods:set_delete_after(when, opts)
  local boxes, id = leases[resource.compute(self)], self.id
  local one = boxes[id]
  boxes[id] = nil
  local ok, result = pcall(function()
    settle(one)
    return self:set_delete_after(
      type(when) == "string" and { cron = when } or when,
      { timeout = opts.timeout })
  end)
  if ok then return result end
  keep(self, one:seconds())
  error(result, 0)
end

return lease
