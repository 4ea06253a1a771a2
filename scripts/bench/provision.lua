-- How fast provision is: 200 resources (100 directories, 100 lines in files) with
-- nothing to do and all to be made, the same behind 50 ms of latency, and 50 boxes
-- at once. Run it by `make bench-provision`, which runs pyinfra beside it. Prints
-- Markdown.

local serve = require "boxd.serve"

local N = 100
local ROUNDS = tonumber(os.getenv "ROUNDS") or 5

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

local function times(n, f)
  local list = {}
  for i = 1, n do
    local start = boxd.now()
    f()
    list[i] = boxd.now() - start
  end
  return median(list)
end

local missed = false

local function row(what, seconds, bar, more)
  local ok = seconds <= bar
  missed = missed or not ok
  print(("| %s | %.0f ms%s | %.0f ms | %s |"):format(what, seconds * 1000,
    more or "", bar * 1000, ok and "yes" or "NO"))
end

local function resources(on)
  for i = 1, N do
    on.directory("/srv/bench/" .. i, { mode = "750" })
    on.line("/srv/bench.conf", "line " .. i)
  end
end

local function provision(box)
  return boxd.provision(box, resources, { diff = false })
end

local function here(box)
  local made = times(ROUNDS, function()
    box:sh "[ $(id -u) = 0 ] || s='sudo -n'; $s rm -rf /srv/bench /srv/bench.conf"
    assert(provision(box).changed == 2 * N)
  end)
  row("200 to be made", made, 1)
  local rounds
  local idle = times(ROUNDS, function()
    local report = provision(box)
    assert(report.changed == 0)
    rounds = report.rounds
  end)
  row("200 with nothing to do", idle, 0.150, (", %d round trip"):format(rounds))
  assert(rounds == 1)
  return idle
end

-- Through a relay that passes everything on 25 ms later in each direction.
local function behind()
  local given = require "boxd.core".provided()
  local host, port = given.api_url:match "([%d.]+):(%d+)"
  local pipe = assert(io.popen(("exec python3 scripts/bench/delay.py %s %s 0.025")
    :format(host, port)))
  local at, pid = pipe:read("n", "n")
  local c <close> = boxd.Compute { api_key = given.api_key,
    exchange_url = given.exchange_url,
    api_url = "http://127.0.0.1:" .. math.tointeger(at) }
  local box = c.box:get "bench"
  provision(box) -- connects
  local idle = times(ROUNDS, function() assert(provision(box).changed == 0) end)
  row("200 with nothing to do, behind 50 ms", idle, 0.250)
  os.execute("kill " .. math.tointeger(pid))
  pipe:close()
end

-- A server whose boxes have every fact as wished, 50 ms later.
local function answer(call)
  local agent = require "boxd.internal.provision.agent"
  boxd.sleep(0.05)
  local data = { string.pack("<I4", 0) }
  for i = 1, 20 do
    data[#data + 1] = agent.frame("fact", i, "is", "type", "directory", "mode", "750")
  end
  call:send { data = table.concat(data) }
  call:send { exit_code = 0 }
  call:finish()
end

local function boxes()
  local server = serve.listen()
  local loop = boxd.spawn(function()
    for call in function() return server:accept() end do
      boxd.spawn(function()
        local _taken <close> = call
        while call:recv() do end
        answer(call)
      end)
    end
  end)
  local c = boxd.Compute { token = "t", api_url = "http://" .. server.address }
  local list = {}
  for i = 1, 50 do
    list[i] = require "boxd.box".new(c, { vm_id = "b" .. i, name = "b" .. i,
      status = "running" })
  end
  local function run(some)
    boxd.provision(some, function(on)
      for i = 1, 20 do on.directory("/srv/" .. i, { mode = "750" }) end
    end, { limit = 50, diff = false })
  end
  run(list)
  local one = times(ROUNDS, function() run { list[1] } end)
  local all = times(ROUNDS, function() run(list) end)
  row("50 boxes at once", all, 3 * one, (" (one: %.0f ms)"):format(one * 1000))
  c:close()
  server:close()
  loop:join()
end

print "| | measured | bar | held |\n|---|---|---|---|"
do
  local c <close> = boxd.Compute {}
  local box = c.box:create "bench"
  box:wait_until_ready()
  here(box)
  behind()
  box:destroy()
end
boxes()
os.exit(missed and 1 or 0)
