-- Keys and tokens: where they must not be found. In memory:
-- secrets_memory_spec.lua.

local memory = require "spec.support.memory"
local process = require "spec.support.process"
local program = require "spec.support.program"
local service = require "spec.support.service"

local CANARY = "bxk_canary5e55e11"
local JWT = "eyJhbGciOi" -- how every token of the service begins

local function read(path)
  local f <close> = assert(io.open(path, "rb"))
  return f:read "a" or ""
end

local function write(path, text)
  local f <close> = assert(io.open(path, "wb"))
  f:write(text)
end

-- Calls of every kind, and what a script prints of its objects; all errors.
local SCRIPT = [[
local boxd = require "boxd"
local lines = io.lines(arg[1])
local url, exchange, key = lines(), lines(), lines()
local function show(...) print(...) io.stderr:write(tostring(...), "\n") end
local c = boxd.Compute{ api_key = key, api_url = url, exchange_url = exchange }
show(c, c.box)
show(c:whoami().user_id)
show(pcall(c.box.get, c.box, "none"))
for _, call in ipairs { { "UploadFile", {} }, { "GetVm", { vm_id = "x" } } } do
  show(select(2, pcall(c.call, c, table.unpack(call))))
end
for _, other in ipairs { key .. "x", "" } do
  local wrong = boxd.Compute{ api_key = other .. "y", api_url = url,
    exchange_url = exchange, max_retries = 0 }
  show(select(2, pcall(wrong.whoami, wrong)))
end
local dead = boxd.Compute{ api_key = key, api_url = "http://127.0.0.1:1",
  exchange_url = exchange, max_retries = 0 }
show(select(2, pcall(dead.whoami, dead)))
show(select(2, pcall(boxd.Compute, { api_key = key .. "\n" })))
show(select(2, pcall(boxd.Compute, { api_key = key, api_url = key .. "@h" })))
c:close()
show(select(2, pcall(c.whoami, c)))
]]

describe("a key and its token", function()
  local local_service, folder

  setup(function()
    local_service = service.new()
    folder = local_service.folder
    write(folder .. "/key", ("%s\n%s\n%s\n"):format(local_service.api_url,
      local_service.exchange_url, local_service.api_key))
    write(folder .. "/script.lua", SCRIPT)
  end)

  teardown(function()
    if local_service then getmetatable(local_service).__close(local_service) end
  end)

  local function clean(text)
    assert.falsy(text:find(local_service.api_key, 1, true), text)
    assert.falsy(text:find(JWT, 1, true), text)
  end

  local loud = { GRPC_TRACE = "all", GRPC_VERBOSITY = "DEBUG",
    BOXD_LOG = "debug" }

  local function told(result)
    assert.equal(0, result.status, result.err)
    clean(result.out)
    clean(result.err)
    assert.matches("NotFoundError", result.out)
    assert.matches("boxd [%d:.]+ Whoami #1 OK", result.err)
  end

  it("appear in no value, error, log or trace", function()
    local trace = folder .. "/trace"
    told(program.lua { "--trace", trace, folder .. "/script.lua",
      folder .. "/key", env = loud })
    assert.matches("Whoami", read(trace))
    clean(read(trace))
  end)

  it("are not shown by boxd.so in another host", function()
    local env = program.module_env { LUA_PATH = "./?.lua;;",
      LUA_CPATH = (os.getenv "BOXD_BUILD" or "build") .. "/?.so;;" }
    for name, value in pairs(loud) do env[name] = value end
    told(program.run { program.lua5, folder .. "/script.lua", folder .. "/key",
      env = env })
  end)

  it("are in files that only the service's user can read", function()
    local found = io.popen(("find %s -name layer -prune -o -perm /077 -print")
      :format(local_service.state)) -- a layer is a copy of the system's files
    assert.equal("", found:read "a")
    found:close()
  end)

  it("are refused by a service when others could read them", function()
    local_service:stop()
    for _, what in ipairs { { "", "700" }, { "/secrets/default.json", "600" },
      { "/secrets/signing.json", "600" } } do
      local path = local_service.state .. what[1]
      assert(os.execute(("chmod go+r '%s'"):format(path)))
      local result = program.lua { "--serve", "--listen", "127.0.0.1:0",
        "--state", local_service.state }
      assert(os.execute(("chmod %s '%s'"):format(what[2], path)))
      assert.equal(1, result.status)
      assert.matches("others can read " .. path:gsub("%p", "%%%0")
        .. ", which holds keys: chmod " .. what[2], result.err)
      assert.equal("", result.out)
    end
    local_service:start()
    assert.equal("local", local_service.compute:whoami().user_id)
  end)
end)

describe("the key of another service", function()
  it("goes neither to the service of --local nor into its boxes", function()
    local result = program.lua { "--local", "-e", [[
      local c <close> = boxd.Compute{}
      print(c:whoami().user_id)
      local box <close> = c.box:temporary()
      box:wait_until_ready()
      print(box:sh("cat /proc/*/environ /proc/*/cmdline; env").stdout)
      local me = io.open("/proc/thread-self/children"):read "n"
      local todo = { me }
      while #todo > 0 do
        local pid = table.remove(todo)
        for _, name in ipairs { "environ", "cmdline" } do
          local f = io.open(("/proc/%d/%s"):format(pid, name))
          if f then io.write(f:read "a" or "") end
        end
        for task in io.popen("ls /proc/" .. pid .. "/task"):lines() do
          local f = io.open(("/proc/%d/task/%s/children"):format(pid, task))
          for child in (f and f:read "a" or ""):gmatch "%d+" do
            todo[#todo + 1] = math.tointeger(tonumber(child))
          end
        end
      end]], env = { BOXD_API_KEY = CANARY, BOXD_TOKEN = CANARY } }
    assert.equal(0, result.status, result.err)
    assert.matches("^local\n", result.out)
    assert.truthy(result.out:find("--announce", 1, true), result.out)
    assert.falsy(result.out:find(CANARY, 1, true))
    assert.falsy(result.err:find(CANARY, 1, true))
  end)

  it("does not stay with a service that is started with it", function()
    local scratch <close> = service.new()
    scratch:stop()
    local child = process.start { "sh", "-c",
      'ulimit -S -c "$(ulimit -H -c)"; exec "$@" 2>>' .. scratch.folder
      .. "/errors", "sh", program.boxdlua,
      "--serve", "--listen", "127.0.0.1:0", "--state", scratch.state,
      env = { BOXD_API_KEY = CANARY, BOXD_TOKEN = CANARY .. "2" } }
    assert.matches("^export BOXD_API_URL=", child:line())
    local environ = read("/proc/" .. child.pid .. "/environ")
    local limits = read("/proc/" .. child.pid .. "/limits")
    local found = memory.count(child.pid, { CANARY })
    child:stop()
    assert.matches("BOXD_API_KEY=%z", environ)
    assert.matches("BOXD_TOKEN=%z", environ)
    -- A sanitizer's runtime has a copy of all that is there as it starts.
    assert.same({ os.getenv "ASAN_OPTIONS" and found[1] or 0 }, found)
    assert.matches("Max core file size +0 ", limits)
  end)
end)
