-- The parameters of the incremental collector, which Lua 5.5 sets by names.

local collector = {}

--- Sets "pause" or "stepmul", both percentages; returns the old value.
function collector.set(name, percent)
  if _VERSION == "Lua 5.4" then return collectgarbage("set" .. name, percent) end
  return collectgarbage("param", name, percent)
end

--- An incremental collector whose steps are of 2 ^ size bytes.
function collector.incremental(pause, stepmul, size)
  collectgarbage("incremental", pause, stepmul, size)
  if _VERSION == "Lua 5.4" then return end
  collector.set("pause", pause)
  collector.set("stepmul", stepmul)
  collectgarbage("param", "stepsize", 1 << size)
end

return collector
