-- A command of ours that failed in the box: its error.

local core = require "boxd.core"
core.internal()

-- By the end of its message, as the contract's own calls have them.
local CLASSES = {
  ["File exists"] = "ConflictError",
  ["Is a directory"] = "InvalidArgumentError",
  ["No such file or directory"] = "NotFoundError",
  ["Not a directory"] = "NotFoundError",
  ["Operation not permitted"] = "PermissionDeniedError",
  ["Permission denied"] = "PermissionDeniedError",
}

--- Raises that `what` failed, for the reason that the result has.
return function(what, result)
  local said = result.stderr:gsub("%s+$", "")
  core.raise(CLASSES[said:match ": ([^:\n]*)$"] or "BoxdError", ("%s: %s"):format(
    what, said ~= "" and said or "exit code " .. result.exit_code))
end
