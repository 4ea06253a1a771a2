-- How a handler refuses: status.fail("NOT_FOUND", "no box '%s'", id).

local status = {}

local Refusal = { __name = "boxd.Refusal" }

function Refusal:__tostring() return self.code .. ": " .. self.message end

function status.fail(code, fmt, ...)
  local message = select("#", ...) > 0 and fmt:format(...) or fmt
  error(setmetatable({ code = code, message = message }, Refusal), 0)
end

-- What a call can be refused for by the system, by errno. The rest is a fault.
local CODES = {
  [1] = "PERMISSION_DENIED", -- EPERM
  [2] = "NOT_FOUND", -- ENOENT
  [11] = "RESOURCE_EXHAUSTED", -- EAGAIN: processes
  [12] = "RESOURCE_EXHAUSTED", -- ENOMEM
  [13] = "PERMISSION_DENIED", -- EACCES
  [16] = "FAILED_PRECONDITION", -- EBUSY
  [17] = "ALREADY_EXISTS", -- EEXIST
  [18] = "FAILED_PRECONDITION", -- EXDEV
  [20] = "NOT_FOUND", -- ENOTDIR
  [21] = "INVALID_ARGUMENT", -- EISDIR
  [22] = "INVALID_ARGUMENT", -- EINVAL
  [23] = "RESOURCE_EXHAUSTED", -- ENFILE
  [24] = "RESOURCE_EXHAUSTED", -- EMFILE
  [26] = "FAILED_PRECONDITION", -- ETXTBSY
  [27] = "RESOURCE_EXHAUSTED", -- EFBIG
  [28] = "RESOURCE_EXHAUSTED", -- ENOSPC
  [30] = "FAILED_PRECONDITION", -- EROFS
  [31] = "RESOURCE_EXHAUSTED", -- EMLINK
  [36] = "INVALID_ARGUMENT", -- ENAMETOOLONG
  [39] = "FAILED_PRECONDITION", -- ENOTEMPTY: it is filled meanwhile
  [40] = "INVALID_ARGUMENT", -- ELOOP
  [103] = "UNAVAILABLE", -- ECONNABORTED: the box ended meanwhile
  [116] = "FAILED_PRECONDITION", -- ESTALE: it is changed meanwhile
  [122] = "RESOURCE_EXHAUSTED", -- EDQUOT
}

-- Refuses by the file that a client named.
function status.refuse(errno, fmt, ...)
  status.fail(CODES[errno] or "INTERNAL", fmt, ...)
end

-- Refuses what the service could not do for reasons of its own: only want of room
-- is the client's business.
function status.unable(errno, fmt, ...)
  local code = CODES[errno]
  if code ~= "RESOURCE_EXHAUSTED" then code = "INTERNAL" end
  status.fail(code, fmt, ...)
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
