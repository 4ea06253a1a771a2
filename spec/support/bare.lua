-- A client for specs of the server: RPCs by name, with no default timeout and
-- with streams that can be written to, of a Compute that it closes.

local boxd = require "boxd"
local core = require "boxd.core"

local Client = {}
Client.__index = Client

function Client:call(rpc, request, seconds)
  return core.call(self.compute, rpc, request, seconds)
end

function Client:stream(...) return core.stream(self.compute, ...) end

function Client:close() self.compute:close() end
Client.__close = Client.close

--- options: of boxd.Compute.
return function(options)
  return setmetatable({ compute = boxd.Compute(options) }, Client)
end
