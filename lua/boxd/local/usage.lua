-- What boxes have used: seconds in each state, kept with their records as the
-- times at which states began. Everything here costs nothing.

local account = require "boxd.local.account"
local box_request = require "boxd.local.box_request"
local status = require "boxd.local.status"
local store = require "boxd.local.store"

local fail, NONE = status.fail, store.NONE

local KEPT = 128 -- beginnings of states a record keeps; older ones are summed
local HOUR, GIB = 3600, 1 << 30

-- Which of the counted states a box's status is; none while it is made.
local COUNTED = { running = "running", suspended = "standby",
  hibernated = "hibernated", stopped = "stopped", failed = "stopped" }

local usage = {}

-- Adds to sums the seconds that list, of { at, status }, has between two times.
local function add(sums, list, first, last)
  for i, entry in ipairs(list) do
    local counted = COUNTED[entry.status]
    local from = math.max(entry.at, first)
    local to = math.min(list[i + 1] and list[i + 1].at or last, last)
    if counted and to > from then sums[counted] = sums[counted] + to - from end
  end
  return sums
end

local function zero()
  return { running = 0, standby = 0, hibernated = 0, stopped = 0 }
end

-- A record from before there was counting began as it is.
local function states_of(record)
  return record.states
    or { { at = record.created_at, status = record.status } }
end

--- Adds to the changes of a record, its status being one of them, when the new
--- one began; and when a box was hibernated, which is shown.
function usage.note(record, changes)
  local list, now = {}, os.time()
  for i, entry in ipairs(states_of(record)) do list[i] = entry end
  if list[#list].at == now then list[#list] = nil end
  list[#list + 1] = { at = now, status = changes.status }
  changes.hibernated_at = changes.status == "hibernated" and now or NONE
  if #list > KEPT then
    local before = {}
    for k, v in pairs(record.states_before or zero()) do before[k] = v end
    add(before, { list[1], list[2] }, list[1].at, list[2].at)
    table.remove(list, 1)
    changes.states_before = before
  end
  changes.states = list
end

-- Seconds of a record between two times, and whether none is missing.
local function count(record, first, last)
  local list = states_of(record)
  local sums = add(zero(), list, first, last)
  if not record.states_before or first >= list[1].at then return sums, true end
  if first > record.created_at or last < list[1].at then return sums, false end
  for k, v in pairs(record.states_before) do sums[k] = sums[k] + v end
  return sums, true
end

local function check_period(record, request, now)
  local first = request.since ~= 0 and request.since or record.created_at
  local last = request["until"] ~= 0 and request["until"] or now
  if first < 0 or last < first then
    fail("INVALID_ARGUMENT", "the period ends before it begins: since and "
      .. "until are seconds since 1970")
  end
  return first, last
end

local function get(service, request)
  if not request.vm_id then fail("INVALID_ARGUMENT", "vm_id is missing") end
  box_request.check_org(request.org)
  local record, now = service.boxes:find(request.vm_id), os.time()
  local first, last = check_period(record, request, now)
  local seconds, whole = count(record, first, math.min(last, now))
  local all = seconds.running + seconds.standby + seconds.hibernated
    + seconds.stopped
  local resident = (seconds.running + seconds.standby) / HOUR
  return {
    period_start = first, period_end = last, currency = "eur", rates = {},
    usage = {
      vm_id = record.id, name = record.name, owner = account.USER,
      owner_name = account.USER_NAME, status = record.status,
      sharing = record.shared and "shared" or "private",
      vcpu = record.vcpu, memory_bytes = record.memory_bytes,
      disk_bytes = record.disk_bytes, seconds = seconds,
      vcpu_hours = seconds.running / HOUR * record.vcpu,
      ram_gib_hours = resident * record.memory_bytes / GIB,
      disk_gib_hours = all / HOUR * record.disk_bytes / GIB,
      cost_micro = 0, complete = whole and last < now,
    },
  }
end

usage.rpcs = { GetVmUsage = get }

return usage
