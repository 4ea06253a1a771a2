-- A service that answers as a spec says, in this process, and a Compute that
-- talks to it.

local boxd = require "boxd"
local serve = require "boxd.serve"

local scripted = {}

--- A token that no error, log or tostring may ever hold.
scripted.TOKEN = "tok-very-secret"

local Service = {}
Service.__index = Service

local function answer(service, call)
  local handler = service.handlers[call.rpc]
  if not handler then
    return call:finish("UNIMPLEMENTED", "no handler of " .. call.rpc)
  end
  local request = call:recv()
  local seen = service.seen
  seen[#seen + 1] = { rpc = call.rpc, request = request,
    deadline = call.deadline and call.deadline - boxd.now() }
  local reply = handler
  if type(handler) == "function" then reply = handler(request, call) end
  if reply then
    call:send(reply)
    call:finish()
  end
end

--- handlers: RPC -> reply, or function(request, call) that returns the reply or
--- finishes the call itself. options: more options of its Compute `c`. Its
--- `seen` lists { rpc, request, deadline = seconds left }.
function scripted.start(handlers, options)
  local service = setmetatable({ handlers = handlers or {}, seen = {},
    tasks = {}, server = serve.listen() }, Service)
  service.address = service.server.address
  boxd.spawn(function()
    for call in function() return service.server:accept() end do
      local tasks = service.tasks
      tasks[#tasks + 1] = boxd.spawn(function()
        local c <close> = call
        answer(service, c)
      end)
    end
  end)
  options = options or {}
  options.api_url = service.address
  if not options.api_key then options.token = scripted.TOKEN end
  service.c = boxd.Compute(options)
  return service
end

--- A box that needs no call to be had.
function Service:box(fields)
  self.handlers.CreateVm = self.handlers.CreateVm
    or fields or { vm_id = "vm1", name = "web", status = "running" }
  return self.c.box:create()
end

--- The last request of an RPC.
function Service:request(rpc)
  for i = #self.seen, 1, -1 do
    if self.seen[i].rpc == rpc then return self.seen[i].request end
  end
end

--- How many calls of an RPC arrived; of all when nil.
function Service:count(rpc)
  local n = 0
  for _, one in ipairs(self.seen) do
    if not rpc or one.rpc == rpc then n = n + 1 end
  end
  return n
end

function Service:__close()
  self.c:close()
  self.server:close()
  for _, task in ipairs(self.tasks) do task:cancel() end
  for _, task in ipairs(self.tasks) do pcall(task.join, task) end
end
Service.close = Service.__close

--- The boxd error that f(...) raises, with no secret in it and no position in
--- our own files.
function scripted.failure(f, ...)
  local ok, e = pcall(f, ...)
  assert(not ok, "no error was raised")
  assert(boxd.is_error(e), "not a boxd error: " .. tostring(e))
  local text = tostring(e)
  assert(not text:find(scripted.TOKEN, 1, true), "a secret is in the error")
  assert(not text:find("lua/boxd/", 1, true), "a position of ours: " .. text)
  assert(not text:find("boxd/[%w_]+%.lua:"), "a position of ours: " .. text)
  return e
end

--- The plain string that f(...) raises.
function scripted.refused(f, ...)
  local ok, e = pcall(f, ...)
  assert(not ok, "no error was raised")
  assert(type(e) == "string", "not an argument error: " .. tostring(e))
  assert(not e:find("lua/boxd/", 1, true), "a position of ours: " .. e)
  assert(not e:find("boxd/[%w_]+%.lua:"), "a position of ours: " .. e)
  return e
end

return scripted
