-- The bench: the same work by a bare C program on gRPC core, by boxd for Lua
-- and by Python's grpcio, in turn, against one server. Prints Markdown.
--
--   boxdlua scripts/bench/run.lua [--quick] [--rounds N] [WORK ...]

local BUILD = os.getenv "BUILD" or "build"
local BENCH = BUILD .. "/bench/"
local CLIENTS = {
  c = BENCH .. "client",
  static = BENCH .. "client_static",
  lua = BENCH .. "boxdlua scripts/bench/client.lua",
  python = "/usr/bin/python3 scripts/bench/client.py",
}
local KIB, MIB = 1 << 10, 1 << 20

local quick, rounds, only = false, nil, {}
do
  local i = 1
  while arg[i] do
    if arg[i] == "--quick" then
      quick = true
    elseif arg[i] == "--rounds" then
      i = i + 1
      rounds = math.tointeger(arg[i])
    else
      only[arg[i]] = true
    end
    i = i + 1
  end
end
rounds = rounds or quick and 3 or 5
local TIMES = 5 -- a round has of C's and of boxd for Lua's runs, and one of Python

local function output(command)
  local pipe <close> = assert(io.popen(command))
  local text = pipe:read "a"
  assert(pipe:close(), command .. " failed")
  return text
end

local function median(list)
  list = table.move(list, 1, #list, 1, {})
  table.sort(list)
  return list[(#list + 1) // 2]
end

-- Files as large as the long transfers; in memory where there is such a place.
local function scratch(name)
  local shm = os.execute "test -w /dev/shm" and "/dev/shm" or "/tmp"
  return ("%s/boxd-bench-%d-%s"):format(shm, math.random(1 << 30), name)
end

local source, target, told = scratch "source", scratch "target", scratch "port"
local server

local _cleanup <close> = setmetatable({}, { __close = function()
  if server then server:close() end
  for _, path in ipairs { source, target, told } do os.remove(path) end
end })

-- The server, whose stdin we hold, and its port and process.
local function start_server()
  server = assert(io.popen(("exec %sserver > %s"):format(BENCH, told), "w"))
  for _ = 1, 1000 do
    local f <close> = io.open(told)
    local port, pid = (f and f:read "a" or ""):match "^(%d+) (%d+)\n"
    if port then return port, pid end
    boxd.sleep(0.01)
  end
  error("the bench's server did not start", 0)
end

local port, pid = start_server()

-- Seconds of processor time that the server has used.
local function server_seconds()
  local total = 0
  local text = output(("cat /proc/%s/task/*/schedstat"):format(pid))
  for ns in text:gmatch "(%d+) %d+ %d+\n" do total = total + tonumber(ns) end
  return total * 1e-9
end

-- Runs a client: its numbers, and then its milliseconds and its peak in KiB.
local function run(client, work)
  local text = output(("%stimed %s %s %s"):format(BENCH, CLIENTS[client], port,
    work))
  local numbers = {}
  for number in text:gmatch "%S+" do
    numbers[#numbers + 1] = tonumber(number)
  end
  return numbers
end

-- Each row: its name in the table, the work with its size (a smaller one for
-- Python or --quick keeps the time bounded: figures are rates then), and the
-- figure made of the client's numbers. `more`: the more the better.
--
-- The bars of a row: `c`, how many times the C program's time it may take, and
-- `python`, how many times longer Python has to take; `most`, a figure that is
-- not to be passed. `c = false`: no bound.
local LIKE_C, NEVER_BEHIND = 1.15, 1 / 1.05

local big = quick and 128 or 1024 -- MiB of a long transfer

local function rate(numbers, units) return units / numbers[1] end

local function transfer(work, size, count)
  return {
    command = function() return ("%s %d %d"):format(work, count, size) end,
    figures = function(n) return { rate(n, count * size / MIB) } end,
  }
end

local function file_transfer(work)
  return {
    command = function()
      if work == "upstream" then return ("upstream %s"):format(source) end
      return ("downstream %d %d %s"):format(big, MIB, target)
    end,
    figures = function(n) return { rate(n, big), n[#n] / KIB } end,
  }
end

local PEAK = { "... peak of memory", "MiB", c = false, python = false,
  most = 64 }
local chunks = quick and { 50000, 5000 } or { 200000, 20000 }
local calls = quick and 2000 or 5000
local streams = 1000

local WORKS = {
  { key = "start", command = function() return "once" end,
    figures = function(n) return { n[#n - 1] } end,
    rows = { { "start, one call, exit", "ms", c = 0.55, python = 10 } } },
  { key = "unary", command = function() return "unary " .. calls end,
    figures = function(n) return { n[1], n[2], n[3] } end,
    rows = { { "unary call, p50", "us", c = 1.05, python = 2 },
      { "unary call, p99", "us", python = 2 },
      { "unary calls, 1 at once", "/s", more = true, c = 1.1 } } },
  { key = "many",
    command = function() return ("many %d 64"):format(calls * 4) end,
    figures = function(n) return { n[1] } end,
    rows = { { "unary calls, 64 at once", "/s", more = true, c = 1.1 } } },
  { key = "chunks",
    command = function(client)
      return ("exec %d 64"):format(chunks[client == "python" and 2 or 1])
    end,
    figures = function(n, client)
      return { rate(n, chunks[client == "python" and 2 or 1]) }
    end,
    rows = { { "exec, chunks of 64 B", "/s", more = true, c = 0.95,
      python = 30 } } },
  { key = "exec", transfer = transfer("exec", 64 * KIB, big * 16),
    rows = { { ("exec, %d MiB in chunks of 64 KiB"):format(big), "MiB/s",
      more = true }, PEAK } },
  { key = "upload", transfer = transfer("upload", 4 * MIB, big // 16),
    rows = { { "write_file, 4 MiB a message", "MiB/s", more = true } } },
  { key = "download", transfer = transfer("download", 4 * MIB, big // 4),
    rows = { { "read_file, 4 MiB", "MiB/s", more = true } } },
  { key = "upstream", transfer = file_transfer "upstream",
    rows = { { ("upload, %d MiB"):format(big), "MiB/s", more = true },
      PEAK } },
  { key = "downstream", transfer = file_transfer "downstream",
    rows = { { ("download, %d MiB"):format(big), "MiB/s", more = true },
      PEAK } },
  { key = "streams", command = function() return "streams " .. streams end,
    figures = function(n)
      return { n[3] * 1000, n[1] / KIB, n[2], n[#n] / KIB }
    end,
    rows = { { "1,000 streams at once", "ms", c = 1.25 },
      { "... memory at rest, after a call", "MiB", c = false, python = 1 },
      { "... more for each stream", "KiB", c = false, python = false,
        most = 32 },
      PEAK } },
  { key = "list",
    command = function() return "list 10" end,
    figures = function(n) return { n[1] * 100, n[#n] / KIB } end,
    rows = { { "list of 10,000 boxes", "ms", c = 0.4 },
      { "... peak of memory", "MiB", c = 1 } } },
  -- C and Python have all fields of the boxes they list.
  { key = "fields",
    command = function(client)
      return client == "lua" and "fields 10" or "list 10"
    end,
    figures = function(n) return { n[1] * 100 } end,
    rows = { { "... and three fields of each", "ms", c = 1.15 } } },
}

local function command_of(work, client)
  return (work.command or work.transfer.command)(client)
end

local function figures_of(work, numbers, client)
  if work.transfer and work.key == "exec" then
    return { work.transfer.figures(numbers)[1], numbers[#numbers] / KIB }
  end
  return (work.figures or work.transfer.figures)(numbers, client)
end

-- The clients of a round, in turn. Most runs take a tenth of a second: a few would
-- not do where the machine has other work.
local function turns(work)
  local clients = {}
  for _ = 1, TIMES do
    clients[#clients + 1] = "c"
    if work.key == "start" then clients[#clients + 1] = "static" end
    clients[#clients + 1] = "lua"
  end
  clients[#clients + 1] = "python"
  return clients
end

-- The figures of all rounds: samples[client][row] is a list.
local function measure(work)
  local samples, busy = {}, {}
  for _ = 1, rounds do
    for _, client in ipairs(turns(work)) do
      local before, start = server_seconds(), boxd.now()
      local numbers = run(client, command_of(work, client))
      if client == "c" then
        local spent = boxd.now() - start
        busy[#busy + 1] = (server_seconds() - before) / spent
      end
      samples[client] = samples[client] or {}
      for i, figure in ipairs(figures_of(work, numbers, client)) do
        samples[client][i] = samples[client][i] or {}
        table.insert(samples[client][i], figure)
      end
    end
  end
  return samples, median(busy)
end

-- How many times as long `figure` takes, or as much memory.
local function times_as_long(row, figure, than)
  return row.more and than / figure or figure / than
end

-- The median of the ratios of runs that followed each other: what else the machine
-- does meanwhile slows both.
local function ratio(row, ours, than)
  local list = {}
  for i, figure in ipairs(ours) do
    list[i] = times_as_long(row, figure, than[i])
  end
  return median(list)
end

local function show(n)
  return (n >= 100 and "%.0f" or n >= 10 and "%.1f" or "%.2f"):format(n)
end

-- Which bars the row's medians do not reach.
local function misses(row, ours, than_c, than_python)
  local list = {}
  local c, python = row.c, row.python
  if c == nil then c = LIKE_C end
  if python == nil then python = NEVER_BEHIND end
  if c and than_c > c then list[#list + 1] = ("C %.2f"):format(c) end
  if python and than_python < python then
    list[#list + 1] = ("Python %.3g"):format(python)
  end
  if row.most and ours > row.most then
    list[#list + 1] = ("%d %s"):format(row.most, row[2])
  end
  return #list > 0 and "misses " .. table.concat(list, ", ") or "holds"
end

local function print_rows(work)
  local samples, busy = measure(work)
  for i, row in ipairs(work.rows) do
    local function of(client) return median(samples[client][i]) end
    local than_c = ratio(row, samples.lua[i], samples.c[i])
    local than_python = times_as_long(row, of "python", of "lua")
    print(("| %s | %s | %s | %s | %s | %.2f | %.1f | %.0f %% | %s |"):format(
      row[1], row[2], show(of "c"), show(of "lua"), show(of "python"), than_c,
      than_python, busy * 100, misses(row, of "lua", than_c, than_python)))
    if samples.static then
      print(("| ... the C program linked statically | %s | %s | | | | | | |")
        :format(row[2], show(of "static")))
    end
  end
end

-- The codec alone: a box to bytes and back.
local function print_codec()
  local codec = require "boxd.serve"
  local box = { vm_id = "vm-00000001", name = "bench-box", status = "running",
    image_ref = "ubuntu:24.04", public_ip = "203.0.113.7", vcpu = 2,
    restart_policy = "always", disk_bytes = 20 << 30, memory_bytes = 4 << 30,
    created_at = 1750000000 }
  local bytes = codec.encode("GetVmResponse", box)
  local chunk = codec.encode("DownloadFileChunk", { data = ("x"):rep(MIB) })
  local file = { data = ("x"):rep(MIB) }
  local function speed(what, n, size, f, ...)
    local list = {}
    for i = 1, rounds do
      local start = boxd.now()
      for _ = 1, n do f(...) end
      list[i] = n / (boxd.now() - start)
    end
    local a_second = median(list)
    print(("| %s | %s | %s |"):format(what, show(a_second),
      show(a_second * size / MIB)))
  end
  local n = quick and 20000 or 100000
  print "\n| codec alone | messages/s | MiB/s |\n|---|--:|--:|"
  speed("encode a box", n, #bytes, codec.encode, "GetVmResponse", box)
  speed("decode a box", n, #bytes, codec.decode, "GetVmResponse", bytes)
  speed("encode 1 MiB", n // 100, #chunk, codec.encode, "DownloadFileChunk",
    file)
  speed("decode 1 MiB", n // 100, #chunk, codec.decode, "DownloadFileChunk",
    chunk)
end

output(("truncate -s %dM %s"):format(big, source))
print(([[
Medians of %d rounds, in each the programs in turn. "than C" is the time or
memory of boxd for Lua by that of the C program (under 1: better than it),
"than Python" how many times more Python takes. "server": the share of one core
that the server used while the C program ran. Last: whether the row's bars hold
(at most 1.15 of C, 0.55 on start, 1.05 on the latency of a call, 1.1 on calls
a second, 0.95 on small chunks, 1.25 on streams, 0.4 on a list and 1 on its
memory; Python never ahead by more than 5 %%, and 2 times behind on latency, 30
on small chunks, 10 on start; peaks under 64 MiB, streams under 32 KiB each), or
which it misses.

| work | unit | bare C | boxd for Lua | grpcio | than C | than Python | server | bars |
|---|---|--:|--:|--:|--:|--:|--:|---|]]):format(rounds))
for _, work in ipairs(WORKS) do
  if not next(only) or only[work.key] then print_rows(work) end
end
if not next(only) or only.codec then print_codec() end
