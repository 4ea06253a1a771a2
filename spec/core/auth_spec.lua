local boxd = require "boxd"
local certs = require "spec.support.certs"
local process = require "spec.support.process"
local program = require "spec.support.program"

local KEY = "bxk_good"

-- A boxd machine is played by a network namespace of its own, whose default
-- gateway is an address of this machine.
local MACHINE = [[
  set -e
  ip link set lo up
  ip addr add 10.9.0.2/24 dev lo
  ip route add default via 10.9.0.1 dev lo
  ip addr add 10.9.0.1/32 dev lo
  exec "$@"
]]

-- A gateway that accepts connections and says nothing, or does not even
-- accept ("full"). How two calls end, and in how many seconds.
local SILENT = [[
  local process = require "spec.support.process"
  local gateway = process.start { "/usr/bin/python3", "-c", [=[if True:
    import socket, sys, time
    gateway = socket.socket()
    gateway.bind(("10.9.0.1", 9002))
    gateway.listen(0 if sys.argv[1] == "full" else 8)
    mine = []
    while sys.argv[1] == "full":
        mine.append(socket.socket())
        mine[-1].settimeout(0.2)
        if mine[-1].connect_ex(("10.9.0.1", 9002)) != 0:
            break
    print("listening", flush=True)
    time.sleep(60)]=], arg[1] }
  gateway:line()
  local compute = boxd.Compute { api_url = "http://127.0.0.1:1" }
  for _, seconds in ipairs { 0.3, 20 } do
    local began = boxd.now()
    local ok, err = pcall(compute.whoami, compute, { timeout = seconds })
    print(ok, err.class, ("%.1f"):format(boxd.now() - began), err.message)
  end
  gateway:stop "KILL"
]]

-- The words that run a script in a machine; `kind` is of its gateway.
local function in_machine(script, kind, env)
  return { "unshare", "-rn", "sh", "-c", MACHINE, "sh", program.boxdlua, script,
    kind, env = env }
end

