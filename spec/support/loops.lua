-- Other programs' event loops, for specs: each by one interface.

local process = require "spec.support.process"
local program = require "spec.support.program"

local loops = {}

--- Seconds after which a script has hung. What is slow says that its file may
--- take longer.
loops.LIMIT = os.getenv "BOXD_TEST_LIMIT" or "120"

-- What a script of `loops.run` has: boxd, box, go(fn) which starts a coroutine of
-- the loop, run() which returns when all of them have ended, and now().
local BEGIN = [[
local boxd = require "boxd"
local compute = boxd.Compute { api_url = "http://127.0.0.1:" .. arg[1],
  token = "t", max_retries = 0 }
local box
local now = boxd.now
local live, finished = 0, nil
local function counted(fn)
  live = live + 1
  return function()
    local ok, e = xpcall(fn, debug.traceback)
    if not ok then io.stderr:write(tostring(e), "\n") end
    live = live - 1
    if live == 0 and finished then finished() end
  end
end
local go, run, every, sleep
-- Runs fn as a loop's coroutine, with a box.
local function main(fn)
  go(function()
    box = compute.box:get "vm-1"
    fn()
  end)
  run()
end
]]

-- sleep: the loop's own wait; every: calls fn each so many seconds, and returns a
-- function that ends that.
local LOOPS = {
  -- The script's own: readable(seconds) of the descriptor, serve(fn), settle(),
  -- start(fn), and hooks by which coroutines are resumed at once.
  own = [[
    local socket = require "socket"
    local fd = boxd.pollfd()
    local handle = { getfd = function() return fd end,
      dirty = function() return false end }
    local function readable(seconds)
      return #socket.select({ handle }, nil, seconds or 0) == 1
    end
    -- Until fn returns true, as a host would: steps when it is readable.
    local function serve(fn)
      local ends = now() + 10
      while not fn() do
        assert(now() < ends, "it never came true")
        if readable(0.1) then boxd.step() end
      end
    end
    -- Until nothing is left to do, as far as a pause of 0.3 s shows.
    local function settle()
      local ends = now() + 10
      while readable(0.3) do
        assert(now() < ends, "it never came to rest")
        boxd.step()
      end
    end
    -- A scheduler that resumes at once.
    local function resume(co)
      local ok, e = coroutine.resume(co)
      if not ok then error(e, 0) end
    end
    local function start(fn)
      local co = coroutine.create(fn)
      resume(co)
      return co
    end
    local HOOKS = { park = coroutine.yield, wake = resume }
    local function idle() return boxd.pending() == 0 end]],
  luv = [[
    local uv, start = require "luv", require "boxd.loop.luv".go
    go = function(fn) return start(counted(fn)) end
    run = function() uv.run() end
    every = function(seconds, fn)
      local t = uv.new_timer()
      t:start(math.floor(seconds * 1000), math.floor(seconds * 1000), fn)
      return function() t:close() end
    end
    sleep = function(seconds)
      local co, t = coroutine.running(), uv.new_timer()
      t:start(math.floor(seconds * 1000), 0, function()
        t:close()
        assert(coroutine.resume(co))
      end)
      coroutine.yield()
    end]],
  cqueues = [[
    require "boxd.loop.cqueues"
    local cqueues = require "cqueues"
    local cq = cqueues.new()
    go = function(fn) cq:wrap(counted(fn)) end
    run = function() assert(cq:loop()) end
    sleep = cqueues.sleep
    every = function(seconds, fn)
      local on = true
      cq:wrap(function()
        while on do
          cqueues.sleep(seconds)
          if on then fn() end
        end
      end)
      return function() on = false end
    end]],
  copas = [[
    require "boxd.loop.copas"
    local copas = require "copas"
    local on, period, last
    go = function(fn) return copas.addthread(counted(fn)) end
    if copas.wakeup then
      run = function() copas.loop() end
      sleep = copas.sleep
      every = function(seconds, fn)
        local on = true
        copas.addthread(function()
          while on do
            copas.sleep(seconds)
            if on then fn() end
          end
        end)
        return function() on = false end
      end
    else -- of before 2.0: no timers, and a loop that never ends
      run = function()
        while live > 0 do
          copas.step(period or 5)
          if period and now() - last >= period then
            last = now()
            on()
          end
        end
      end
      every = function(seconds, fn)
        period, on, last = seconds, fn, now()
        return function() period = nil end
      end
    end]],
  glib = [[
    local start = require "boxd.loop.glib".go
    local GLib = require "lgi".GLib
    local loop = GLib.MainLoop()
    finished = function() loop:quit() end
    go = function(fn) return start(counted(fn)) end
    run = function() if live > 0 then loop:run() end end
    sleep = function(seconds)
      local co = coroutine.running()
      GLib.timeout_add(GLib.PRIORITY_DEFAULT, math.floor(seconds * 1000),
        function()
          assert(coroutine.resume(co))
          return false
        end)
      coroutine.yield()
    end
    every = function(seconds, fn)
      local on = true
      GLib.timeout_add(GLib.PRIORITY_DEFAULT, math.floor(seconds * 1000),
        function()
          if on then fn() end
          return on
        end)
      return function() on = false end
    end]],
}

loops.names = { "copas", "cqueues", "glib", "luv" }

local libraries = { luv = "luv", cqueues = "cqueues", copas = "copas",
  glib = "lgi", http = "http.server" }

--- What program.lua5 finds the loops' libraries and boxd.so by.
function loops.environment()
  return program.module_env {
    LUA_PATH = os.getenv "LUA_PATH" or ";;/usr/share/lua/5.1/?.lua",
    LUA_CPATH = os.getenv "LUA_CPATH"
      or (os.getenv "BOXD_BUILD" or "build") .. "/?.so;;",
  }
end

--- Can the loop's library be loaded? Else why not, in a line.
function loops.lacks(name)
  local result = program.run { program.lua5, "-e",
    ("require %q"):format(libraries[name]), env = loops.environment() }
  if result.status == 0 then return nil end
  return libraries[name] .. " can't be loaded by " .. program.lua5 .. " here"
end

--- The service of loop_service.lua: a process, with its `port`.
function loops.serve()
  local server = process.start { "sh", "-c", 'exec "$@" 2>/dev/null', "sh",
    program.boxdlua, "spec/support/loop_service.lua" }
  server.port = server:line()
  return server
end

--- Runs a script in the loop, against the service; without a name, in none. Its
--- output, once it has ended well.
function loops.run(server, name, code)
  local path = program.file(BEGIN .. (LOOPS[name] or "") .. "\n" .. code)
  local result = program.run { "timeout", loops.LIMIT, program.lua5, path, server.port,
    env = loops.environment() }
  os.remove(path)
  assert(result.status == 0 and result.err == "",
    ("status %d: %s%s"):format(result.status, result.out, result.err))
  return result.out
end

return loops
