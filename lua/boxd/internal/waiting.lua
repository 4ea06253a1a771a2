-- The waits of create, fork and temporary with `wait`: for a snapshot that is
-- pending, and for the new box.

local core = require "boxd.core"
local boxd = require "boxd"
local check = require "boxd.internal.check"
core.internal()

local SECONDS, SNAPSHOT_SECONDS = 90, 600

local waiting = {}

--- When the whole ends that begins now, by its options.
function waiting.ends(method, options)
  local timeout = options.timeout
  if timeout ~= nil then check.seconds(method, "timeout", timeout) end
  return boxd.now() + (timeout
    or options.from_snapshot and SNAPSHOT_SECONDS or SECONDS)
end

--- Seconds that are left.
function waiting.left(ends) return math.max(ends - boxd.now(), 0.001) end

--- Waits until the snapshot is ready that the options name, if they do.
function waiting.for_source(compute, options, ends)
  local snapshot = options.from_snapshot
  if snapshot == nil then return end
  compute.snapshot:wait_until_ready(snapshot,
    { org = options.org, timeout = waiting.left(ends) })
end

--- Waits until the box runs and answers.
function waiting.for_box(box, ends)
  return box:wait_until_ready { timeout = waiting.left(ends) }
end

return waiting
