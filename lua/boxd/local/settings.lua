-- The settings of an existing box: its name, size, sharing, when
-- it goes, and the stored settings of networks.

local boxd = require "boxd"
local box_request = require "boxd.local.box_request"
local boxes = require "boxd.local.boxes"
local cron = require "boxd.local.cron"
local hostname = require "boxd.local.hostname"
local log = require "boxd.local.log"
local once = require "boxd.local.once"
local status = require "boxd.local.status"
local store = require "boxd.local.store"
local serve = require "boxd.serve"

local fail, NONE = status.fail, store.NONE

local GIB = 1 << 30
local MEMORY_A_VCPU = 4 * GIB -- where a request has one of both only
local YEAR = 366 * 86400
local DELETE_MAX = 100 * YEAR
local EGRESS_MAX = 256
local ENOTSUP = 95
local LANDS = 0.5 -- seconds, from the answer to a resize to its reboot

-- Names.

local FIRST = { "amber", "bold", "brisk", "calm", "clear", "coral", "deft",
  "eager", "fleet", "fresh", "green", "keen", "lucid", "mellow", "neat",
  "noble", "quick", "quiet", "rapid", "silver", "still", "sunny", "swift",
  "tidy", "vivid", "warm" }
local SECOND = { "badger", "birch", "brook", "cedar", "comet", "crane",
  "delta", "ember", "falcon", "fjord", "harbor", "heron", "lark", "maple",
  "marten", "meadow", "orchid", "otter", "pebble", "pine", "raven", "reef",
  "sparrow", "tide", "willow", "wren" }

