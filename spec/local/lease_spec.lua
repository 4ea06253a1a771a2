-- Leases of temporary boxes on the embedded service: who lives keeps the box,
-- whoever is killed loses it.

local boxd = require "boxd"
local least = require "spec.support.least"
local process = require "spec.support.process"
local program = require "spec.support.program"
local service = require "spec.support.service"

local eventually = service.eventually

-- A child of a script that ends at once, with `host`.
local HOST = [[cc -shared -fPIC $(pkg-config --cflags %s) -o %s/host.so
  spec/support/host.c]]

describe("a leased box of the embedded service", function()
  local s, compute = service.of_block()

  local function env()
    return { BOXD_API_URL = s.api_url, BOXD_EXCHANGE_URL = s.exchange_url,
      BOXD_API_KEY = s.api_key, LUA_CPATH = s.folder .. "/?.so",
      ASAN_OPTIONS = "detect_leaks=0" } -- of a fork, whose gRPC stays
  end

  -- Returns a function that waits for its result.
  local function start(code)
    return program.begin_lua { "-W", "-e", "local c = boxd.Compute{}\n" .. code,
      env = env() }
  end

  -- A script under way, once it has printed a line.
  local function begin(code)
    local p = process.start { program.boxdlua, "-W", "-e",
      "io.stdout:setvbuf 'line' local c = boxd.Compute{}\n" .. code,
      env = env() }
    p:line()
    return p
  end

  local function is_gone(name)
    local ok, e = pcall(compute.box.get, compute.box, name)
    return not ok and e.class == "NotFoundError"
  end

  -- Each lasts longer than its lease; they do so at once.
  local busy, blocked

  setup(function()
    busy = start [[
      local box <close> = c.box:temporary { name = "busy", lease = 3 }
      local ends = boxd.now() + 4.5
      while boxd.now() < ends do end
      print(box:exec("echo", "here").stdout)]]
    blocked = start [[
      local box <close> = c.box:temporary { name = "blocked", lease = 3 }
      os.execute "sleep 4.5"
      print(box:exec("echo", "here").stdout)]]
  end)

  it("stays while its script computes and never waits", function()
    local result = busy()
    assert.equal("here\n\n", result.out, result.err)
    assert.is_true(is_gone "busy")
  end)

  it("stays while its script is blocked in another program", function()
    local result = blocked()
    assert.equal("here\n\n", result.out, result.err)
  end)

  it("goes once its script is killed, a lease later at most", function()
    local took = least(6, function()
      local p = begin [[
        B = c.box:temporary { name = "killed", lease = 3 }
        print "made"
        while true do end]]
      boxd.sleep(1.3) -- it has been renewed once
      assert.is_false(is_gone "killed")
      p:stop "KILL"
      local killed = boxd.now()
      eventually(function() return is_gone "killed" end, 20)
      return boxd.now() - killed
    end)
    assert.is_true(took < 6, took)
  end)

  it("goes at once by Ctrl-C, also while a renewal is under way", function()
    local p = begin [[
      B = c.box:temporary { name = "interrupted", lease = 3 }
      print "made"
      boxd.sleep(60)]]
    p:stop "INT"
    assert.is_true(is_gone "interrupted")
  end)

  it("keeps a script from ending no longer than its destruction does, where "
    .. "the service hangs", function()
    local p = begin [[
      B = c.box:temporary { name = "hanging", lease = 3 }
      print "made"
      boxd.sleep(60)]]
    os.execute("kill -STOP " .. s.pid)
    boxd.sleep(1.5) -- a renewal is under way
    local began = boxd.now()
    p:stop "TERM"
    local took = boxd.now() - began
    os.execute("kill -CONT " .. s.pid)
    assert.is_true(took < 30, took)
    eventually(function() return is_gone "hanging" end, 20)
  end)

  it("is renewed by no child of its script", function()
    assert(os.execute(HOST:gsub("\n", " "):format(program.lua5, s.folder)))
    local result = start([[
      local host = require "host"
      local box = c.box:temporary { name = "forked", lease = 3 }
      print(host.fork(function()
        box = nil
        collectgarbage()
        collectgarbage()
        local stat = assert(io.open "/proc/self/stat")
        local f = assert(io.popen("cat /proc/" .. stat:read "n"
          .. "/task/*/comm"))
        os.exit(f:read "a":find "boxd%-lease" and 1 or 0, true)
      end))
      print(box:exec("echo", "here").stdout)]])()
    assert.equal("0\nhere\n\n", result.out, result.err)
    assert.equal(0, result.status, result.err)
  end)

  it("has copies that stay", function()
    local box <close> = compute.box:temporary { name = "source", lease = 30 }
    local copy = compute.box:fork(box, { name = "copy" })
    assert.is_nil(copy:refresh().delete_at)
    copy:destroy()
  end)
end)
