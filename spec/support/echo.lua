-- A server for specs, in a process of its own: `boxdlua spec/support/echo.lua
-- [SECONDS [ADDRESS]]` prints its address. HTTP requests are echoed; "/short" has
-- an answer of its own, "/forget" none at all, "/hold" none for ever. GetVm answers
-- with the vm_id it is given, reflection as it should.

local boxd = require "boxd"
local serve = require "boxd.serve"

local server <close> = serve.listen{http_seconds = tonumber(arg[1]),
  address = arg[2]}
print(server.address)
io.stdout:flush()

local function tell(request)
  local headers = {}
  for name, value in pairs(request.headers) do
    headers[#headers + 1] = name .. "=" .. value
  end
  table.sort(headers)
  return ("%s %s %s\n%s\n%d:%s"):format(request.method, request.path,
    request.query or "-", table.concat(headers, "\n"), #request.body,
    request.body)
end

local held = {}
boxd.spawn(function()
  for request in function() return server:request() end do
    if request.path == "/hold" then
      held[#held + 1] = request
    elseif request.path == "/short" then
      request:answer(200, {["content-type"] = "text/plain", ["X-A"] = "b"}, "x")
      assert(not pcall(request.answer, request, 200))
    elseif request.path == "/forget" then
      local _ <close> = request
    else
      request:answer(201, {["Content-Type"] = "text/plain"}, tell(request))
    end
  end
end)

for call in function() return server:accept() end do
  boxd.spawn(function()
    local c <close> = call
    if c.reflection then
      for question in function() return c:recv_bytes() end do
        c:send_bytes(serve.reflect(question))
      end
    else
      c:send{vm_id = c:recv().vm_id, name = c.peer}
    end
    c:finish()
  end)
end
