-- A server in a process of its own for many calls: `boxdlua
-- spec/support/flood.lua` prints its address. An upload is counted; GetVm answers
-- with the vm_id it is given.

local boxd = require "boxd"
local serve = require "boxd.serve"

local server <close> = serve.listen()
print(server.address)
io.stdout:flush()

local answers = {}

function answers.UploadFileStream(call, request)
  local n = 0
  while request do
    n = n + #request.data
    request = call:recv()
  end
  call:send { bytes_written = n }
end

function answers.GetVm(call, request)
  call:send { vm_id = request.vm_id, name = request.vm_id, status = "running" }
end

for call in function() return server:accept() end do
  boxd.spawn(function()
    local c <close> = call
    pcall(function()
      answers[c.rpc](c, c:recv())
      c:finish()
    end)
  end)
end
