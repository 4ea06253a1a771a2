-- Memory that stays flat: big transfers both ways, a process whose output nobody
-- reads, many calls. The client is a process of its own, whose peak counts.
-- BOXD_FLAT=1 (make flat) takes the sizes of the table in scripts/torture/README.md.

local faulty = require "spec.support.faulty"
local process = require "spec.support.process"
local program = require "spec.support.program"

local LONG = os.getenv "BOXD_FLAT" ~= nil
local MIB = LONG and 1024 or 192 -- moved each way
-- KiB over those of the program and its libraries. gRPC's window is 4 MiB for
-- flow, which gives no answer to the pings by which another one is measured. It is
-- filled twice (spec/api/exec_stream_spec.lua), and gRPC's buffers for it take as
-- much again; 9 to 20 MiB were seen, also on a busy machine.
local ASAN = os.getenv "ASAN_OPTIONS"
local PEAK = (ASAN and 389 or 24) << 10
local KEPT = 20 << 10 -- 16 MiB of an unread stream, and its chunks' heads
local SENT = (ASAN and 389 or 4) << 10 -- the pieces of a file under way
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
-- Those that gRPC has of pollers, and all others.
local PID = io.open "/proc/self/stat":read "n"
local function descriptors()
  local name = os.tmpname()
  os.execute(("ls -l /proc/%d/fd >%s"):format(PID, name))
  local f <close> = io.open(name)
  local text = f:read "a"
  os.remove(name)
  local polls, events = select(2, text:gsub("eventpoll", "")),
    select(2, text:gsub("eventfd", ""))
  return polls, events, select(2, text:gsub(" %-> ", "")) - polls - events
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
  local server, peer, address, flow

  setup(function()
    server = process.start { program.boxdlua, "spec/support/flood.lua" }
    address = server:line()
    local addresses
    peer, addresses = faulty.start()
    flow = addresses.flow
  end)
  teardown(function()
    server:stop "KILL"
    peer:stop "KILL"
  end)

  -- Runs the code as a client of the server at `to`; returns its output. With one
  -- heap for all threads: newer gRPC reads in several, whose heaps keep free memory.
  local function run(to, code)
    local script = program.file(BEFORE .. code)
    local result = program.lua { script, to, tostring(MIB),
      tostring(CALLS), tostring(SECONDS), env = { MALLOC_ARENA_MAX = "1" } }
    os.remove(script)
    assert.equal(0, result.status, result.err)
    if LONG then io.write("\n", result.out) end
    return result.out
  end

  local function bounded(to, most, code)
    local kib = tonumber(run(to, code):match "\t(%d+)\n$")
    assert.is_true(kib < most, kib)
  end

  it("while exec's output is read", function()
    bounded(flow, PEAK, [[
      local p, n = box:exec(tostring(MIB), { stream = true }), 0
      for data in p:iter_stdout() do n = n + #data end
      assert(n == MIB << 20 and p:wait() == 0)
      peak "exec, read"]])
  end)

  it("while logs are read", function()
    bounded(flow, PEAK, [[
      local n = 0
      for data in box:stream_logs() do
        n = n + #data
        if n >= MIB << 20 then break end
      end
      peak "logs"]])
  end)

  it("while a file comes", function()
    bounded(flow, PEAK, [[
      assert(box:download(tostring(MIB), "/dev/null") == MIB << 20)
      peak "download"]])
  end)

  it("while a file is read: it is there twice, as it came and as a string",
    function()
      bounded(flow, 3 * 64 * 1024, [[
        assert(#box:read_file "64" == 64 << 20)
        peak "read_file"]])
    end)

  it("while a file goes", function()
    bounded(address, SENT, [[
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
      peak "upload"]])
  end)

  it("while the output is unread", function()
    bounded(flow, PEAK, [[
      local p = box:exec(tostring(MIB), { stream = true })
      p:read_stdout()
      boxd.sleep(SECONDS)
      peak "exec, not read"]])
  end)

  it("while wait drops unread output", function()
    bounded(flow, PEAK + KEPT, [[
      local p = box:exec(tostring(MIB), { stream = true })
      assert(p:wait() == 0)
      assert(p.dropped == (MIB << 20) - (16 << 20), p.dropped)
      peak "exec, waited for"]])
  end)

  it("over many calls", function()
    local out = run(address, [[
      local function some(n)
        for _ = 1, n do assert(c.box:get("there").id == "there") end
        collectgarbage()
        collectgarbage()
        local polls, events, others = descriptors()
        return { KiB = status "VmRSS", polls = polls, events = events,
          others = others, references = registry() }
      end
      local before, after, list = some(CALLS // 5), some(CALLS), {}
      for k, v in pairs(after) do list[#list + 1] = k .. "=" .. v - before[k] end
      print(CALLS .. " calls: " .. table.concat(list, " "))]])
    local more = {}
    for k, v in out:gmatch "(%a+)=(%-?%d+)" do more[k] = tonumber(v) end
    assert.is_true(more.KiB < (ASAN and 65536 or 1024), out)
    assert.equal(0, more.references)
    assert.equal(0, more.others, out)
    -- gRPC may have one thread more that polls.
    assert.equal(more.polls, more.events, out)
    assert.is_true(more.polls <= 1, out)
  end)
end)
