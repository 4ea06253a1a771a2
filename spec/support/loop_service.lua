-- Run by boxdlua, for specs of boxd in other loops: a service that answers as an
-- Exec's command says, and prints its port:
--   "chunks N SIZE"   N chunks of SIZE bytes
--   "sleep SECONDS"   exits after that
--   "hold"            one chunk, and no end
--   "beat N SECONDS"  N lines, one each so many seconds

local boxd = require "boxd"
local serve = require "boxd.serve"

local function chunk(call, data) call:send { data = data } end

local function exec(call)
  local command = call:recv().command
  local name, a, b = command:match "^(%S+) ?(%S*) ?(%S*)"
  if name == "chunks" then
    local data = ("x"):rep(tonumber(b))
    for _ = 1, tonumber(a) do chunk(call, data) end
  elseif name == "beat" then
    for i = 1, tonumber(a) do
      chunk(call, i .. "\n")
      boxd.sleep(tonumber(b))
    end
  elseif name == "sleep" then
    boxd.sleep(tonumber(a))
  else
    chunk(call, "held")
    call:wait_cancelled()
    return
  end
  call:send { exit_code = 0 }
  call:finish()
end

local handlers = { Exec = exec,
  GetVm = function(call)
    call:send { vm_id = call:recv().vm_id, name = "box", status = "running" }
    call:finish()
  end }

local server = serve.listen()
print(server.address:match ":(%d+)$")
io.stdout:flush()
for call in function() return server:accept() end do
  boxd.spawn(function()
    local c <close> = call
    pcall(handlers[c.rpc], c)
  end)
end
