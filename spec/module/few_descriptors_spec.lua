-- What boxd.so starts with needs descriptors: without them an error, not the end
-- of the host, and a later try works.

local program = require "spec.support.program"

local BEGIN = [[
  local boxd = require "boxd"
  local files = {}
  for file in function() return (io.open "/dev/null") end do
    files[#files + 1] = file
  end
  local function free(n)
    for _ = 1, n do table.remove(files):close() end
  end
]]

local function run(code)
  return program.run { "sh", "-c", 'ulimit -n 64; exec '
    .. program.lua5 .. ' -e "$0"',
    BEGIN .. code, env = { LUA_CPATH = os.getenv "LUA_CPATH" } }
end

describe("boxd.so with few free descriptors", function()
  it("raises at the first wait, which works once there are more", function()
    for left = 0, 7 do
      local result = run(([[
        free(%d)
        print(pcall(boxd.sleep, 0.001))
        free(20)
        print(pcall(boxd.sleep, 0.001))]]):format(left))
      assert.matches("^false\t.*BoxdError: too few free descriptors.*\ntrue\n$",
        result.out, result.err)
      assert.equal(0, result.status)
    end
  end)

  it("loads libcurl at a later try", function()
    local result = run [[
      local url = { url = "http://127.0.0.1:1/" }
      print(pcall(boxd.http.request, url))
      free(30)
      print(pcall(boxd.http.request, url))]]
    assert.matches("^false\t.*BoxdError.*\nfalse\t.*ConnectionError", result.out,
      result.err)
  end)
end)
