-- Networks and servers that fail, each in a process of its own: how calls end,
-- and how soon.
-- Runs alone: it bounds the time that faults take, closely where figures are asked
-- for, with some seconds for a busy machine otherwise.

local boxd = require "boxd"
local calls = require "spec.support.calls"
local faulty = require "spec.support.faulty"
local process = require "spec.support.process"
local program = require "spec.support.program"

local STREAMS = 1000
local SLOW = os.getenv "ASAN_OPTIONS" and 3 or 1 -- sanitizers take their time
local LATE = os.getenv "BOXD_FIGURES" and SLOW or 5 * SLOW

-- A helper process that goes with its block.
local function start(args)
  local helper = process.start(args)
  return setmetatable({ helper = helper, pid = helper.pid }, {
    __close = function() helper:stop("KILL") end,
    __index = function(_, name)
      return function(_, ...) return helper[name](helper, ...) end
    end,
  })
end

local function holder()
  local h = start { program.boxdlua, "spec/support/holder.lua" }
  return h, h:line()
end

local function client(address, options)
  local all = { api_url = address, token = "t", max_retries = 0 }
  for k, v in pairs(options or {}) do all[k] = v end
  local c = boxd.Compute(all)
  return c, require "boxd.box".new(c,
    { vm_id = "there", name = "there", status = "running" })
end

-- n streams that have begun, each with a task that reads on; a function that
-- joins them and counts their errors by class.
local function open_streams(box, n)
  local processes, tasks = {}, {}
  for i = 1, n do processes[i] = box:exec("x", { stream = true }) end
  for i = 1, n do
    assert.equal("begun\n", processes[i]:read_stdout())
    tasks[i] = boxd.spawn(pcall, processes[i].read_stdout, processes[i])
  end
  return function()
    local classes = {}
    for i = 1, n do
      local ok, e = tasks[i]:join()
      local class = not ok and boxd.is_error(e) and e.class or "none"
      classes[class] = (classes[class] or 0) + 1
    end
    return classes
  end
end

local function signal(name, pid)
  assert(os.execute(("kill -%s %d"):format(name, pid)))
end

-- For `make faults`: the figures of the table in scripts/torture/README.md.
local function tell(...)
  if os.getenv "BOXD_FIGURES" then print(("\n" .. (...)):format(select(2, ...))) end
end

describe("a server", function()
  after_each(calls.settled)

  it("that is killed is an error for each of 1,000 streams at once", function()
    local h <close>, address = holder()
    local _ <close>, box = client(address)
    local join = open_streams(box, STREAMS)
    local began = boxd.now()
    signal("KILL", h.pid)
    assert.same({ ConnectionError = STREAMS }, join())
    local took = boxd.now() - began
    tell("killed under %d streams: all told within %.3f s", STREAMS, took)
    assert.is_true(took < LATE, took)
  end)

  it("that stops is found by pings, and by a unary call's deadline", function()
    local h <close>, address = holder()
    local c <close>, box = client(address, { keepalive = 1 })
    local join = open_streams(box, STREAMS)
    assert.equal("there", c.box:get("there").id)
    local began = boxd.now()
    signal("STOP", h.pid)
    local ok, e = pcall(box.refresh, box, { timeout = 0.5 })
    assert.is_false(ok)
    assert.equal("TimeoutError", e.class)
    assert.is_true(boxd.now() - began < 0.5 + LATE)
    assert.same({ ConnectionError = STREAMS }, join())
    local took = boxd.now() - began
    tell("stopped under %d streams, keepalive 1 + 1 s: found in %.2f s",
      STREAMS, took)
    assert.is_true(took < 1 + 1 + LATE, took)
  end)

  it("that is there again is used again", function()
    local h <close>, address = holder()
    local c <close>, box = client(address, { keepalive = 1 })
    local p = box:exec("x", { stream = true })
    assert.equal("begun\n", p:read_stdout())
    signal("STOP", h.pid)
    assert.is_false((pcall(p.read_stdout, p)))
    signal("CONT", h.pid)
    calls.eventually(function()
      return (pcall(c.box.get, c.box, "there", { timeout = 1 }))
    end, 10)
  end)
end)

describe("a call that is tried again", function()
  after_each(calls.settled)

  it("ends when its client is closed, or its task cancelled, at any moment",
    function()
      for round = 1, 30 do
        local s <close> = calls.start { Whoami = function(call)
          call:recv()
          call:finish("UNAVAILABLE", "away")
        end }
        local c = boxd.Compute { api_url = s.server.address, token = "t",
          max_retries = 4 }
        local tasks = {}
        for i = 1, 10 do tasks[i] = boxd.spawn(c.whoami, c) end
        boxd.sleep(round * 0.001)
        tasks[1]:cancel()
        c:close()
        for i = 1, 10 do
          local ok, e = pcall(tasks[i].join, tasks[i])
          assert.is_false(ok)
          assert.is_true(e:is(boxd.CancelledError)
            or e:is(boxd.ConnectionError), tostring(e))
        end
      end
    end)
end)

