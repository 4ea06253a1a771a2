-- For LUA_INIT: the garbage collector at work all the time. "incremental"
-- would take a pause of 0 for no change. Lua 5.5 sets parameters by names.
collectgarbage("incremental", 0, 100, 3)
if _VERSION == "Lua 5.4" then
  collectgarbage("setpause", 0)
else
  collectgarbage("param", "pause", 0)
  collectgarbage("param", "stepmul", 100)
  collectgarbage("param", "stepsize", 8)
end
