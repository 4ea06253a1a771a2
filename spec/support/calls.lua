-- A server for specs in this process: each call is a task that the table of
-- handlers (RPC name -> function(call)) answers. And the assertion that a spec
-- left no task behind.

local boxd = require "boxd"
local serve = require "boxd.serve"

local calls = {}
calls.__index = calls

--- `options` are serve.listen's. The result is to be closed; it has `server`,
--- `compute`, `box` (with the id "b1") and `taken`, the calls so far.
function calls.start(handlers, options)
  local self = setmetatable({ taken = {}, server = serve.listen(options) },
    calls)
  self.loop = boxd.spawn(function()
    for call in function() return self.server:accept() end do
      self.taken[#self.taken + 1] = call
      boxd.spawn(function()
        local c <close> = call
        local ok, e = pcall(handlers[c.rpc], c)
        if not ok and not c:cancelled() then error(e, 0) end
      end)
    end
  end)
  self.compute = boxd.Compute { token = "t", max_retries = 0,
    api_url = "http://" .. self.server.address }
  self.box = require "boxd.box".new(self.compute,
    { vm_id = "b1", name = "one", status = "running" })
  return self
end

calls.__close = function(self)
  self.compute:close()
  self.server:close()
  self.loop:join()
end

--- Waits until condition() is true; an error after `seconds` (20). It looks less
--- often as time goes by: most conditions are a command in a box.
function calls.eventually(condition, seconds)
  local ends, pause = boxd.now() + (seconds or 20), 0.002
  while not condition() do
    if boxd.now() > ends then error("it never came true", 2) end
    boxd.sleep(pause)
    pause = math.min(pause * 1.5, 0.05)
  end
end

--- For after_each: every task has ended, or does soon.
function calls.settled()
  collectgarbage()
  calls.eventually(function() return serve.pending() == 0 end)
end

return calls
