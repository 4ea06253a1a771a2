-- Runs alone: what gRPC holds of a fast stream grows where others take the CPU.
-- Memory that stays flat: big transfers both ways, a process whose output nobody
-- reads, many calls. The client is a process of its own, whose peak counts.
-- BOXD_FLAT=1 (make flat) takes the sizes of the table in scripts/torture/README.md.

local process = require "spec.support.process"
local program = require "spec.support.program"

local LONG = os.getenv "BOXD_FLAT" ~= nil
local MIB = LONG and 1024 or 192 -- moved each way
-- KiB over what the program and its libraries take, which differs by gRPC's.
local PEAK = (os.getenv "ASAN_OPTIONS" and 389 or 53) * 1024
local CALLS = LONG and 100000 or 5000
local SECONDS = LONG and 60 or 1

local BEFORE = [[
local c <close> = boxd.Compute { api_url = arg[1], token = "t" }
local box = require "boxd.box".new(c, { vm_id = "there", name = "there" })
local MIB, CALLS, SECONDS = tonumber(arg[2]), tonumber(arg[3]), tonumber(arg[4])
local function status(name)
  for line in io.lines "/proc/self/status" do
    local n = line:match("^" .. name .. ":%s+(%d+)")
    if n then return tonumber(n) end
  end
end
local function descriptors()
  local sys = require "boxd.serve".sys
  return #sys.list "/proc/self/fd"
end
local function registry()
  local n = 0
  for _ in pairs(debug.getregistry()) do n = n + 1 end
  return n
end
c.box:get "there"
local before = status "VmHWM"
local function peak(what)
  print(what, status "VmHWM", status "VmHWM" - before)
end
]]

describe("memory stays flat", function()
  local server, address

  setup(function()
    server = process.start { program.boxdlua, "spec/support/flood.lua" }
    address = server:line()
  end)
  teardown(function() server:stop "KILL" end)

  -- Runs the code as a client; returns its output.
  local function run(code)
    local script = program.file(BEFORE .. code)
    local result = program.lua { script, address, tostring(MIB),
      tostring(CALLS), tostring(SECONDS) }
    os.remove(script)
    assert.equal(0, result.status, result.err)
    if LONG then io.write("\n", result.out) end
    return result.out
  end

  local function bounded(code)
    local kib = tonumber(run(code):match "\t(%d+)\n$")
    assert.is_true(kib < PEAK, kib)
  end

  it("while exec's output is read", function()
    bounded [[
      local p, n = box:exec(tostring(MIB), { stream = true }), 0
      for data in p:iter_stdout() do n = n + #data end
      assert(n == MIB << 20 and p:wait() == 0)
      peak "exec, read"]]
  end)

  it("while logs are read", function()
    bounded [[
      local n = 0
      for data in box:stream_logs() do
        n = n + #data
        if n >= MIB << 20 then break end
      end
      peak "logs"]]
  end)

  it("while a file comes", function()
    bounded [[
      assert(box:download(tostring(MIB), "/dev/null") == MIB << 20)
      peak "download"]]
  end)

  it("while a file is read: it is there twice, as it came and as a string",
    function()
      local out = run [[
        assert(#box:read_file "64" == 64 << 20)
        peak "read_file"]]
      local kib = tonumber(out:match "\t(%d+)\n$")
      assert.is_true(kib < PEAK + 2 * 64 * 1024, kib)
    end)

  it("while a file goes", function()
    bounded [[
      local name = os.tmpname()
      local f = assert(io.open(name, "wb"))
      f:seek("set", (MIB << 20) - 1)
      f:write "\0"
      f:close()
      os.execute("chmod 644 " .. name) -- whose mode takes no further call
      local ok, e = pcall(box.upload, box, name, "/f")
      os.remove(name)
      assert(ok, e)
      assert(e == MIB << 20)
      peak "upload"]]
  end)

  it("while the output is unread", function()
    bounded [[
      local p = box:exec(tostring(MIB), { stream = true })
      p:read_stdout()
      boxd.sleep(SECONDS)
      peak "exec, not read"]]
  end)

  it("while wait drops unread output", function()
    bounded [[
      local p = box:exec(tostring(MIB), { stream = true })
      assert(p:wait() == 0)
      assert(p.dropped == (MIB << 20) - (16 << 20), p.dropped)
      peak "exec, waited for"]]
  end)

  it("over many calls", function()
    local out = run [[
      local function some(n)
        for _ = 1, n do assert(c.box:get("there").id == "there") end
        collectgarbage()
        collectgarbage()
        return status "VmRSS", descriptors(), registry()
      end
      local rss, fds, refs = some(CALLS // 5)
      local rss2, fds2, refs2 = some(CALLS)
      print(("%d calls: %+d KiB, %+d descriptors, %+d in the registry"):format(
        CALLS, rss2 - rss, fds2 - fds, refs2 - refs))]]
    local kib, fds, refs = out:match ": ([+-]%d+) KiB, ([+-]%d+) .-, ([+-]%d+)"
    assert.is_true(tonumber(kib) < (os.getenv "ASAN_OPTIONS" and 65536 or 1024),
      out)
    assert.is_true(tonumber(fds) <= 2, out) -- a poller, when gRPC wants one more
    assert.equal(0, tonumber(refs))
  end)
end)
