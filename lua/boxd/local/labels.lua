-- Labels of boxes: pairs of words that lists can be narrowed by.

local status = require "boxd.local.status"

local fail = status.fail

local KEY_MAX, VALUE_MAX, COUNT_MAX = 63, 256, 64
local RESERVED = "boxd/"

local labels = {}

local function check_key(key)
  if #key > KEY_MAX or not key:find "^[a-z0-9][a-z0-9._/-]*$"
    or not key:find "[a-z0-9]$" then
    fail("INVALID_ARGUMENT", "'%s' is not a key of a label: 1 to %d of a-z, 0-9, "
      .. "'.', '_', '/' and '-', a letter or digit at both ends", key, KEY_MAX)
  end
  return key
end

local function check(key, value)
  check_key(key)
  if key:sub(1, #RESERVED) == RESERVED then
    fail("INVALID_ARGUMENT", "label '%s': keys that begin with '%s' are the "
      .. "service's own; choose another", key, RESERVED)
  end
  if #value > VALUE_MAX or value:find "%c" then
    fail("INVALID_ARGUMENT", "the value of label '%s' has at most %d bytes, "
      .. "and no control characters", key, VALUE_MAX)
  end
end

--- `base` with what `over` sets; both may be nil. A table of its own.
function labels.merged(base, over)
  local out, n = {}, 0
  for k, v in pairs(base or {}) do out[k] = v end
  for k, v in pairs(over or {}) do
    check(k, v)
    out[k] = v
  end
  for _ in pairs(out) do n = n + 1 end
  if n > COUNT_MAX then
    fail("INVALID_ARGUMENT", "%d labels a box are the limit", COUNT_MAX)
  end
  return out
end

--- A function that checks whether the labels of a box fit a selector: a list of
--- "key=value" and "key", all of which must.
function labels.selector(terms)
  local wanted = {}
  for i, term in ipairs(terms or {}) do
    local key, value = term:match "^([^=]*)=(.*)$"
    wanted[i] = { check_key(key or term), value }
  end
  return function(of)
    for _, pair in ipairs(wanted) do
      local has = (of or {})[pair[1]]
      if has == nil or pair[2] and has ~= pair[2] then return false end
    end
    return true
  end
end

local function update(service, request)
  local all = service.boxes
  if not request.vm then fail("INVALID_ARGUMENT", "vm is missing") end
  local record = all:find(request.vm)
  local remove = request.remove or {}
  if request.replace_all and #remove > 0 then
    fail("INVALID_ARGUMENT", "replace_all makes `set` all labels there are: "
      .. "leave `remove` out")
  end
  local _lock <close> = all:lock(record)
  local base = {}
  if not request.replace_all then
    for k, v in pairs(record.labels or {}) do base[k] = v end
    for _, key in ipairs(remove) do base[key] = nil end
  end
  local new = labels.merged(base, request.set)
  all:change(record, { labels = new })
  return { labels = new }
end

labels.rpcs = { UpdateVmLabels = update }

return labels
