-- lua_close with finalizers that are older than boxd: they run when there is no
-- loop any more.

local program = require "spec.support.program"

local function run(code)
  return program.run { "timeout", "-k", "1", "30", program.lua5, "-e", code,
    env = { LUA_CPATH = os.getenv "LUA_CPATH" } }
end

describe("a finalizer older than boxd", function()
  it("gets an error for whatever waits or connects", function()
    local result = run [[
      OLDER = setmetatable({}, { __gc = function()
        for _, name in ipairs(NAMES) do
          local ok, e = pcall(WORK[name])
          if ok or not tostring(e):find "closing" and not tostring(e):find "gone"
            and not tostring(e):find "closed" then
            print(name, ok, e)
          end
        end
        pcall(TASK.cancel, TASK)
        print "end"
      end })
      local boxd = require "boxd"
      local c = boxd.Compute { token = "t", api_url = "http://127.0.0.1:1" }
      TASK = boxd.spawn(boxd.sleep, 100)
      local p = select(2, pcall(c.box.get, c.box, "x"))
      local stream = require "boxd.core".stream(c, "UploadFileStream", nil, 60)
      WORK = {
        sleep = function() boxd.sleep(0.001) end,
        turn = function() boxd.sleep(0) end,
        with_timeout = function() boxd.with_timeout(1, boxd.sleep, 0.001) end,
        spawn = function() boxd.spawn(function() coroutine.yield() end) end,
        run = function() boxd.run(boxd.sleep, 0) end,
        join = function() TASK:join() end,
        request = function()
          boxd.http.request { url = "http://127.0.0.1:1/" }
        end,
        new_client = function()
          boxd.Compute { token = "t", api_url = "http://127.0.0.1:1" }:whoami()
        end,
        client = function() c:whoami() end,
        recv = function() stream:recv() end,
        send = function() stream:send {} end,
        gather = function() boxd.gather { function() boxd.sleep(0) end } end,
      }
      NAMES = {}
      for name in pairs(WORK) do NAMES[#NAMES + 1] = name end
    ]]
    assert.equal("end\n", result.out, result.err)
    assert.equal(0, result.status)
  end)
end)
