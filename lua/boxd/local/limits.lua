-- What boxd.sh limits: sizes, of which there are four classes, and how many of a
-- thing there may be. A service has these limits, or none.

local once = require "boxd.local.once"
local status = require "boxd.local.status"

local fail = status.fail

local GIB = 1 << 30

local limits = {}
limits.__index = limits

limits.VCPU, limits.MEMORY, limits.DISK = 2, 8 * GIB, 100 * GIB -- the defaults

local CLASSES = { [1] = 4 * GIB, [2] = 8 * GIB, [4] = 16 * GIB, [8] = 32 * GIB }
local LARGEST = 8

-- resize: does a box that runs boot anew for another size?
local PRODUCTION = { classes = true, exchanges = 30, message = 4 << 20,
  resize = true }

--- name: "production" or "none". max_boxes: instead of its number of machines.
function limits.of(name, max_boxes)
  local self = { counts = {} }
  if name ~= "none" then
    for k, v in pairs(PRODUCTION) do self[k] = v end
    self.counts = { machines = 50, ["API keys"] = 25, checkpoints = 10 }
  end
  self.counts.machines = max_boxes or self.counts.machines
  self.way_out = max_boxes and ", or start the service with another --max-boxes"
  return setmetatable(self, limits)
end

local function class_of(memory)
  for vcpu, bytes in pairs(CLASSES) do
    if bytes == memory then return vcpu end
  end
end

--- The vCPUs and bytes of memory that a request for some gets: either one names
--- the class, the vCPUs where both are given; nil or 0: not given. No class where
--- neither is, and none without limits: then it returns its argument.
function limits:size(vcpu, memory)
  local given = { vcpu or 0, memory or 0 }
  if not self.classes or given[1] == 0 and given[2] == 0 then
    return vcpu, memory
  end
  local class = given[1] ~= 0 and given[1] or class_of(given[2])
  if CLASSES[class] then return class, CLASSES[class] end
  fail("INVALID_ARGUMENT", "sizes are 1 vCPU with 4 GiB, 2 with 8, 4 with 16 and "
    .. "8 with 32, not %s", given[1] ~= 0 and ("%d vCPUs"):format(given[1])
    or ("%.10g GiB"):format(given[2] / GIB))
end

--- The bytes of disk that a request for some gets.
function limits:disk(bytes)
  if not self.classes or not bytes or bytes == 0 or bytes == limits.DISK then
    return bytes
  end
  once("a box's disk is 100 GiB, as on boxd.sh: another size is not held")
  return limits.DISK
end

--- What Whoami says of them; nil: nothing is limited.
function limits:quota()
  if not self.classes and not self.counts.machines then return nil end
  return { max_vms = self.counts.machines,
    vcpu = self.classes and LARGEST,
    memory_bytes = self.classes and CLASSES[LARGEST] }
end

--- Refuses one more of `what` ("machines") than there may be. n: how many there are.
function limits:check_count(what, n)
  local most = self.counts[what]
  if not most or n < most then return end
  fail("RESOURCE_EXHAUSTED", "quota exceeded: %d of %d %s are in use: delete "
    .. "one%s", n, most, what, what == "machines" and self.way_out or "")
end

return limits
