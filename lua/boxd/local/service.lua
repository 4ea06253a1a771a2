-- The embedded service: accepts calls and requests, checks who calls, and
-- gives each call to its handler in a task of its own.

local boxd = require "boxd"
local serve = require "boxd.serve"
local account = require "boxd.local.account"
local boxes = require "boxd.local.boxes"
local disks = require "boxd.local.disks"
local records = require "boxd.local.records"
local rpcs = require "boxd.local.rpcs"
local status = require "boxd.local.status"
local store = require "boxd.local.store"

local service = {}
service.__index = service

local REMOVE_SECONDS = 8 -- the parent of --local waits 10 for us

local SUCCESSOR = "the embedded service does not have %s"

-- Calls.

local function reflect(call)
  for request in function() return call:recv_bytes() end do
    call:send_bytes(serve.reflect(request))
  end
  call:finish()
end

local function answer(self, call)
  self.account:check(call:metadata "authorization")
  local unary, stream = rpcs.unary[call.rpc], rpcs.stream[call.rpc]
  if stream then
    stream(self, call)
  elseif unary then
    local request = call:recv()
    if not request then
      status.fail("INVALID_ARGUMENT", "the request is missing")
    end
    call:send(unary(self, request))
  else
    status.fail("UNIMPLEMENTED", SUCCESSOR, call.rpc)
  end
end

local function handle(self, call)
  if call.path:find "^/grpc%.reflection%." then return reflect(call) end
  if not call.path:find "^/boxd%.api%.v1%.BoxdApi/" then
    return call:finish("UNIMPLEMENTED", "no service has " .. call.path)
  end
  local ok, e = xpcall(answer, function(e)
    -- A bug keeps its traceback for the log.
    if type(e) == "string" then return debug.traceback(e, 2) end
    return e
  end, self, call)
  if ok then return call:finish() end
  if call:cancelled() then return end
  local code, message = status.of(e)
  if code == "INTERNAL" then
    io.stderr:write("boxdlua --serve: ", call.rpc, ": ", message, "\n")
  end
  call:finish(code, message)
end

-- The client may leave at any time; that is its right.
local function handle_quietly(self, call)
  local ok, e = pcall(handle, self, call)
  if not ok and not call:cancelled() then error(e, 0) end
end

local function accept_calls(self)
  for call in function() return self.server:accept() end do
    boxd.spawn(handle_quietly, self, call)
  end
end

-- HTTP: only the exchange.

local EXCHANGE = "/api/v1/auth/token"

local function answer_http(self, request)
  local code, body
  if request.path ~= EXCHANGE then
    code, body = 404, { error = "only POST " .. EXCHANGE .. " is here" }
  elseif request.method ~= "POST" then
    code, body = 405, { error = "send a POST" }
  else
    code, body = self.account:exchange(request.body)
  end
  request:answer(code, { ["Content-Type"] = "application/json" },
    boxd.json.encode(body))
end

local function accept_requests(self)
  for request in function() return self.server:request() end do
    answer_http(self, request)
  end
end

-- options: state (folder), listen, net, max_boxes. The spawner comes first:
-- it must be forked before any thread exists.
function service.open(options)
  local self = setmetatable({}, service)
  self.store = store.open(options.state)
  self.spawner = serve.spawner(options.state)
  local limits, message = self.spawner:ready()
  if not limits then
    error("local boxes can't be made here: " .. message, 0)
  end
  self.limits = limits
  serve.sys.mkdir(options.state .. "/files", 448)
  self.account = account.open(self.store)
  self.records = records.open(self.store)
  self.boxes = boxes.new(self.store, self.spawner, options)
  self.boxes:restore()
  self.server = serve.listen { address = options.listen }
  return self
end

-- Serves until the server is closed.
function service:run()
  local tasks = {
    boxd.spawn(accept_calls, self), boxd.spawn(accept_requests, self),
    boxd.spawn(self.boxes.watch, self.boxes),
  }
  for _, task in ipairs(tasks) do task:join() end
end

-- Files of boxes and disks may belong to users that only the spawner acts for.
local function remove_files(self)
  for id in pairs(self.boxes.records) do
    local handle = self.boxes.live[id]
    if handle then self.spawner:kill(handle) end
    self.spawner:remove(self.boxes:folder(id))
  end
  for _, disk in pairs(self.store:all "disks") do
    self.spawner:remove(disks.folder(self.store, disk))
  end
end

-- Ends every call and every box. removing: the state goes, too.
function service:close(removing)
  self.server:close()
  if removing then pcall(boxd.with_timeout, REMOVE_SECONDS, remove_files, self)
  end
  self.spawner:stop()
  if not removing then return end
  local ok, message = serve.sys.remove_tree(self.store.dir)
  if not ok then
    io.stderr:write("boxdlua --serve: the state can't be removed: ", message,
      "\n")
  end
end

return service