-- Of random bytes, so that two clients get two names.
local function pick(words)
  local a, b = serve.crypto.random(2):byte(1, 2)
  return words[(a << 8 | b) % #words + 1]
end

local function suggest(service)
  local taken = {}
  for _, record in pairs(service.boxes.records) do taken[record.name] = true end
  for i = 1, 100 do
    local name = pick(FIRST) .. "-" .. pick(SECOND)
    if i > 50 then name = ("%s-%d"):format(name, i) end
    if not taken[name] then return { name = name } end
  end
  fail("RESOURCE_EXHAUSTED", "no name is free: choose one")
end

-- The name is taken at once; a box that is down takes it into its files as it
-- starts.
local function give_name(all, record, name)
  local _lock <close> = all:lock(record)
  local old, handle = record.name, all.live[record.id]
  if name == old then return end
  all:check_free(name)
  local inside = record.hostname or not handle and old
  all:change(record, { name = name,
    hostname = inside and (inside == name and NONE or inside) or nil })
  if not handle then return end
  local named, message, errno = hostname.set(all.spawner, handle, old, name)
  if named then return end
  all:change(record, { name = old, hostname = inside or NONE })
  status.unable(errno, "can't name the box: %s", message)
end

local function rename(service, record, request)
  if not request.new_name then
    fail("INVALID_ARGUMENT", "new_name is missing")
  end
  local name = box_request.check_name(request.new_name)
  give_name(service.boxes, record, name)
  return { name = name }
end

-- Sizes.

-- Reboots a resized box a little after the answer, as on boxd.sh: its commands go
-- on until then. One that has been stopped or destroyed meanwhile is left alone.
local function reboot_soon(all, record)
  boxd.spawn(function()
    boxd.sleep(LANDS)
    local ok, e = pcall(all.reboot, all, record)
    local code, message = status.of(e)
    if not ok and code ~= "NOT_FOUND" and code ~= "FAILED_PRECONDITION" then
      log("box %s was not rebooted for its new size: %s", record.name, message)
    end
  end)
end

-- Gives a box other sizes. One that runs is rebooted for them; without boxd.sh's
-- limits only where it can't have them at once. Returns whether it is.
local function give_size(all, record, vcpu, memory, cold)
  local _lock <close> = all:lock(record)
  if record.status == "suspended" or record.status == "hibernated" then
    fail("FAILED_PRECONDITION", "box '%s' is %s: resume or wake it first",
      record.name, record.status)
  end
  local handle = record.status == "running" and all.live[record.id]
  local limited = not handle or memory == record.memory_bytes
  if cold and handle
    and not (limited and vcpu == record.vcpu) then
    all:change(record, { vcpu = vcpu, memory_bytes = memory })
    reboot_soon(all, record)
    return true
  end
  if not limited then
    local ok, _, errno = all.spawner:memory(handle, memory)
    limited = ok or errno == ENOTSUP -- nothing is enforced here
  end
  all:change(record, { vcpu = vcpu, memory_bytes = memory })
  if limited then return false end
  all:restart(record)
  return true
end

local function resize(service, record, request)
  local vcpu, memory = request.vcpu, request.memory_bytes
  if vcpu == 0 and memory == 0 then
    fail("INVALID_ARGUMENT", "give vcpu or memory_bytes, or both")
  end
  vcpu, memory = service.limits:size(vcpu, memory)
  if memory == 0 then
    memory = vcpu * MEMORY_A_VCPU
  elseif vcpu == 0 then
    vcpu = math.max(1, memory // MEMORY_A_VCPU)
  end
  vcpu = box_request.check_size("vcpu", vcpu)
  memory = box_request.check_size("memory", memory)
  local rebooted = give_size(service.boxes, record, vcpu, memory,
    service.limits.resize)
  return { vcpu = vcpu, memory_bytes = memory, rebooted = rebooted }
end

-- When it goes.

local function set_delete_after(service, record, request)
  local seconds, text = request.delete_after_secs, request.delete_after_cron
  if seconds ~= 0 and text then
    fail("INVALID_ARGUMENT", "give delete_after_secs or delete_after_cron, "
      .. "not both")
  elseif seconds < 0 or seconds > DELETE_MAX then
    fail("INVALID_ARGUMENT", "delete_after_secs is at most %d", DELETE_MAX)
  end
  local at = cron.deadline({ delete_cron = text,
    delete_after = seconds > 0 and seconds or nil }, os.time())
  local _lock <close> = service.boxes:lock(record)
  service.boxes:change(record, { delete_at = at or NONE,
    delete_after = seconds > 0 and seconds or NONE,
    delete_cron = text or NONE })
  service.idle:look()
  return { delete_at_ms = (at or 0) * 1000 }
end

-- Networks.

local function set_networks(service, record, request)
  local networks = box_request.check_networks(request.networks)
  local _lock <close> = service.boxes:lock(record)
  service.boxes:change(record, { networks = networks })
  return { networks = networks }
end

local function is_address(text)
  local a, b, c, d, bits = text:match "^(%d+)%.(%d+)%.(%d+)%.(%d+)(/?%d*)$"
  if not a then return false end
  for _, part in ipairs { a, b, c, d } do
    if #part > 3 or tonumber(part) > 255 then return false end
  end
  local n = bits:match "^/(%d%d?)$"
  return bits == "" or n and tonumber(n) <= 32
end

local function is_host(text)
  local name = text:gsub("^%*%.", "")
  return #text <= 253 and name:find "^%w[%w.-]*%.%a[%w-]*$"
    and not name:find("..", 1, true)
end

local function check_egress(entries)
  local out, seen = {}, {}
  for _, entry in ipairs(entries or {}) do
    if not is_address(entry) and not is_host(entry) then
      fail("INVALID_ARGUMENT", "'%s' is not a host, such as 'api.example.com' or "
        .. "'*.example.com', and no IPv4 address, such as '203.0.113.0/24'",
        entry)
    end
    entry = entry:lower()
    if not seen[entry] then out[#out + 1] = entry end
    seen[entry] = true
  end
  if #out > EGRESS_MAX then
    fail("INVALID_ARGUMENT", "%d entries are the limit", EGRESS_MAX)
  end
  return out
end

-- For the operator of the service.
local function say_unheld(entries)
  if #(entries or {}) == 0 then return end
  once("the list of what a box may reach is kept and shown, but nothing holds "
    .. "the box to it here")
end

local function set_egress(service, request)
  if not request.vm then fail("INVALID_ARGUMENT", "vm is missing") end
  local record = service.boxes:find(request.vm)
  local entries = check_egress(request.entries)
  local _lock <close> = service.boxes:lock(record)
  service.boxes:change(record, { egress_allow = entries })
  say_unheld(entries)
  return { entries = entries }
end

local BOT_MODES = { on = true, off = true, sleep_only = true }

local function set_bot_protection(service, record, request)
  local mode = request.mode or (request.enabled and "on" or "off")
  if not BOT_MODES[mode] then
    fail("INVALID_ARGUMENT", "mode is 'on', 'sleep_only' or 'off', not '%s'",
      mode)
  end
  service.boxes:change(record, { bot_protection = mode })
end

local function share(value)
  return boxes.rpc(function(service, record)
    service.boxes:change(record, { shared = value })
  end)
end

local function set_timeout(field)
  return boxes.rpc(function(service, record, request)
    local changes = service.idle:marks(record)
    changes[field] = request.timeout_secs
    service.boxes:change(record, changes)
    service.idle:look()
  end)
end

local settings = { check_egress = check_egress, say_unheld = say_unheld }

settings.rpcs = {
  SuggestVmName = suggest,
  RenameVm = boxes.rpc(rename),
  ResizeVm = boxes.rpc(resize),
  ShareVm = share(true),
  UnshareVm = share(false),
  SetAutoSuspendTimeout = set_timeout "auto_suspend",
  SetAutoHibernateTimeout = set_timeout "auto_hibernate",
  SetDeleteAfter = boxes.rpc(set_delete_after),
  SetVmNetworks = boxes.rpc(set_networks),
  SetVmEgressAllow = set_egress,
  SetBotProtection = boxes.rpc(set_bot_protection),
  SetIdleIgnoreOutbound = boxes.rpc(function(service, record, request)
    service.boxes:change(record, { idle_ignore_outbound = request.enabled })
  end),
}

return settings
