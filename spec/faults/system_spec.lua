-- System calls that fail, injected by strace: each of a kind in turn, until one
-- more is not reached (the first few of them, except for `make faults`). What is
-- done meanwhile is in support/*_fault.lua.

local process = require "spec.support.process"
local program = require "spec.support.program"

local ASAN = os.getenv "ASAN_OPTIONS"
local MOST = os.getenv "BOXD_FIGURES" and 100 or 2 -- of a kind

-- Runs `words` under strace with one failure; its result, and was it reached?
local function inject(failure, n, words)
  local log = os.tmpname()
  -- gRPC's threads write to wake each other only, which can't fail like this.
  local threads = failure:find "^write" and "-qq" or "-f"
  local args = { "strace", threads, "-qq", "-o", log, "-e",
    "trace=" .. failure:match "^[%w_]+", "-e",
    ("inject=%s:when=%d"):format(failure, n) }
  if ASAN then -- which looks for leaks as a tracer does: there is one tracer
    args[#args + 1] = "-E"
    args[#args + 1] = "ASAN_OPTIONS=" .. ASAN .. ":detect_leaks=0"
  end
  table.move(words, 1, #words, #args + 1, args)
  local result = program.run(args)
  local f <close> = assert(io.open(log))
  local _, count = f:read("a"):gsub("%(INJECTED%)", "")
  os.remove(log)
  return result, count > 0
end

-- Some sandboxes allow no tracing. That is said, never passed over.
local function why_not()
  local ok, result, reached = pcall(inject, "getuid:error=EPERM", 1,
    { program.boxdlua, "-e", "require 'boxd.serve'.sys.getuid()" })
  if ok and result.status == 0 and reached then return nil end
  return "system-call faults are NOT tested: strace can't inject here: "
    .. tostring(ok and result.err or result)
end

local reason = why_not()
if reason then print(reason) end

local function it_survives(what, failures, words)
  it(what, function()
    if reason then return pending(reason) end
    local points = 0
    for _, failure in ipairs(failures) do
      for n = 1, MOST do
        local scratch = os.tmpname()
        os.remove(scratch)
        assert(os.execute("mkdir -m 700 " .. scratch))
        local result, reached = inject(failure, n, words(scratch))
        os.execute("rm -rf '" .. scratch .. "'")
        assert.equal(0, result.status,
          ("%s, number %d: %s"):format(failure, n, result.err))
        if not reached then break end
        points = points + 1
      end
    end
    assert.is_true(points > 0)
    if os.getenv "BOXD_FIGURES" then
      print(("\n%s: %d failures"):format(what, points))
    end
  end)
end

describe("a system call that fails", function()
  local server, address

  setup(function()
    server = process.start { program.boxdlua, "spec/support/holder.lua" }
    address = server:line()
  end)
  teardown(function() server:stop "KILL" end)

  it_survives("is an error of the client's or none, and no half file is left",
    { "write:error=ENOSPC", "socket:error=EMFILE", "connect:error=ECONNREFUSED",
      "recvmsg:error=ECONNRESET", "recvmsg:error=EINTR",
      "sendmsg:error=ECONNRESET", "sendmsg:error=EINTR",
      "epoll_wait:error=EINTR", "rename:error=EACCES" },
    function(scratch)
      return { program.boxdlua, "spec/support/client_fault.lua", address,
        scratch }
    end)
  it_survives("never makes a folder look empty to the service",
    { "getdents64:error=EIO" }, function()
      return { program.boxdlua, "-e", [[
        local list = require "boxd.serve".sys.list "/"
        assert(list == nil or #list > 0)]] }
    end)
  it_survives("leaves the service's state as it was, and the next one works",
    { "write:error=ENOSPC", "write:error=EINTR", "write:error=EIO",
      "fsync:error=EIO", "rename:error=EIO", "rename:error=ENOSPC",
      "unlink:error=EIO" },
    function(scratch)
      return { program.boxdlua, "spec/support/state_fault.lua",
        scratch .. "/state" }
    end)
end)
