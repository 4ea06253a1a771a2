-- Makes allocations of the client fail, one after the other, and prints what
-- became of it: `make torture`, QUICK=1 for one in many. Run by the torture
-- program (torture.c), against server.lua in a process of its own.
--
-- Three sweeps. "calls": every scenario of subject.lua, with the Nth request
-- failing for N = 1, 2, … until the scenario meets none; after each point the
-- same client must answer a call, and nothing may have leaked. "service": the
-- same with service.lua, where the embedded service is in the same process: its
-- malloc, and that of the spawner and the boxes' first processes. "life": a
-- whole life of a Lua state with the module in it, from lua_newstate to
-- lua_close.

local torture = require "torture"

-- --quick; or less: --part calls, service or life, --only SCENARIO, --kind KIND,
-- --every N (one point in N)
local words, options = { ... }, {}
do
  local i = 1
  while words[i] do
    local name = words[i]:match "^%-%-(%l+)$"
    if name == "quick" then
      options.quick = true
    else
      i = i + 1
      options[assert(name, words[i - 1])] = assert(words[i], "a value")
    end
    i = i + 1
  end
end
local quick, only = options.quick, options.only

local FOREVER = 1 << 40
local END_SECONDS = 10 -- for cancelled calls to end, on a busy machine
local THREAD_SECONDS = 60 -- for one that would end at once on a quiet one
local PATHS = "./?.lua;./lua/?.lua" -- the service, which no library holds

-- How many requests fail, from the Nth on. Lua asks a second time after a
-- collection, so that it survives the first.
local A_WHILE = 20
local MODES = { lua = { 1, 2, A_WHILE, FOREVER } }
local function modes(kind) return MODES[kind] or { 1, A_WHILE, FOREVER } end
local MODE_NAMES = { [1] = "once", [2] = "twice", [A_WHILE] = "for a while",
  [FOREVER] = "from there on" }

local totals = { points = 0, wrong = 0, leaks = 0, unusable = 0, odd = 0 }
local rows, shown = {}, {}

-- A finding, once each.
local function tell(what, where, text)
  totals[what] = totals[what] + 1
  local line = ("%s: %s: %s"):format(what, where, text)
  if not shown[line] then io.stderr:write(line, "\n") end
  shown[line] = true
end

-- The errors that say what happened; libcurl's resolver has words of its own.
local function expected(kind, text)
  return text:lower():find("memory", 1, true) or text:find "^typed: "
    or kind == "curl"
    and (text:find("getaddrinfo() thread failed", 1, true)
      or text:find("Could not resolve host", 1, true))
end

-- ---- Subjects ---------------------------------------------------------------

local address, folder

local function open(kind, at, times)
  return torture.open(kind or "", at or 0, times or 0, PATHS,
    "scripts/torture/subject.lua", address, folder)
end

local function ask(subject, name)
  local ok, result = subject:run("", 0, 0, name)
  return ok and result, result
end

local function settle(subject)
  for _ = 1, 3 do ask(subject, "settle") end
end

-- The thread that renews leases has memory of its own for as long as it runs,
-- which is a while longer than its last lease. True once none runs, and its
-- memory is freed.
local function rest(subject)
  local ends = os.time() + THREAD_SECONDS
  local ran
  repeat
    ran = torture.runs "boxd-lease"
    settle(subject)
  until not ran or os.time() > ends
  return not ran
end

-- `one`: a kind, of all. Lua's bytes are looked at when the state is closed.
local function living(one)
  local all = {}
  for i, kind in ipairs(torture.kinds) do
    local counts = kind ~= "lua" and (not one or kind == one)
    all[i] = counts and torture.live(kind) or math.maxinteger
  end
  return all
end

local function grown(before)
  for i, kind in ipairs(torture.kinds) do
    local now = torture.live(kind)
    if now > before[i] then return kind, now - before[i] end
  end
end

-- ---- The calls --------------------------------------------------------------

