-- How a handler refuses: status.fail("NOT_FOUND", "no box '%s'", id).

local status = {}

local Refusal = { __name = "boxd.Refusal" }

function Refusal:__tostring() return self.code .. ": " .. self.message end

function status.fail(code, fmt, ...)
  local message = select("#", ...) > 0 and fmt:format(...) or fmt
  error(setmetatable({ code = code, message = message }, Refusal), 0)
end

-- The code and message of whatever was raised; a bug is INTERNAL. A value that
-- can't be kept or sent came from the client.
function status.of(e)
  if getmetatable(e) == Refusal then return e.code, e.message end
  if type(e) == "table" and e.class == "InvalidArgumentError" then
    return e.code or "INVALID_ARGUMENT", e.message
  end
  if type(e) == "table" and e.message then
    return e.code or "INTERNAL", e.message
  end
  return "INTERNAL", tostring(e)
end

-- For xpcall: a bug keeps its traceback, for the log.
function status.traced(e)
  if type(e) == "string" then return debug.traceback(e, 2) end
  return e
end

return status
