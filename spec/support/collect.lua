-- For LUA_INIT: the garbage collector at work all the time. "incremental"
-- would take a pause of 0 for no change.
collectgarbage("incremental", 0, 100, 3)
collectgarbage("setpause", 0)