-- The ends of the calls in USES: the class of their error by "unary",
-- "logs", "exec" and "collect"; a text: of all. "there": no error.
local FAULTS = {
  whole = "there", slow = "there", ["goaway-late"] = "there",
  slower = "TimeoutError", silent = "TimeoutError", window = "TimeoutError",
  reset = "ConnectionError", ["reset-late"] = "ConnectionError",
  half = "ConnectionError", garbage = "ConnectionError",
  ["garbage-late"] = "InternalError",
  ["no-message"] = "InternalError",
  -- StartVm's reply has no fields: any message is one.
  ["other-message"] = { "InternalError", "there" },
  -- Too much for its window is an error, what fits goes on and on.
  endless = { "InternalError", "TimeoutError" }, trailers = "NotFoundError",
  ["no-status"] = "InternalError", ["odd-status"] = "InternalError",
  html = "BoxdError", metadata = "QuotaExceededError",
  goaway = "ConnectionError", calm = "ConnectionError",
  ["rst-internal"] = "InternalError", ["rst-refused"] = "ConnectionError",
  ["rst-cancel"] = "CancelledError", ["rst-calm"] = "QuotaExceededError",
}

-- A call each, that takes so long at most; it returns the result. gRPC connects
-- again, and the call is tried again, after 1 s.
local SECONDS = 4 * SLOW
-- That a command's end may take after its call's, where the box does not answer.
local END = 0.75
local USES = {
  unary = function(box) return box:refresh { timeout = SECONDS }.id end,
  change = function(box) return box:start { timeout = SECONDS } or "there" end,
  collect = function(box)
    return box:exec("x", { timeout = SECONDS }).stdout
  end,
  logs = function(box)
    local all = ""
    for part in box:stream_logs() do all = all .. part end
    return all
  end,
  exec = function(box)
    local p = box:exec("x", { stream = true })
    local all = ""
    for part in p:iter_stdout() do all = all .. part end
    assert(p:wait() == 0)
    return all
  end,
}

local function is_of(expected, class)
  if type(expected) == "string" then return expected == class end
  return expected[1] == class or expected[2] == class
end

describe("a network that", function()
  local peer, addresses

  setup(function()
    peer, addresses = faulty.start()
  end)
  teardown(function() peer:stop() end)
  after_each(calls.settled)

  it("fails in any way is a typed error in time, and no crash", function()
    local tasks, tried, slowest = {}, 0, 0
    for fault, expected in pairs(FAULTS) do
      for use, act in pairs(USES) do
        tried = tried + 1
        tasks[tried] = boxd.spawn(function()
          local _ <close>, box = client(addresses[fault],
            { max_retries = 1 })
          local began = boxd.now()
          local ok, e = pcall(boxd.with_timeout, SECONDS, act, box)
          slowest = math.max(slowest, boxd.now() - began)
          local got = ok and e or boxd.is_error(e) and e.class or tostring(e)
          assert.is_true(is_of(expected, got),
            ("%s, %s: %s"):format(fault, use, tostring(e)))
        end)
      end
    end
    for _, task in ipairs(tasks) do task:join() end
    tell("%d calls on networks that fail: all ended typed, the slowest in "
      .. "%.2f s", tried, slowest)
    assert.is_true(slowest < SECONDS + END + LATE, slowest)
  end)

  it("has packed messages takes no memory for their contents", function()
    local function peak()
      local f <close> = assert(io.open "/proc/self/status")
      return tonumber(f:read("a"):match "VmHWM:%s+(%d+)")
    end
    local c <close> = client(addresses.packed, { max_retries = 0 })
    local before = peak()
    local ok, e = pcall(c.whoami, c, { timeout = 10 })
    assert.is_false(ok)
    assert.equal("UNIMPLEMENTED", e.code, tostring(e))
    assert.is_true(peak() - before < 30 << 10, peak() - before)
  end)

  it("has no such name says so", function()
    local c <close> = client("no-such-host.invalid:1")
    local began = boxd.now()
    local ok, e = pcall(c.whoami, c, { timeout = 10 })
    assert.is_false(ok)
    assert.equal("ConnectionError", e.class, tostring(e))
    assert.matches("no%-such%-host%.invalid", e.message)
    assert.is_true(boxd.now() - began < 10 + LATE)
  end)
end)
