-- A server in a process of its own that begins each call and never ends
-- it: `boxdlua spec/support/holder.lua` prints its address. A stream has one
-- message, "begun", and then nothing; requests are not read. A unary
-- call is not answered, but GetVm of "there" is, and the
-- download of "/big", 3 MiB,
-- with the mode that is asked for before. Its HTTP requests are held too.

local boxd = require "boxd"
local serve = require "boxd.serve"

local server <close> = serve.listen { http_seconds = 600 }
print(server.address)
io.stdout:flush()

local STREAMS = { Exec = { data = "begun\n" }, StreamLogs = { data = "begun\n" },
  DownloadFileStream = { data = "begun\n", total_size = 1 << 30 },
  UploadFileStream = false }

local MIB = ("x"):rep(1 << 20)

local held = {}
boxd.spawn(function()
  for request in function() return server:request() end do
    held[#held + 1] = request
  end
end)

local function answer(call)
  local request = call:recv()
  if call.rpc == "GetVm" and request.vm_id == "there" then
    call:send { vm_id = "there", name = "there", status = "running" }
    return call:finish()
  end
  if (request.command or ""):find "^stat .* /big$" then
    call:send { data = "644\n", exit_code = 0 }
    return call:finish()
  end
  if request.path == "/big" then
    for _ = 1, 3 do call:send { data = MIB, total_size = 3 * #MIB } end
    return call:finish()
  end
  if STREAMS[call.rpc] then call:send(STREAMS[call.rpc]) end
  call:wait_cancelled()
end

for call in function() return server:accept() end do
  boxd.spawn(function()
    local c <close> = call
    pcall(answer, c)
  end)
end
