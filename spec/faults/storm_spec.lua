-- The embedded service in a storm: random calls on a few boxes that others stop,
-- reboot, destroy and fork at random. Whatever a call meets is said clearly, the
-- service has no error of its own, and everything ends. BOXD_STORM: how many
-- calls (600); BOXD_SEED: the seed to repeat; BOXD_SEEDS: how many (1).

local boxd = require "boxd"
local support = require "spec.support.service"

local CALLS = tonumber(os.getenv "BOXD_STORM") or 600
local SEEDS = tonumber(os.getenv "BOXD_SEEDS") or 1
local SEED = tonumber(os.getenv "BOXD_SEED")
local CLIENTS, NAMES, SECONDS = 16, 4, 60

local function pick(list) return list[math.random(#list)] end

local function name() return "b" .. math.random(NAMES) end
local function path() return "/home/boxd/" .. pick { "a", "b", "a/c", "b/c/d" } end

-- An RPC with the box of a name, and more fields.
local function rpc(which, more)
  return function(c)
    local request = { vm_id = name() }
    for k, v in pairs(more and more() or {}) do request[k] = v end
    c:call(which, request)
  end
end

local function box(c) return c.box:get(name()) end

local function run(command, options)
  return function(c) box(c):sh(command, options) end
end

-- A command that its client leaves before its end.
local function leave(options)
  return function(c)
    options.stream = true
    local p <close> = box(c):sh("echo x; sleep 5 & sleep 5", options)
    p:read_stdout()
  end
end

local function capture() return pick { "s1", "s2" } end

-- One whose request names the box otherwise, and a capture.
local function named(which, captured)
  return function(c)
    c:call(which, { vm = name(), name = captured and capture() or nil })
  end
end

local disks = {}

local calls = {
  run "true", run("cat", { stdin = ("x"):rep(1 << 20) }), run "seq 100000",
  run "sleep 0.05 & echo x", run "exit 3", run("tty; sleep 0.02", { pty = true }),
  run "setsid sh -c 'sleep 0.2; seq 9999' & seq 9999",
  run "rm -rf /home/boxd; echo gone", run "kill -9 -1",
  leave {}, leave { pty = true },
  function(c) box(c):write_file(("y"):rep(9999), path()) end,
  function(c) box(c):read_file(path()) end,
  function(c) box(c):upload("Makefile", path()) end,
  function(c) box(c):download(path(), "/dev/null") end,
  function(c)
    local stream <close> = c:stream("UploadFileStream", { vm_id = name(),
      path = path(), total_size = 1 << 20, data = "some" })
    pcall(boxd.with_timeout, 0.1, stream.recv, stream)
  end,
  rpc("ListDir", function() return { path = path() } end),
  rpc("Mkdir", function() return { path = path() } end),
  rpc("DeletePath", function() return { path = path() } end),
  rpc("RenamePath", function()
    return { old_path = path(), new_path = path() }
  end),
  rpc("CopyPath", function() return { old_path = path(), new_path = path() } end),
  rpc "GetVm", named "ListProxies",
  function(c) c:call("ListDisks") end, function(c) c:call("ListVms") end,
  function(c)
    c:call("UpdateVmLabels", { vm = name(), set = { k = "v" .. math.random(9) } })
  end,
  rpc("ResizeVm", function() return { vcpu = math.random(3) } end),
  rpc("AttachDisk", function()
    return { disk_id = pick(disks), mount_path = "/mnt/d" }
  end),
  rpc("DetachDisk", function() return { disk_id = pick(disks) } end),
  function(c)
    local stream <close> = c:stream("StreamLogs", { vm_id = name() })
    stream:recv()
  end,
  named("CreateSnapshot", true), named("CreateCheckpoint", true),
  named("RestoreCheckpoint", true), named("DeleteCheckpoint", true),
  function(c) c:call("DeleteSnapshot", { name = capture() }) end,
}

-- These change the boxes: each third call is one.
local changes = {
  rpc "StartVm", rpc "StartVm", rpc "StartVm", rpc "StopVm", rpc "RebootVm",
  rpc "SuspendVm", rpc "ResumeVm", rpc "HibernateVm", rpc "WakeVm", rpc "DestroyVm",
  function(c) c.box:create { name = name(), config = { cmd = pick {
    { "sh", "-c", "while :; do echo log; sleep 0.05; done" },
    { "sh", "-c", "sleep 0.2; exit 1" }, {} } } } end,
  function(c) c.box:create { name = name() } end,
  function(c) c.box:fork(name(), { name = name() }) end,
  function(c)
    c.box:create { name = name(), from_snapshot = capture() }
  end,
}

-- No box, no file, not now, too many, the wrong kind: all but a fault.
local ALLOWED = { NotFoundError = true, ConnectionError = true,
  BoxdError = true, ConflictError = true, InvalidArgumentError = true,
  PermissionDeniedError = true, QuotaExceededError = true }

local function check(e)
  if not boxd.is_error(e) or not ALLOWED[e.class]
    or e.message:find "Software caused" or e.message:find "attempt to"
    or e.message:find "is running: start it"
    or e.message:find "unknown field" then
    error(tostring(e), 0)
  end
end

local function storm(service, seed)
  math.randomseed(seed)
  local compute, left, tasks = service.compute, CALLS, {}
  for i = 1, 2 do
    disks[i] = compute:call("CreateDisk",
      { name = "d" .. i, size_bytes = 1 << 20 }).disk_id
  end
  for i = 1, CLIENTS do
    tasks[i] = boxd.spawn(function()
      while left > 0 do
        left = left - 1
        local call = pick(math.random(3) == 1 and changes or calls)
        local ok, e = pcall(boxd.with_timeout, SECONDS, call, compute)
        if not ok then check(e) end
      end
    end)
  end
  for _, task in ipairs(tasks) do task:join() end
end

describe("the embedded service in a storm of random calls", function()
  for i = 1, SEEDS do
    it("has no error of its own, and lets none hang, in round " .. i,
      function()
        local seed = SEED or os.time() + i
        local service <close> = support.new()
        local ok, e = pcall(storm, service, seed)
        local said = service:complaints()
        assert(ok, ("seed %d: %s\n%s"):format(seed, tostring(e), said))
        assert(not said:find("boxdlua --serve:", 1, true),
          ("seed %d: %s"):format(seed, said))
        -- Its leftovers can be used, and removed.
        boxd.with_timeout(SECONDS, service.empty, service)
        assert.equal("fine\n",
          service.compute.box:create():sh("echo fine").stdout)
      end)
  end
end)
