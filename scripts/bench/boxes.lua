-- What waiting costs a person on this machine: starting, making a local box,
-- running a command in it. Run it by `make bench-boxes`.

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

local function report(what, ms, bar)
  print(("%-32s %7.2f ms   (bar: under %g ms)"):format(what, ms, bar))
end

local function start_of(program)
  local command = ("exec env -u BOXD_LOCAL %s -e ''"):format(program)
  return time(function() assert(os.execute(command)) end)
end

-- In turn, so that both meet the same machine.
local ours, plain = {}, {}
for i = 1, 50 do
  ours[i], plain[i] = start_of("build/boxdlua"), start_of("lua5.4")
end
report("boxdlua starts after lua5.4 by", median(ours) - median(plain), 5)

local compute <close> = boxd.Compute {}
compute:whoami()

local creates = {}
for i = 1, 10 do
  local box
  creates[i] = time(function()
    box = compute.box:create { name = "bench-" .. i }
  end)
  box:destroy()
end
report("create a local box", median(creates), 60)

local box <close> = compute.box:temporary { name = "bench" }
box:wait_until_ready()
local execs = {}
for i = 1, 50 do
  execs[i] = time(function() box:exec("true") end)
end
report('box:exec("true")', median(execs), 10)
