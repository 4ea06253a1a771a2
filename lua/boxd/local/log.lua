-- What the service says to its user, on stderr: a line, or an error with its
-- traceback. Names that clients and boxes chose are in it: what a terminal takes
-- for a command is shown, not sent.

local function shown(c)
  return (c:gsub(".", function(b) return ("\\x%02x"):format(b:byte()) end))
end

return function(fmt, ...)
  local message = select("#", ...) > 0 and fmt:format(...) or fmt
  if not utf8.len(message) then message = message:gsub("[\x80-\xff]+", shown) end
  message = message:gsub("[^%C\n\t]", shown):gsub("\xc2[\x80-\x9f]", shown)
  io.stderr:write("boxdlua --serve: ", message, "\n")
end
