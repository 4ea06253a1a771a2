-- The embedded service: accepts calls and requests, authenticates them, and
-- gives each call to its handler in a task of its own.

local boxd = require "boxd"
local serve = require "boxd.serve"
local account = require "boxd.local.account"
local backups = require "boxd.local.backups"
local boxes = require "boxd.local.boxes"
local captures = require "boxd.local.captures"
local crashes = require "boxd.local.crashes"
local disks = require "boxd.local.disks"
local domains = require "boxd.local.domains"
local front = require "boxd.local.front"
local listeners = require "boxd.local.listeners"
local idle = require "boxd.local.idle"
local log = require "boxd.local.log"
local logs = require "boxd.local.logs"
local networks = require "boxd.local.networks"
local processes = require "boxd.local.processes"
local packages = require "boxd.local.packages"
local ports = require "boxd.local.ports"
local proxies = require "boxd.local.proxies"
local rpcs = require "boxd.local.rpcs"
local snapshots = require "boxd.local.snapshots"
local specs = require "boxd.local.specs"
local status = require "boxd.local.status"
local store = require "boxd.local.store"
local vars = require "boxd.local.vars"

local service = {}
service.__index = service

local REFLECT_MAX = 64 << 10 -- bytes
local DESCRIPTORS_MIN = 64 -- 32 and 4 a command at a time

local ABSENT = "%s is not in the embedded service"

-- Calls.

-- Without a token: what one asks is bounded.
local function reflect(call)
  for request in function() return call:recv_bytes() end do
    if #request > REFLECT_MAX then
      status.fail("RESOURCE_EXHAUSTED", "a request of reflection is %d bytes at "
        .. "most", REFLECT_MAX)
    end
    call:send_bytes(serve.reflect(request))
  end
end

local function answer(self, call)
  local claims = self.account:check(call:metadata "authorization")
  call:admit()
  local unary, stream = rpcs.unary[call.rpc], rpcs.stream[call.rpc]
  if stream then
    local _held <close> = self.account:hold(claims, call)
    stream(self, call)
  elseif unary then
    local request = call:recv()
    if not request then
      status.fail("INVALID_ARGUMENT", "the request is missing")
    end
    call:send(unary(self, request))
  else
    status.fail("UNIMPLEMENTED", ABSENT, call.rpc)
  end
end

local function handle(self, call)
  if call.path:find "^/grpc%.reflection%." then return reflect(call) end
  if not call.path:find "^/boxd%.api%.v1%.BoxdApi/" then
    status.fail("UNIMPLEMENTED", "no service has %s", call.path)
  end
  answer(self, call)
end

-- Every call ends with a status, whatever happens; the client may leave at any
-- time, which is its right.
local function answer_call(self, call)
  local _finished <close> = call
  local ok, e = xpcall(handle, status.traced, self, call)
  if call:cancelled() then return end
  if ok then return call:finish() end
  local code, message = status.of(e)
  if code == "INTERNAL" then log("%s: %s", call.rpc, message) end
  call:finish(code, message)
end

local function accept_calls(self)
  for call in function() return self.server:accept() end do
    boxd.spawn(answer_call, self, call)
  end
end

local function accept_requests(self)
  for request in function() return self.server:request() end do
    boxd.spawn(front.answer, self, request)
  end
end

-- Making and running.

-- The watchers of boxes, in the order of notification.
local function add_watchers(self)
  self.logs = logs.new(self.store.dir .. "/logs")
  self.idle = idle.new(self)
  self.crashes = crashes.new(self)
  self.disks = disks.new(self)
  self.proxies = proxies.new(self)
  self.processes = processes.new(self)
  self.domains = domains.new(self)
  self.ports = ports.new(self)
  self.vars = vars.new(self)
  self.specs = specs.new(self)
  self.packages = packages.new(self)
  self.captures = captures.new(self)
  self.snapshots = snapshots.new(self)
  self.backups = backups.new(self)
  self.boxes.watchers = { self.idle, self.crashes, self.disks, self.domains, self.proxies,
    self.ports, self.processes, self.logs, self.vars,
    self.specs, self.packages, self.captures }
end

-- Puts right what a service that was killed left half done, and starts the
-- boxes that were up.
local function restore(self)
  self.disks:restore()
  self.captures:restore()
  self.domains:restore()
  self.logs:sweep(self.boxes.records)
  self.boxes:restore()
end

-- Without some its parts fail one by one, with errors that don't say why.
local function check_descriptors()
  local limit = assert(serve.sys.descriptors())
  if limit >= DESCRIPTORS_MIN then return end
  error(("this process may have %d open files, and needs %d and more: raise the "
    .. "limit, as by 'ulimit -n 1024'"):format(limit, DESCRIPTORS_MIN), 0)
end

-- options: state (folder), passing (it is for this run), listen, net, limits, init,
-- exec_survives, exchanges (a minute from one address; nil: any number). The spawner
-- comes first: it must be forked before any thread exists.
function service.open(options)
  local self = setmetatable({}, service)
  self.limits = options.limits
  self.exec_survives, self.passing = options.exec_survives, options.passing
  check_descriptors()
  self.store = store.open(options.state)
  self.spawner = serve.spawner(options.state,
    { outgoing = options.net ~= "host", systemd = options.init == "systemd",
      passing = options.passing })
  self.gates = listeners.pool(assert(serve.sys.raise_descriptors()))
  self.store:note_spawner(self.spawner:pid())
  local enforced, message = self.spawner:ready()
  if not enforced then
    error("local boxes can't be made here: " .. message, 0)
  end
  self.enforced = enforced
  serve.sys.mkdir(options.state .. "/files", 448)
  self.account = account.open(self.store, self.limits, options.exchanges)
  self.networks = networks.open(self.store)
  self.boxes = boxes.new(self.store, self.spawner, options)
  add_watchers(self)
  self.server = serve.listen { address = options.listen, tokens = true }
  restore(self)
  return self
end

-- Without its spawner the service can do nothing: it ends, and says so.
local function watch_boxes(self)
  self.crashes:watch()
  if not self.closing then
    self.failure = "the process that runs local boxes has died, and with it "
      .. "all boxes; those that were up start again with the service"
  end
  self.server:close()
end

-- Serves until it is interrupted, or its spawner has died.
function service:run()
  boxd.spawn(accept_requests, self)
  boxd.spawn(watch_boxes, self)
  boxd.spawn(self.store.run, self.store)
  boxd.spawn(self.idle.run, self.idle)
  boxd.spawn(self.proxies.found.run, self.proxies.found)
  boxd.spawn(self.backups.run, self.backups)
  boxd.spawn(accept_calls, self):join()
  if self.failure then error(self.failure, 0) end
end

-- Ends every call and every box. The state goes, too, where it is for one run: by
-- the spawner, and what that has left by us.
function service:close()
  self.closing = true
  self.server:close()
  self.spawner:stop()
  if not self.passing then return end
  local ok, message = serve.sys.remove_tree(self.store.dir)
  if not ok then
    log("the state can't be removed: %s", message)
  end
end

return service