-- Whatever the scenario has left must be possible to remove.
local function clean_up(subject, where, state)
  if not state.clean then return end
  local ok, why = subject:run("", 0, 0, "clean")
  if not ok then tell("unusable", where, why) end
end

local function check(subject, name, where, state)
  if not ask(subject, "canary") then
    local ok, why = ask(subject, "canary")
    tell("unusable", where, ok and "once" or why)
  end
  if not grown(state.live) then return end
  -- A command that is left has its time to end.
  for _ = 1, state.clean and 20 or 0 do
    settle(subject)
    if not grown(state.live) then return end
  end
  -- Background work gets its turns, and caches kept for the next
  -- time is taken.
  for _ = 1, 3 do
    ask(subject, name)
    settle(subject)
  end
  if grown(state.live) and not rest(subject) then
    tell("leaks", where, "a thread of leases")
  end
  local ends = os.time() + END_SECONDS
  while grown(state.live) and os.time() < ends do settle(subject) end
  local kind, blocks = grown(state.live)
  if not kind then return end
  tell("leaks", where, blocks .. " blocks of " .. kind)
  if kind == "c" then torture.report(state.mark) end
  state.live, state.mark = living(state.kind), torture.mark()
end

local function point(subject, kind, at, times, name, state)
  local ok, text, refused = subject:run(kind, at, times, name)
  local where = ("%s, %s %d %s"):format(name, kind, at, MODE_NAMES[times])
  if refused == 0 then
    if not ok then error(name .. " fails without a fault: " .. text) end
    clean_up(subject, where, state)
    return false
  end
  totals.points = totals.points + 1
  if not ok then
    if not expected(kind, text) then tell("odd", where, text) end
  elseif ask(subject, "result") ~= state.result then
    tell("wrong", where, tostring(ask(subject, "result")))
  end
  clean_up(subject, where, state)
  check(subject, name, where, state)
  return true
end

local function normal(subject, name, clean)
  local result
  for _ = 1, 2 do
    local ok, text = subject:run("", 0, 0, name)
    if not ok then error(name .. " fails: " .. text) end
    result = ask(subject, "result")
    if clean then assert(subject:run("", 0, 0, "clean")) end
  end
  local state = { result = result, clean = clean }
  assert(rest(subject), "a thread of leases goes on")
  -- libcurl's connections to boxes' ports come and go.
  state.kind = clean and "c"
  state.live, state.mark = living(state.kind), torture.mark()
  return state
end

-- Every `step`-th point, at most `most` of a scenario.
local function sweep(subject, kind, name, step, clean)
  local count = 0
  local state = normal(subject, name, clean)
  for _, times in ipairs(modes(kind)) do
    local at = step == 1 and 1 or math.random(step)
    while point(subject, kind, at, times, name, state) do
      at, count = at + step, count + 1
    end
  end
  return count
end