-- Begins two calls under a silent gateway. Returns a function that waits for
-- them: { class, seconds, message } of the first and of the second.
local function begin_silent(kind)
  local script = program.file(SILENT)
  local machine = process.start(in_machine(script, kind,
    { BOXD_VM_ID = "vm-1" }))
  return function()
    local calls = {}
    for line in machine.stdout:lines() do
      local class, seconds, message =
        line:match "^false\t(%w+)\t([%d.]+)\t(.*)$"
      calls[#calls + 1] = { class, tonumber(seconds), message }
    end
    machine:stop()
    os.remove(script)
    assert.equal(2, #calls)
    return calls[1], calls[2]
  end
end

local silent -- it takes 10 s: it begins with the file

setup(function() silent = begin_silent "accepts" end)

describe("credentials", function()
  local peer, service, authority, plain, good, expired, api_url

  setup(function()
    authority = certs.new()
    service = process.start { "/usr/bin/python3", "spec/support/bearer.py" }
    peer = process.start { "/usr/bin/python3", "spec/support/peer.py",
      authority:leaf("good", "IP:127.0.0.1"),
      authority:leaf("expired", "IP:127.0.0.1", -1) }
    local ports = peer:line():gmatch("%d+")
    plain = "http://127.0.0.1:" .. ports()
    ports()
    good = "https://127.0.0.1:" .. ports()
    expired = "https://127.0.0.1:" .. ports()
    api_url = "http://127.0.0.1:" .. service:line()
  end)

  teardown(function()
    peer:stop()
    service:stop()
    authority:remove()
  end)

  -- A Compute that shares no token with the others: its URL is its own.
  local clients = 0
  local function client(url, options)
    clients = clients + 1
    options = options or { api_key = KEY }
    options.api_url, options.exchange_url = api_url, url .. "#" .. clients
    return boxd.Compute(options)
  end

  -- How a call ends: the service refuses it, naming the bearer it came with.
  local function call(compute)
    local ok, err = pcall(compute.whoami, compute)
    assert.is_false(ok)
    assert.is_true(boxd.is_error(err), tostring(err))
    assert.falsy(tostring(err):find(KEY, 1, true), "the key is in an error")
    return err
  end

  local function bearer(compute)
    local err = call(compute)
    assert.equal("FAILED_PRECONDITION", err.code, tostring(err))
    return err.message
  end

  local function fails(class, pattern, compute)
    local err = call(compute)
    assert.is_true(err:is(boxd[class]), tostring(err))
    assert.truthy(err.message:find(pattern), err.message)
  end

  local function hits(path)
    return tonumber(boxd.http.request {
      url = plain .. "/hits?" .. path }.body)
  end

  -- What a path of the peer has been asked since.
  local function counting(path)
    local before = hits(path)
    return function() return hits(path) - before end
  end

  it("sends a given token as it is", function()
    local compute = client("http://127.0.0.1:1", { token = "given.jwt" })
    assert.equal("Bearer given.jwt", bearer(compute))
  end)

  it("refuses what can't be a token or a key", function()
    for _, secret in ipairs { "a\nb", "two words", "caf\u{e9}", "a\r", "\0" } do
      for _, name in ipairs { "token", "api_key" } do
        local ok, err = pcall(function()
          client(plain .. "/token", { [name] = secret }):whoami()
        end)
        assert.is_false(ok)
        assert.is_true(boxd.is_error(err), tostring(err))
        assert.is_true(err:is(boxd.AuthenticationError)
          or err:is(boxd.InvalidArgumentError), tostring(err))
        assert.falsy(tostring(err):find(secret, 1, true), tostring(err))
      end
    end
  end)

  it("exchanges a key for a token, and keeps that", function()
    local compute, asked = client(plain .. "/token"), counting("/token")
    local first = bearer(compute)
    assert.truthy(first:find("^Bearer token%d+$"), first)
    assert.equal(first, bearer(compute))
    assert.equal(1, asked())
  end)

  it("does not touch the network before the first call", function()
    local asked = counting("/token")
    client(plain .. "/token")
    assert.equal(0, asked())
  end)

  it("makes one exchange for all waiting calls", function()
    local compute, asked = client(plain .. "/later"), counting("/later")
    local found, tasks = {}, {}
    for i = 1, 20 do
      tasks[i] = boxd.spawn(function() found[i] = bearer(compute) end)
    end
    local leaves = boxd.spawn(compute.whoami, compute)
    leaves:cancel()
    for i = 1, 20 do tasks[i]:join() end
    assert.is_false((pcall(leaves.join, leaves)))
    for i = 2, 20 do assert.equal(found[1], found[i]) end
    assert.equal(1, asked())
  end)

  it("goes on with the exchange when the call that began it ends", function()
    local compute, asked = client(plain .. "/later"), counting("/later")
    local ok, err = pcall(boxd.with_timeout, 0.05, compute.whoami, compute)
    assert.is_false(ok)
    assert.is_true(boxd.is_error(err, boxd.TimeoutError), tostring(err))
    bearer(compute)
    assert.equal(1, asked())
  end)

  it("exchanges again before a token ends, by the peer's clock", function()
    local asked = counting("/life")
    boxd.map({ 0, 3600, -3600 }, function(skew)
      local compute = client(plain .. "/life?2&" .. skew)
      local first, limit = bearer(compute), boxd.now() + 10
      assert.equal(first, bearer(compute))
      while bearer(compute) == first and boxd.now() < limit do
        boxd.sleep(0.05)
      end
      assert.not_equal(first, bearer(compute))
    end)
    assert.equal(3 * 2, asked())
  end)

  it("keeps a token for its life, by the peer's clock", function()
    for _, skew in ipairs { 3600, -3600, -90000 } do
      local compute = client(plain .. "/life?3600&" .. skew)
      local asked = counting("/life")
      assert.equal(bearer(compute), bearer(compute))
      assert.equal(1, asked())
    end
  end)

  it("does not ask on and on for a token that seems to have ended", function()
    local compute, asked = client(plain .. "/ended"), counting("/ended")
    assert.equal(bearer(compute), bearer(compute))
    assert.equal(1, asked())
  end)

  it("says what to do about a key that is refused", function()
    local compute, asked = client(plain .. "/status?401"), counting("/status")
    fails("AuthenticationError", "BOXD_API_KEY", compute)
    fails("AuthenticationError", "401", compute) -- and keeps no failure
    assert.equal(2, asked())
  end)

  it("names any other status", function()
    for _, status in ipairs { 204, 301, 400, 403, 404, 500, 503 } do
      fails("AuthenticationError", tostring(status),
        client(plain .. "/status?" .. status))
    end
  end)

  it("takes no other answer for a token", function()
    local far = "9999999999"
    for _, body in ipairs { "", "{", "[]", "null", "\0", '"token"', "{}",
      '{"token":"t"}', '{"token":"","expires_at":' .. far .. "}",
      '{"token":1,"expires_at":' .. far .. "}",
      '{"token":"a\\r\\nb","expires_at":' .. far .. "}",
      '{"token":"a b","expires_at":' .. far .. "}",
      '{"token":"\xc3\xa9","expires_at":' .. far .. "}",
      '{"token":"t","expires_at":"x"}', '{"token":"t","expires_at":1e999}',
      '{"token":"t","expires_at":' .. far .. "}x",
      '{"token":"t","expires_at":' .. far .. "}\0" } do
      local quoted = body:gsub("[^%w]", function(c)
        return ("%%%02x"):format(c:byte())
      end)
      fails("AuthenticationError", "200", client(plain .. "/body?" .. quoted))
    end
    fails("AuthenticationError", "longer than 65536",
      client(plain .. "/endless"))
    fails("AuthenticationError", "not HTTP", client(plain .. "/garbage"))
  end)

  it("waits once as long as the service asks", function()
    boxd.map({ "/limited", "/limited-until" }, function(path)
      local compute, asked = client(plain .. path), counting(path)
      local start = boxd.now()
      bearer(compute)
      local took = boxd.now() - start
      assert.truthy(took >= 1 and took < 20, "took " .. took)
      assert.equal(2, asked())
    end)
    local asked = counting("/limited-always")
    fails("QuotaExceededError", "try again", client(plain .. "/limited-always"))
    assert.equal(2, asked())
  end)

  it("does not take the key along a redirect", function()
    local asked = counting("/token")
    for _, status in ipairs { 301, 302, 303, 307, 308 } do
      fails("AuthenticationError", "redirect",
        client(plain .. "/redirect?" .. status .. "&/token"))
    end
    assert.equal(0, asked())
  end)

  it("says that the exchange can't be reached", function()
    fails("ConnectionError", "exchange", client("http://127.0.0.1:1/"))
    fails("ConnectionError", "exchange", client(plain .. "/cut"))
  end)

  it("ends with its call's time when the exchange is silent", function()
    local compute = client(plain .. "/silent")
    local ok, err = pcall(compute.call, compute, "Whoami", {},
      { timeout = 0.2 })
    assert.is_false(ok)
    assert.is_true(boxd.is_error(err, boxd.TimeoutError), tostring(err))
  end)

  it("verifies the exchange's certificate before it sends the key", function()
    local function with(url, ca_file)
      return client(url .. "/token", { api_key = KEY, ca_file = ca_file })
    end
    local ca_file = authority:path("ca.pem")
    assert.truthy(bearer(with(good, ca_file)):find("^Bearer token"))
    fails("ConnectionError", "certificate", with(good))
    fails("ConnectionError", "expired", with(expired, ca_file))
  end)

  it("asks no proxy of the environment", function()
    local result = program.lua { "-e", ([[
      local ok, err = pcall(function()
        boxd.Compute{ api_key = %q, api_url = %q, exchange_url = %q }:whoami()
      end)
      print(err.code)]]):format(KEY, api_url, plain .. "/token"),
      env = { http_proxy = "http://127.0.0.1:1", grpc_proxy = "" } }
    assert.equal("", result.err)
    assert.equal("FAILED_PRECONDITION\n", result.out)
  end)
end)

describe("credentials inside a boxd machine", function()
  local SCRIPT = [[
    local process = require "spec.support.process"
    local service <close> = setmetatable({
      process.start { "/usr/bin/python3", "spec/support/bearer.py" },
    }, { __close = function(s) s[1]:stop() end })
    local api_url = "http://127.0.0.1:" .. service[1]:line()
    local gateway
    if arg[1] then
      gateway = process.start { "/usr/bin/python3", "-c", [=[if True:
        import http.server, os, socketserver, sys
        os.chdir(sys.argv[1])
        server = socketserver.TCPServer(("10.9.0.1", 9002),
                                        http.server.SimpleHTTPRequestHandler)
        print("listening", flush=True)
        server.serve_forever()]=], arg[1] }
      gateway:line()
    end
    local follow = os.getenv "FOLLOW" -- what the gateway says of the service
    if follow then
      local token = assert(io.open(arg[1] .. "/v1/auth/token", "w"))
      token:write((([=[{"token":"machine.jwt","expires_at":%d,"api_url":%s}]=])
        :format(os.time() + 900, follow):gsub("SERVICE", api_url)))
      token:close()
      api_url = os.getenv "NAMED" == "yes" and api_url or nil
    end
    local compute = boxd.Compute { api_url = api_url, max_retries = 0,
      timeout = tonumber(os.getenv "SECONDS") }
    for _ = 1, 2 do
      local ok, err = pcall(compute.whoami, compute)
      print(ok, err.class, err.message)
    end
    if os.getenv "ADDRESS" then
      print(compute.api_url, tostring(compute),
        boxd.Compute { api_url = api_url }.api_url)
    end
    if gateway then gateway:stop() end
  ]]

  -- What a script prints in a machine whose gateway serves a folder, if any.
  local function run(folder, env)
    local script = program.file(SCRIPT)
    finally(function() os.remove(script) end)
    local result = program.run(in_machine(script, folder, env))
    assert.equal(0, result.status, result.err)
    return result.out
  end

  local function folder_with(answer)
    local scratch = certs.new()
    finally(function() scratch:remove() end)
    assert(os.execute(("mkdir -p '%s/v1/auth'"):format(scratch.folder)))
    local file = assert(io.open(scratch:path("v1/auth/token"), "w"))
    file:write(answer)
    file:close()
    return scratch.folder
  end

  it("come from its gateway", function()
    local folder = folder_with('{"token":"machine.jwt","expires_at":'
      .. os.time() + 900 .. ',"api_url":"x"}')
    local line = "false\tConflictError\tBearer machine.jwt\n"
    assert.equal(line:rep(2), run(folder, { BOXD_VM_ID = "vm-1" }))
  end)

  local function follow(url, env)
    env = env or {}
    env.BOXD_VM_ID, env.FOLLOW = "vm-1", url
    return run(folder_with "", env)
  end
  local LINE = "false\tConflictError\tBearer machine.jwt\n"

  it("say where the service is", function()
    local out = follow('"SERVICE"', { ADDRESS = "yes" })
    local url, shown, other =
      out:match "(http://127%.0%.0%.1:%d+)\t([^\t]+)\t(%S+)\n$"
    assert.equal(LINE:rep(2), out:sub(1, 2 * #LINE))
    assert.equal(("boxd.Compute (%s)"):format(url), shown)
    assert.equal("https://boxd.sh:9443", other) -- as long as it is not known
  end)

  it("do not say it where the service is named", function()
    assert.equal(LINE:rep(2), follow('"http://127.0.0.1:1"', { NAMED = "yes" }))
    for _, name in ipairs { "BOXD_BASE_URL", "BOXD_API_URL" } do
      local out = follow('"SERVICE"', { [name] = "http://127.0.0.1:1" })
      assert.truthy(out:find("ConnectionError\t127.0.0.1:1: ", 1, true), out)
    end
  end)

  -- The default's address is closed here: its calls get little time.
  it("need not say it", function()
    for _, url in ipairs { "null", '""' } do
      local out = follow(url, { ADDRESS = "yes", SECONDS = "0.5" })
      assert.falsy(out:find("AuthenticationError", 1, true), out)
      assert.truthy(out:find("\nhttps://boxd.sh:9443\t", 1, true), out)
    end
  end)

  it("are refused when they say it wrongly", function()
    local said = {
      ['"http://a b"'] = "gateway says where the service is (api_url), but "
        .. "'http://a b' is not an endpoint: it has a space",
      ["7"] = 'with an "api_url" that is not a string',
    }
    for url, words in pairs(said) do
      local out = follow(url)
      local _, n = out:gsub("AuthenticationError\t", "")
      assert.equal(2, n)
      assert.truthy(out:find(words, 1, true), out)
    end
  end)

  it("come last", function()
    local folder = folder_with("{}")
    local line = "false\tConflictError\tBearer of.env\n"
    assert.equal(line:rep(2), run(folder,
      { BOXD_VM_NAME = "box", BOXD_TOKEN = "of.env" }))
  end)

  it("are missing when no gateway gives them", function()
    for _, folder in ipairs { folder_with("{}"), "" } do
      local out = run(folder ~= "" and folder or nil, { BOXD_VM_ID = "vm-1" })
      assert.truthy(out:find("AuthenticationError\tno credentials: ", 1, true),
        out)
      assert.truthy(out:find("boxd machine", 1, true), out)
    end
  end)

  it("are missing at once when the gateway refuses connections", function()
    local first, second = begin_silent "full" ()
    assert.equal("TimeoutError", first[1]) -- 0.3 s are over sooner
    assert.equal("AuthenticationError", second[1])
    assert.matches("no credentials", second[3])
    assert.is_true(second[2] < 3, second[2])
  end)

  it("are waited for as long as the call's time, or 10 s", function()
    local first, second = silent()
    assert.equal("TimeoutError", first[1])
    assert.is_true(first[2] < 2, first[2])
    assert.equal("AuthenticationError", second[1])
    assert.matches("no credentials", second[3])
    assert.is_true(second[2] < 13, second[2])
  end)
end)
