-- The embedded service as a child, for specs: `boxdlua --serve` on a state of
-- its own, on a port of its own.

local boxd = require "boxd"
local busted = require "busted"
local calls = require "spec.support.calls"
local process = require "spec.support.process"
local program = require "spec.support.program"

local service = {}
service.__index = service

service.eventually = calls.eventually

-- Has the user that runs the specs the ids for a root in boxes?
local HAS_ROOT = [[[ "$(id -u)" = 0 ] || { command -v newuidmap >/dev/null &&
  grep -Eq "^($(id -un)|$(id -u)):[0-9]+:(6553[6-9]|[0-9]{6,})$" /etc/subuid; }]]

--- Busted's `it`, or `describe`, for what needs a root in boxes: its `pending` where
--- an ordinary user has one id.
function service.with_root(it, pending)
  return os.execute(HAS_ROOT) and it or pending
end

local function read_export(self, name)
  local ok, line = pcall(self.process.line, self.process)
  if not ok then error("the service ended: " .. self:errors(), 0) end
  return assert(line:match("^export " .. name .. "=(.*)$"))
end

--- Starts it on its state again.
function service:start()
  local args = { "env", "STATE=" .. self.state, "sh", "-c",
    (self.options.before or ":")
    .. "; exec \"$@\" 2>>" .. self.folder .. "/errors",
    "sh", program.boxdlua, "--serve", "--listen", "127.0.0.1:0", "--state",
    self.state, "--limits", self.options.limits or "none" }
  table.move(self.options, 1, #self.options, #args + 1, args)
  args[#args + 1] = os.getenv "BOXD_SURVIVES" and "--exec-survives"
  if self.options.under then
    args = table.move(args, 1, #args, #self.options.under + 1,
      { table.unpack(self.options.under) })
  end
  self.process = process.start(args)
  self.pid = self.process.pid
  self.api_url = read_export(self, "BOXD_API_URL")
  self.exchange_url = read_export(self, "BOXD_EXCHANGE_URL")
  self.api_key = read_export(self, "BOXD_API_KEY")
  self.compute = self:connect()
  return self
end

--- Ends it by `signal` (TERM); its state stays.
function service:stop(signal)
  if self.compute then self.compute:close() end
  self.compute = nil
  self.process:stop(signal)
end

function service:restart(signal)
  self:stop(signal)
  return self:start()
end

--- Its stderr so far.
function service:errors()
  local f <close> = assert(io.open(self.folder .. "/errors"))
  return f:read "a"
end

--- The same without its notes.
function service:complaints()
  return (self:errors():gsub("[^\n]*: note: [^\n]*\n", ""))
end

--- A client; options over its own.
function service:connect(options)
  local all = { api_url = self.api_url, exchange_url = self.exchange_url,
    max_retries = 0 }
  for k, v in pairs(options or { api_key = self.api_key }) do all[k] = v end
  return boxd.Compute(all)
end

--- Destroys its boxes and snapshots.
function service:empty()
  local compute = self.compute
  boxd.map(compute:call("ListVms").vms, function(vm)
    compute:call("DestroyVm", { vm_id = vm.vm_id })
  end, { limit = 4 })
  for _, snapshot in ipairs(compute:call("ListSnapshots").snapshots) do
    compute:call("DeleteSnapshot", { name = snapshot.snapshot_id })
  end
end

-- Files of boxes may belong to users that only the service acts for.
service.__close = function(self)
  if self.compute then pcall(boxd.with_timeout, 10, self.empty, self) end
  self:stop()
  os.execute("rm -rf '" .. self.folder .. "'")
end

local function begin(self)
  self.folder = os.tmpname()
  os.remove(self.folder)
  assert(os.execute("mkdir -m 700 " .. self.folder))
  self.state = self.folder .. "/state"
  return self:start()
end

local function with(options)
  return setmetatable({ options = options or {} }, service)
end

--- A service with further options of --serve: service.new { "--max-boxes", "3" }.
--- limits: "none", so that specs may be quick, or "production"; before: a shell
--- command that it starts after, with $STATE; under: a command that runs it and what
--- comes before. In the environment BOXD_SURVIVES stands for --exec-survives.
function service.new(options) return begin(with(options)) end

-- The client that the service has at the time: over its restarts, too.
local function client_of(self)
  return setmetatable({}, { __index = function(_, name)
    local value = self.compute[name]
    if type(value) ~= "function" then return value end
    return function(_, ...) return value(self.compute, ...) end
  end })
end

--- For a describe block: a service that is there for all of its specs. Returns
--- it, a client that outlives its restarts, and a function that calls an RPC.
function service.of_block(options)
  local self = with(options)
  local compute = client_of(self)
  busted.setup(function() begin(self) end)
  busted.teardown(function() service.__close(self) end)
  return self, compute, function(rpc, request)
    return compute:call(rpc, request)
  end
end

--- Two describe blocks, each with a service as of_block has it: one that ends a
--- command with its call, and one where commands outlive it. about: what the titles
--- end with, or nil; fn(survives, service, client, call) has the specs.
function service.of_both(about, fn)
  for _, survives in ipairs { false, true } do
    busted.describe((survives and "where commands outlive their call,"
      or "where commands end with their call,") .. (about and " " .. about or ""),
      function()
        fn(survives, service.of_block(survives and { "--exec-survives" } or {}))
      end)
  end
end

--- Saves a snapshot by call(rpc, request), and waits until it is made. Returns what
--- GetSnapshot says of it.
function service.save(call, request)
  local made = call("CreateSnapshot", request)
  assert(made.status == "pending", made.status)
  local snapshot
  calls.eventually(function()
    snapshot = call("GetSnapshot", { name = made.snapshot_id }).snapshot
    return snapshot.status ~= "pending"
  end)
  assert(snapshot.version >= made.version)
  return snapshot
end

--- What a call raises: an error of boxd's with this code.
function service.refused(code, fn, ...)
  local ok, e = pcall(fn, ...)
  assert(not ok, "it was not refused")
  assert(boxd.is_error(e), tostring(e))
  assert(e.code == code, ("%s expected: %s"):format(code, tostring(e)))
  return e.message
end

return service
