-- A server in a process of its own that moves much: `boxdlua
-- spec/support/flood.lua` prints its address. The command of Exec and the path
-- of a download are a number of MiB; logs have no end; an upload is counted.
-- GetVm answers with the vm_id it is given.

local boxd = require "boxd"
local serve = require "boxd.serve"

local server <close> = serve.listen()
print(server.address)
io.stdout:flush()

local CHUNK = ("x"):rep(256 << 10)
local COUNT = 4 -- a MiB

local answers = {}

function answers.Exec(call, request)
  for _ = 1, COUNT * tonumber(request.command) do call:send { data = CHUNK } end
end

function answers.StreamLogs(call)
  while true do call:send { data = CHUNK } end
end

function answers.DownloadFileStream(call, request)
  local total = tonumber(request.path)
  for _ = 1, COUNT * total do
    call:send { data = CHUNK, total_size = total << 20 }
  end
end

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
