-- Ids: what the service calls its things, by which clients may call them too.

local crypto = require "boxd.serve".crypto
local status = require "boxd.local.status"

local ids = {}

local BYTES = 6 -- of things that have names

--- A prefix and that many random bytes (6), in hexadecimal.
function ids.new(prefix, bytes)
  return prefix .. crypto.random(bytes or BYTES):gsub(".", function(c)
    return ("%02x"):format(c:byte())
  end)
end

--- Refuses a name that has the form of an id with that prefix: it might be the id
--- of another thing, now or one day, and a call for one would hit the other.
function ids.check_name(prefix, name)
  local rest = name:sub(#prefix + 1)
  if name:sub(1, #prefix) == prefix and #rest == 2 * BYTES
    and rest:find "^%x+$" then
    status.fail("INVALID_ARGUMENT", "'%s' can't be a name: it has the form of an "
      .. "id", name)
  end
end

return ids
