-- What the service says to its user once a run, as it first matters.

local log = require "boxd.local.log"

local said = {}

return function(fmt, ...)
  if said[fmt] then return end
  said[fmt] = true
  log("note: " .. fmt, ...)
end
