-- A server of its own for specs about boxes that must not be left behind:
-- `boxdlua spec/support/creator.lua MARK` prints its address, then "RPC argument"
-- for its actions. A file MARK is there once CreateVm was asked for. CreateVm of a
-- name like "slow-0.3" takes that many seconds, whether its caller waits or not;
-- DestroyVm of "vm-stuck" is refused.

local boxd = require "boxd"
local serve = require "boxd.serve"

io.stdout:setvbuf "line"
local server <close> = serve.listen()
print(server.address)

local function answer(call)
  local request = call:recv()
  if call.rpc == "CreateVm" then
    assert(io.open(arg[1], "w")):close()
    local seconds = (request.name or ""):match "^slow%-(.*)"
    if seconds then boxd.sleep(tonumber(seconds)) end
    print("CreateVm " .. request.name)
    call:send { vm_id = "vm-" .. request.name, name = request.name,
      status = "running" }
  elseif call.rpc == "DestroyVm" and request.vm_id == "vm-stuck" then
    print "refused"
    return call:finish("INTERNAL", "it is stuck")
  else
    print(call.rpc .. " " .. request.vm_id)
    call:send {}
  end
  call:finish()
end

for call in function() return server:accept() end do
  boxd.spawn(function()
    local c <close> = call
    pcall(answer, c)
  end)
end
