-- at_once(name, act): a spec that waits most of its time. All of a describe
-- block's begin with the block, each in a task, and so wait at the same time.

local boxd = require "boxd"
local busted = require "busted"

return function(name, act)
  local task
  busted.setup(function() task = boxd.spawn(act) end)
  busted.it(name, function() task:join() end)
end
