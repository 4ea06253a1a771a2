-- Tasks in a host that is not ours: its coroutines, its signals. What waits is
-- a sleep.

local boxd = require "boxd"
local least = require "spec.support.least"
local program = require "spec.support.program"

local function quote(text) return "'" .. text:gsub("'", [['\'']]) .. "'" end

describe("a host's own coroutine", function()
  it("blocks where it waits, while tasks go on", function()
    local ticks = 0
    local ticker = boxd.spawn(function()
      while true do
        boxd.sleep(0.001)
        ticks = ticks + 1
      end
    end)
    local t = boxd.spawn(function()
      local sum = 0
      for i in coroutine.wrap(function()
        for i = 1, 3 do
          boxd.sleep(0.01)
          coroutine.yield(i)
        end
      end) do sum = sum + i end
      return sum
    end)
    assert.equal(6, t:join())
    assert.is_true(ticks >= 3)
    ticker:cancel()
    pcall(ticker.join, ticker)
  end)

  it("waits as its task does with boxd.wrap and boxd.resume", function()
    local start, tasks = boxd.now(), {}
    for i = 1, 500 do
      tasks[i] = boxd.spawn(function()
        local sum = 0
        for n in boxd.wrap(function()
          for n = 1, 3 do
            boxd.sleep(0.02)
            coroutine.yield(n)
          end
        end) do sum = sum + n end
        local co = coroutine.create(function() boxd.sleep(0.02) return 4 end)
        local _, last = boxd.resume(co)
        return sum + last
      end)
    end
    for i = 1, 500 do assert.equal(10, tasks[i]:join()) end
    assert.is_true(boxd.now() - start < 20)
  end)
end)

describe("a host's signals", function()
  it("are its own, and stop a wait within a slice", function()
    local code = [[
      local boxd = require "boxd"
      os.execute "(sleep 0.1; kill -INT $PPID) >/dev/null 2>&1 &"
      local start = boxd.now()
      local ok, e = pcall(boxd.sleep, 60)
      local took = boxd.now() - start
      assert(not ok and tostring(e):find "interrupted!", e)
      print(took)]]
    local took = least(0.45, function()
      local pipe <close> = assert(io.popen(program.lua5 .. " -e " .. quote(code)
        .. " 2>&1"))
      local out = pipe:read "a"
      return tonumber(out) or error(out)
    end)
    assert.is_true(took < 0.45, took)
  end)

  it("keep the dispositions that it gave them", function()
    local code = [[
      local boxd = require "boxd"
      local function caught()
        for line in io.lines "/proc/self/status" do
          local name, set = line:match "^(Sig[IC]%a+):%s+(%x+)"
          -- Those from 32 on are the C library's own.
          if name then print(name, tonumber(set, 16) & 0x7fffffff) end
        end
      end
      caught()
      boxd.spawn(boxd.sleep, 0.001):join()
      caught()]]
    local pipe = assert(io.popen("env -u LD_PRELOAD " .. program.lua5
      .. " -e " .. quote(code)))
    local text = pipe:read "a"
    pipe:close()
    assert.equal(text:sub(1, #text // 2), text:sub(#text // 2 + 1))
  end)
end)
