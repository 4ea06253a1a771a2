-- The last line of a text that shows something, or nil.

local core = require "boxd.core"
core.internal()

--- From the back: a pattern from the front begins again at each byte, which takes
--- hours in a line of a megabyte.
return function(text)
  local line = text:reverse():match "^%s*([^\r\n]+)"
  return line and line:reverse()
end
