-- A service's process that is forked: its calls and requests are its own.

local program = require "spec.support.program"

local SCRIPT = [[
local host = require "host"
local serve = require "boxd.serve"
local server <close> = serve.listen{}
local url = "http://" .. server.address
local client = boxd.spawn(boxd.http.request, { url = url .. "/x" })
local request = server:request()
local c <close> = boxd.Compute{ token = "t", api_url = url }
local pending = boxd.spawn(c.whoami, c)
local call = server:accept()
call:recv()
print(host.fork(function() -- goes on without them
  request, call = nil, nil
  collectgarbage()
  collectgarbage()
end))
print(host.fork(function() os.exit(0, true) end)) -- ends its state
request:answer(200, {}, "the parent's")
print(client:join().body)
call:send{ user_id = "one" }
call:finish()
print(pending:join().user_id)
]]

describe("a forked child of a service", function()
  local folder

  setup(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder))
    assert(os.execute(("cc -shared -fPIC $(pkg-config --cflags %s) -o "
      .. "%s/host.so spec/support/host.c"):format(program.lua5, folder)))
  end)

  teardown(function() os.execute("rm -rf " .. folder) end)

  it("neither answers nor crashes, and its parent answers", function()
    -- What gRPC has stays in the child: a leak, to a sanitizer.
    local result = program.lua { "-e", SCRIPT,
      env = { LUA_CPATH = folder .. "/?.so", ASAN_OPTIONS = "detect_leaks=0" } }
    assert.equal("", result.err)
    assert.equal("0\n0\nthe parent's\none\n", result.out)
    assert.equal(0, result.status)
  end)
end)
