-- What waiting for local boxes costs a person on this machine, against the bar
-- each is held to. Run it by `make bench-boxes`: as its user and,
-- if that is root, as an ordinary one too. Prints Markdown.

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

-- Milliseconds that f takes.
local function time(f)
  local start = boxd.now()
  f()
  return (boxd.now() - start) * 1000
end

-- The median of n times, milliseconds.
local function times(n, f)
  local list = {}
  for i = 1, n do list[i] = time(function() f(i) end) end
  return median(list)
end

local function report(what, bar, figure, ...)
  print(("| %s | %s | %s |"):format(what, bar, figure:format(...)))
end

local function output(command)
  local pipe <close> = assert(io.popen(command))
  return pipe:read "a"
end

local function start_of(program)
  local command = ("exec env -u BOXD_LOCAL %s -e ''"):format(program)
  return time(function() assert(os.execute(command)) end)
end

local function starts()
  -- In turn, so that both meet the same machine.
  local ours, plain = {}, {}
  for i = 1, 30 do
    ours[i] = start_of((os.getenv "BUILD" or "build") .. "/boxdlua")
    plain[i] = start_of "lua5.4"
  end
  report("boxdlua starts after lua5.4 by", "5 ms", "%.1f ms",
    median(ours) - median(plain))
end

local function creates(compute)
  local to_create, to_exec, to_destroy = {}, {}, {}
  for i = 1, 20 do
    local start = boxd.now()
    local box = compute.box:create { name = "bench-" .. i }
    to_create[i] = (boxd.now() - start) * 1000
    box:exec "true"
    to_exec[i] = (boxd.now() - start) * 1000
    to_destroy[i] = time(function() box:destroy() end)
  end
  report("create a box", "", "%.1f ms", median(to_create))
  report("create to first exec", "40 ms", "%.1f ms", median(to_exec))
  report("destroy a box", "", "%.1f ms", median(to_destroy))
end

-- A box has its network as it starts.
local function network(compute)
  local routes = 'test "$(wc -l </proc/net/route)" -gt 1'
  local able <close> = compute.box:temporary { name = "net" }
  if able:sh(routes).exit_code ~= 0 then
    return report("create to working network", "80 ms", "no network here")
  end
  local list = {}
  for i = 1, 20 do
    local start = boxd.now()
    local box <close> = compute.box:temporary { name = "net-" .. i }
    assert(box:sh(routes).exit_code == 0)
    list[i] = (boxd.now() - start) * 1000
  end
  report("create to working network", "80 ms", "%.1f ms", median(list))
end

local function execs(box)
  report("exec `true` alone", "5 ms", "%.1f ms", times(100, function()
    box:exec "true"
  end))
  local list = {}
  for i = 1, 600 do list[i] = i end
  local ms = time(function()
    boxd.map(list, function() box:exec "true" end, { limit = 16 })
  end)
  report("exec `true`, sixteen at once", "300 /s", "%.0f /s",
    #list / ms * 1000)
  local size = 256 << 20
  ms = times(3, function()
    local process = box:exec("head", "-c", tostring(size), "/dev/zero",
      { stream = true })
    local n = 0
    for data in process:chunks() do n = n + #data end
    assert(n == size, "output was lost")
  end)
  report("output of an exec", "400 MB/s", "%.0f MB/s", size / 1e6 / ms * 1000)
end

-- The service is our child, the spawner the service's.
local function service_pid()
  return output("cat /proc/$PPID/task/*/children"):match "%d+"
end

local function memory(pid)
  local f <close> = assert(io.open("/proc/" .. pid .. "/status"))
  return tonumber(f:read("a"):match "VmRSS:%s*(%d+)") * 1024 / 1e6
end

-- Whole messages, many at once, are held by the service for a while.
local function exec_of_a_grown_service(compute, box)
  local pid, data = service_pid(), ("x"):rep(4000000)
  local list = {}
  for i = 1, 150 do list[i] = i end
  boxd.map(list, function(i)
    compute:call("UploadFile",
      { vm_id = box.id, path = "grow-" .. i, data = data })
  end, { limit = #list })
  local grown = memory(pid)
  report(("exec `true`, the service grown to %.0f MB"):format(grown), "5 ms",
    "%.1f ms", times(100, function() box:exec "true" end))
end

local function freezes(box)
  box:sh "for i in 1 2 3 4 5; do sleep 1000 >/dev/null 2>&1 & done"
  local suspend, resume = {}, {}
  for i = 1, 30 do
    suspend[i] = time(function() box:suspend() end)
    resume[i] = time(function() box:resume() end)
  end
  report("suspend", "5 ms", "%.1f ms", median(suspend))
  report("resume", "5 ms", "%.1f ms", median(resume))
end

local function forks(compute, box)
  box:sh "head -c 100000000 /dev/urandom > /home/boxd/data; sync"
  local list = {}
  for i = 1, 5 do
    local fork
    list[i] = time(function()
      fork = compute.box:fork(box, { name = "fork-" .. i })
    end)
    fork:destroy()
  end
  report("fork of a box with 100 MB", "500 ms", "%.0f ms", median(list))
end

local function crowd(compute)
  local list = {}
  for i = 1, 50 do list[i] = i end
  local boxes
  local ms = time(function()
    boxes = boxd.map(list, function(i)
      local box = compute.box:create { name = "crowd-" .. i }
      box:exec "true"
      return box
    end, { limit = 8 })
  end)
  local there = 0
  for i = 1, 50 do
    there = there + (boxes[i]:sh("hostname").stdout == "crowd-" .. i .. "\n"
      and 1 or 0)
  end
  report("50 boxes at once", "50", "%d in %.0f ms", there, ms)
  for i = 1, 50 do boxes[i]:destroy() end
end

-- Ticks of a second of CPU time, user and system.
local function cpu(pid)
  local f <close> = assert(io.open("/proc/" .. pid .. "/stat"))
  local user, system = f:read("a"):match(
    "%) %a" .. (" %-?%d+"):rep(10) .. " (%d+) (%d+)")
  return tonumber(user) + tonumber(system)
end

-- The service and its spawner idle for SECONDS.
local function idles()
  local SECONDS = 10
  local pid = service_pid()
  local spawner = output("cat /proc/" .. pid .. "/task/*/children"):match "%d+"
  report("memory of the idle service", "30 MB", "%.1f MB", memory(pid))
  report("memory of its spawner", "", "%.1f MB", memory(spawner))
  local before = cpu(pid) + cpu(spawner)
  boxd.sleep(SECONDS)
  local ticks = cpu(pid) + cpu(spawner) - before
  report("CPU of both, a box running", "0.5 %", "%.2f %%",
    ticks / tonumber(output "getconf CLK_TCK") / SECONDS * 100)
end

print(("\nLocal boxes as %s:\n"):format(output("id -un"):match "%S+"))
print "| what | bar | figure |\n|---|---|---|"
starts()
local compute <close> = boxd.Compute {}
compute:whoami()
do
  local box <close> = compute.box:temporary { name = "idle" }
  box:exec "true"
  idles()
end
creates(compute)
network(compute)
do
  local box <close> = compute.box:temporary { name = "bench" }
  execs(box)
  exec_of_a_grown_service(compute, box)
  freezes(box)
  forks(compute, box)
end
crowd(compute) -- as many as a service has
