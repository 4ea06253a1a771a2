-- Methods of c.snapshot that wait: a new snapshot is pending while it is copied.

local core = require "boxd.core"
local boxd = require "boxd"
local check = require "boxd.internal.check"
local poll = require "boxd.internal.poll"
local resource = require "boxd.internal.resource"
core.internal()

local SECONDS = 600

local methods = {}

-- Is it ready in that version or a later one? Raises where making it has failed.
local function is_ready(found, version)
  local failed = found.failed_version
  if found.status == "failed" or failed and failed > 0 and failed >= version
    and (found.version or 0) < version then
    core.raise("BoxdError", ("snapshot %s has failed: %s"):format(
      found.name or found.id, found.failure_reason or "no reason is given"))
  end
  return found.status == "ready" and (found.version or 0) >= version
end

-- c.snapshot:wait_until_ready(snapshot or name, { version=, timeout=600,
-- poll_interval=0.5 }) -> the snapshot
function methods:wait_until_ready(snapshot, opts)
  local name = "wait_until_ready"
  local id = resource.id(1, name, snapshot, "Snapshot")
  opts = check.options(2, name, opts,
    { "version", "poll_interval", "org", "timeout" })
  local version = check.integer(name, opts, "version", 0)
    or id ~= snapshot and snapshot.version or 0
  local org = check.field(name, opts, "org", "string")
  return poll.wait({ timeout = opts.timeout or SECONDS, name = id,
    interval = poll.interval(name, opts),
    late = ("snapshot %s was not ready"):format(id) },
    function(left)
      local one = poll.one(left)
      one.org = org
      local ok, found = pcall(self.get, self, id, one)
      if not ok and not poll.is_lost(found) then error(found, 0) end
      if not ok then return false, found end
      if is_ready(found, version) then return found end
      return false, ("it is %s in version %d"):format(found.status,
        found.version or 0)
    end)
end

-- c.snapshot:create(box, name, { wait = true })
function methods:create(box, name, opts)
  local timeout = opts.timeout or SECONDS
  local ends = boxd.now() + timeout
  local made = self:create(box, name, { timeout = math.min(timeout, 60) })
  return self:wait_until_ready(made,
    { timeout = math.max(ends - boxd.now(), 0.001) })
end

core.methods("boxd.Snapshots", methods)