local function scenarios(subject, prefixes)
  local names = {}
  for name in ask(subject, "list"):gmatch "[^\n]+" do
    for _, where in ipairs(prefixes) do
      if not only or where .. name == only then
        names[#names + 1] = where .. name
      end
    end
  end
  return names
end

local function calls(steps)
  local subject, why = open()
  if why then error(why) end
  local names = scenarios(subject, { "", "task: " })
  local kinds = options.kind and { options.kind } or torture.kinds
  for _, kind in ipairs(kinds) do
    local count, start = 0, os.time()
    for _, name in ipairs(names) do
      count = count + sweep(subject, kind, name, steps[kind])
    end
    rows[#rows + 1] = ("calls  %-8s %7d points of %d scenarios, %d s"):format(
      kind, count, #names, os.time() - start)
  end
  local bytes = subject:close("", 0, 0)
  if bytes ~= 0 then tell("leaks", "lua_close", bytes .. " bytes of lua") end
end

-- ---- The service -------------------------------------------------------------

local function service(step)
  local subject, why = torture.open("", 0, 0, PATHS,
    "scripts/torture/service.lua", folder)
  if why then error(why) end
  local names, count, start = scenarios(subject, { "" }), 0, os.time()
  for _, name in ipairs(names) do
    count = count + sweep(subject, "c", name, step, true)
  end
  rows[#rows + 1] = ("service %-7s %7d points of %d scenarios, %d s"):format(
    "c", count, #names, os.time() - start)
  ask(subject, "stop")
  local bytes = subject:close("", 0, 0)
  if bytes ~= 0 then tell("leaks", "lua_close", bytes .. " bytes of lua") end
end

-- ---- The life of a state ----------------------------------------------------

local function live_and_die(kind, at, times, before)
  local where = ("life, %s %d %s"):format(kind, at, MODE_NAMES[times])
  local subject, why, refused = open(kind, at, times)
  if why and refused == 0 then error("opening fails: " .. why) end
  if why and not expected(kind, why) and why ~= "no state" then
    tell("odd", where, why)
  end
  if why == "no state" then return true end
  local bytes = subject:close(kind, times == FOREVER and refused > 0 and 1 or 0,
    times == FOREVER and refused > 0 and FOREVER or 0)
  if bytes ~= 0 then tell("leaks", where, bytes .. " bytes of lua") end
  local leaked, blocks = grown(before.live)
  if leaked then
    tell("leaks", where, blocks .. " blocks of " .. leaked)
    if leaked == "c" then torture.report(before.mark) end
    before.live, before.mark = living(), torture.mark()
  end
  return refused > 0
end

local function life(kind, step)
  local count, start = 0, os.time()
  open():close("", 0, 0)
  local before = { live = living(), mark = torture.mark() }
  for _, times in ipairs(modes(kind)) do
    local at = step == 1 and 1 or math.random(step)
    while live_and_die(kind, at, times, before) do
      at, count = at + step, count + 1
    end
  end
  totals.points = totals.points + count
  rows[#rows + 1] = ("life   %-8s %7d points, %d s"):format(kind, count,
    os.time() - start)
end

-- ---- All of it --------------------------------------------------------------

local function shell(command)
  local pipe <close> = assert(io.popen(command))
  return assert(pipe:read())
end

local build = os.getenv "BUILD" or "build"
folder = shell "mktemp -d"
local server <close> = assert(io.popen(
  "echo $$; exec setpriv --pdeathsig TERM " .. build
  .. "/boxdlua scripts/torture/server.lua"))
local pid = server:read()
address = server:read()
local _done <close> = setmetatable({}, { __close = function()
  os.execute("kill " .. pid .. "; rm -rf '" .. folder .. "'")
end })
assert(address, "the server does not start")

-- One in so many points: the long run tries all of them.
local STEPS = quick and { lua = 97, c = 13, cjson = 5, curl = 97, openssl = 1 }
  or { lua = 1, c = 1, cjson = 1, curl = 1, openssl = 1 }
if options.every then
  for kind in pairs(STEPS) do STEPS[kind] = math.tointeger(options.every) end
end
local part = options.part
local all = not part and not only and not options.kind
if not part or part == "calls" then calls(STEPS) end
-- Making boxes is not quick.
if part == "service" or all and not quick then service(STEPS.c) end
if all or part == "life" then
  life("lua", quick and 499 or 1)
  life("c", quick and 5 or 1)
end

for _, row in ipairs(rows) do print(row) end
print("gRPC's own allocator " .. (torture.grpc_aborts()
  and "ends the process when it gets no memory: not part of this"
  or "comes back"))
print(("%d points: %d wrong results, %d leaks, %d clients unusable, %d errors "
  .. "that do not name memory"):format(totals.points, totals.wrong,
  totals.leaks, totals.unusable, totals.odd))
if totals.wrong + totals.leaks + totals.unusable + totals.odd > 0 then
  error("the torture found something", 0)
end
