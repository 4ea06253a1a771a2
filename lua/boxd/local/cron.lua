-- Times as cron has them, in UTC: "MINUTE HOUR DAY MONTH WEEKDAY", each field a
-- `*`, numbers, ranges and lists with steps; months and weekdays by name too.

local status = require "boxd.local.status"

local cron = {}

local MINUTE, HOUR, DAY = 60, 3600, 86400
local DAYS_MAX = 8 * 366 + 1 -- between two of 29 February at most

local function names(text)
  local out, n = {}, 0
  for name in text:gmatch "%a+" do
    out[name] = n
    n = n + 1
  end
  return out
end

local MONTHS = names "none jan feb mar apr may jun jul aug sep oct nov dec"
local WEEKDAYS = names "sun mon tue wed thu fri sat"

local FIELDS = {
  { "minute", 0, 59 }, { "hour", 0, 23 }, { "day", 1, 31 },
  { "month", 1, 12, MONTHS }, { "weekday", 0, 7, WEEKDAYS },
}

local function number(text, field)
  local n = text:find "^%d%d?$" and math.tointeger(text)
    or field[4] and field[4][text:lower()]
  return n and n >= field[2] and n <= field[3] and n or nil
end

-- Adds what one part of a list has to a set; false when it is none.
local function add_part(set, part, field)
  local range, step = part:match "^([^/]+)/(%d+)$"
  range, step = range or part, math.tointeger(step or 1)
  local first, last = range:match "^([^-]+)-([^-]+)$"
  if range == "*" then
    first, last = field[2], field[3]
  elseif first then
    first, last = number(first, field), number(last, field)
  else
    first = number(range, field)
    last = part:find "/" and field[3] or first -- "5/15": from 5 on
  end
  if not first or not last or first > last or not step or step < 1 then
    return false
  end
  for n = first, last, step do set[n] = true end
  return true
end

local function parse(text)
  local out = {}
  for word in text:gmatch "%S+" do
    local field, set = FIELDS[#out + 1], {}
    if not field then return nil, "there are more than five fields" end
    for part in (word .. ","):gmatch "([^,]*)," do
      if not add_part(set, part, field) then
        return nil, ("'%s' is not a valid %s"):format(word, field[1])
      end
    end
    set.any = word:sub(1, 1) == "*"
    out[#out + 1] = set
  end
  if #out < #FIELDS then return nil, "there are fewer than five fields" end
  if out[5][7] then out[5][0] = true end -- both are Sunday
  return out
end

-- A day of the month and one of the week: either will do, where both are given.
local function is_day(fields, t)
  local day, weekday = fields[3][t.day], fields[5][t.wday - 1]
  if not fields[4][t.month] then return false end
  if fields[3].any or fields[5].any then return day and weekday end
  return day or weekday
end

--- The first match after `now` (seconds), in seconds. Raises INVALID_ARGUMENT
--- for an invalid expression, or one that never matches.
function cron.next(text, now)
  local fields, why = parse(text)
  if not fields then
    status.fail("INVALID_ARGUMENT", "'%s' is not a cron expression, such as "
      .. "'0 18 * * *': %s", text, why)
  end
  local at, last = now - now % MINUTE + MINUTE, now + DAYS_MAX * DAY
  while at < last do
    local t = os.date("!*t", at)
    if not is_day(fields, t) then
      at = at - at % DAY + DAY
    elseif not fields[2][t.hour] then
      at = at - at % HOUR + HOUR
    elseif not fields[1][t.min] then
      at = at + MINUTE
    else
      return at
    end
  end
  status.fail("INVALID_ARGUMENT", "'%s' never comes", text)
end

--- When a box with these fields of a record is to be destroyed, whatever it
--- does, in seconds; nil: never.
function cron.deadline(fields, now)
  if fields.delete_cron then return cron.next(fields.delete_cron, now) end
  return fields.delete_after and now + fields.delete_after
end

return cron
