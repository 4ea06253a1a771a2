-- What a call that is to fail raised; without an error, the spec fails.

local boxd = require "boxd"

local raised = {}

-- The error of f(...), whatever it is.
function raised.of(f, ...)
  local ok, e = pcall(f, ...)
  assert(not ok, "it did not fail")
  return e
end

-- The error of f(...), one of boxd's with that name for a class.
function raised.with_class(class, f, ...)
  local e = raised.of(f, ...)
  assert(boxd.is_error(e), tostring(e))
  assert(e.class == class, class .. " expected: " .. tostring(e))
  return e
end

function raised.is_cancelled(e)
  assert(boxd.is_error(e, boxd.CancelledError), tostring(e))
end

function raised.is_timeout(e)
  assert(boxd.is_error(e, boxd.TimeoutError), tostring(e))
end

return raised
