-- The bench's work by boxd for Lua, as a script would write it.
--
--   boxdlua client.lua PORT WORK [ARGS]    prints numbers, as client.c does

local port, work = arg[1], arg[2]
local n, m = math.tointeger(arg[3]) or 1, math.tointeger(arg[4])

local compute <close> = boxd.Compute {
  api_url = "http://127.0.0.1:" .. port, token = "bench",
}

local function one() return compute.box:get("vm-1") end

local function read_all(process)
  local bytes = 0
  for chunk in process:iter_stdout() do bytes = bytes + #chunk end
  assert(process:wait() == 7)
  return bytes
end

-- Seconds that f takes, after a first call.
local function time(f)
  local box = one()
  local start = boxd.now()
  f(box)
  return ("%.6f"):format(boxd.now() - start)
end

local function resident_kib()
  local f <close> = assert(io.open("/proc/self/statm"))
  return tonumber(f:read("a"):match("^%d+ (%d+)")) * 4
end

local works = {}

function works.once() one() end

function works.unary()
  local took = {}
  one()
  local start = boxd.now()
  for i = 1, n do
    local t = boxd.now()
    one()
    took[i] = boxd.now() - t
  end
  local all = boxd.now() - start
  table.sort(took)
  return ("%.2f %.2f %.0f"):format(took[n // 2 + 1] * 1e6,
    took[n * 99 // 100 + 1] * 1e6, n / all)
end

function works.many()
  one()
  local left, workers = n, {}
  local start = boxd.now()
  for i = 1, m do
    workers[i] = function()
      while left > 0 do
        left = left - 1
        one()
      end
    end
  end
  boxd.gather(workers)
  return ("%.0f"):format(n / (boxd.now() - start))
end

function works.exec()
  return time(function(box)
    local process <close> =
      box:sh(("%d %d"):format(n, m), { stream = true, close_stdin = true })
    assert(read_all(process) == n * m)
  end)
end

function works.upload()
  local data = ("\0"):rep(m)
  return time(function(box)
    for _ = 1, n do box:write_file(data, "/tmp/bench") end
  end)
end

function works.download()
  return time(function(box)
    for _ = 1, n do assert(#box:read_file(("4 %d"):format(m // 4)) == m) end
  end)
end

function works.upstream()
  return time(function(box) box:upload(arg[3], "/tmp/bench") end)
end

function works.downstream()
  return time(function(box)
    assert(box:download(("%d %d"):format(n, m), arg[5]) == n * m)
  end)
end

function works.streams()
  local box, list = one(), {}
  for i = 1, n do list[i] = i end
  local rest, start = resident_kib(), boxd.now()
  local processes = boxd.map(list, function()
    local process = box:sh("hold", { stream = true })
    assert(#process:read_stdout() == 6)
    return process
  end)
  local full = resident_kib()
  boxd.map(processes, function(process)
    process:write_eof()
    assert(process:wait() == 7)
  end)
  return ("%d %.2f %.4f"):format(rest, (full - rest) / n, boxd.now() - start)
end

function works.list()
  return time(function()
    for _ = 1, n do assert(#compute.box:list() == 10000) end
  end)
end

function works.fields()
  return time(function()
    for _ = 1, n do
      local count = 0
      for _, box in ipairs(compute.box:list()) do
        if box.id and box.name and box.status then count = count + 1 end
      end
      assert(count == 10000)
    end
  end)
end

local result = works[work]()
if result then print(result) end
