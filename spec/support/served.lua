-- A server and its client, both in this process, for specs of boxd.serve.

local boxd = require "boxd"
local bare = require "spec.support.bare"
local raised = require "spec.support.raised"
local serve = require "boxd.serve"

local served = {}

--- A server and a client of it. handlers: RPC name -> function(call), run as
-- a task that ends with the call.
function served.start(handlers, options)
  local server = serve.listen(options)
  boxd.spawn(function()
    for call in function() return server:accept() end do
      boxd.spawn(function()
        local c <close> = call
        handlers[c.rpc](c)
      end)
    end
  end)
  local client = bare{api_url = "http://" .. server.address, token = "tok",
                             max_retries = 0}
  return server, client
end

--- Closed, it closes both.
function served.cleanup(server, client)
  return setmetatable({}, {__close = function()
    client:close()
    server:close()
  end})
end

--- The error of boxd's that f(...) raises.
function served.failure(f, ...)
  local e = raised.of(f, ...)
  assert(boxd.is_error(e), tostring(e))
  return e
end

return served
