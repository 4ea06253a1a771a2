-- Keys and tokens in memory: none once the client is closed, and none in
-- whatever is freed before. The script's own copies do not count: Lua's
-- strings.

local certs = require "spec.support.certs"
local memory = require "spec.support.memory"
local process = require "spec.support.process"
local program = require "spec.support.program"
local service = require "spec.support.service"

local JWT = "eyJhbGciOi" -- how every token of the service begins

local SCRIPT = [[
local boxd = require "boxd"
local lines = io.lines(arg[1])
local key, api, exchange, ca = lines(), lines(), lines(), lines()
local c = boxd.Compute{ api_key = key, api_url = api, exchange_url = exchange,
  ca_file = ca, max_retries = 0 }
for _ = 1, 3 do print((pcall(c.whoami, c))) end
pcall(c.box.get, c.box, "none")
print "open"
io.stdout:flush()
while not io.open(arg[2]) do boxd.sleep(0.01) end
c:close()
c, key, lines = nil, nil, nil
collectgarbage()
collectgarbage()
print "closed"
io.stdout:flush()
boxd.sleep(60)]]

describe("in memory a key and its token", function()
  local local_service, folder, authority, tls, secure
  local sanitized = os.getenv "ASAN_OPTIONS"

  local function write(name, ...)
    local f <close> = assert(io.open(folder .. "/" .. name, "wb"))
    f:write(...)
  end

  setup(function()
    local_service = service.new()
    folder = local_service.folder
    authority = certs.new()
    tls = process.start { "/usr/bin/python3", "spec/support/tls.py",
      authority:leaf("good", "IP:127.0.0.1"),
      local_service.api_url:match ":(%d+)$" }
    secure = "https://127.0.0.1:" .. tls:line()
    write("script.lua", SCRIPT)
    -- A sanitizer has its own malloc: nothing more can be preloaded.
    assert(sanitized or os.execute(("cc -shared -fPIC -D_GNU_SOURCE -o %s"
      .. "/freed.so spec/support/freed.c"):format(folder)))
  end)

  teardown(function()
    tls:stop()
    authority:remove()
    getmetatable(local_service).__close(local_service)
  end)

  local function watched(env)
    if not sanitized then env.LD_PRELOAD = folder .. "/freed.so" end
    return env
  end

  -- What a script in `host` leaves that talks to `api` and `exchange`.
  local function leaves(host, env, api, exchange, answered)
    os.remove(folder .. "/go")
    write("lines", local_service.api_key, "\n", api, "\n", exchange
      .. local_service.exchange_url:match "^http://[^/]+(/.*)", "\n",
      authority:path "ca.pem", "\n")
    local child = process.start { "sh", "-c", 'exec "$@" 2>"$0"',
      folder .. "/told", host, folder .. "/script.lua", folder .. "/lines",
      folder .. "/go", env = watched(env) }
    for _ = 1, 3 do assert.equal(tostring(answered), child:line()) end
    assert.equal("open", child:line())
    -- The token, and the key in the request it was exchanged by: as C had
    -- them.
    local texts = { JWT, '"api_key":"' .. local_service.api_key }
    local open = memory.count(child.pid, texts)
    write "go"
    assert.equal("closed", child:line())
    local closed = memory.count(child.pid, texts)
    child:stop "KILL"
    assert.truthy(open[1] > 0 and open[2] > 0)
    assert.same({ 0, 0 }, closed)
    local told <close> = assert(io.open(folder .. "/told"))
    assert.equal("", told:read "a")
  end

  local module_env = program.module_env { LUA_PATH = "./?.lua;;",
    LUA_CPATH = (os.getenv "BOXD_BUILD" or "build") .. "/?.so;;" }

  for host, env in pairs { [program.boxdlua] = {}, [program.lua5] = module_env } do
    local name = host:match "[^/]+$"
    it("are wiped by " .. name, function()
      leaves(host, env, local_service.api_url, local_service.api_url, true)
    end)

    it("are wiped by " .. name .. " over TLS", function()
      leaves(host, env, secure, secure, true)
    end)

    -- Nothing after the exchange overwrites its memory.
    it("are wiped by " .. name .. " when nobody takes the token", function()
      leaves(host, env, "http://127.0.0.1:1", secure, false)
    end)
  end

  it("are found where they are freed", function()
    if sanitized then return end
    local result = program.lua { "-e", ([[
      local s = (%q):rep(999) -- more than the pool has
      s = nil
      collectgarbage()]]):format(JWT), env = watched {} }
    assert.matches("^freed with a secret in it\n", result.err)
  end)
end)
