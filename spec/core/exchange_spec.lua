-- Where keys are exchanged when nothing names the place: at the service's
-- console, and where that does not do it, once at the service's own name. And
-- through a proxy.

local boxd = require "boxd"
local certs = require "spec.support.certs"
local process = require "spec.support.process"
local program = require "spec.support.program"

local KEY = "bxk_canary"

-- What a call of a Compute of HOST comes to.
local CALL = [[
  local c = boxd.Compute { api_key = %q, api_url = "https://%s:9443",
    ca_file = %q, timeout = 5, max_retries = 0 }
  local ok, e = pcall(c.whoami, c)
  print(ok, ok or e.class, ok or e.message)]]

describe("without an exchange URL a key goes", function()
  local authority, leaf

  setup(function()
    authority = certs.new()
    local names = { "app.here.test", "here.test", "half.test" }
    for _, status in ipairs { 302, 401, 403, 404, 405, 429, 500 } do
      names[#names + 1] = ("app.%d.test"):format(status)
      names[#names + 1] = ("%d.test"):format(status)
    end
    leaf = authority:leaf("console", "DNS:" .. table.concat(names, ",DNS:"))
  end)

  teardown(function() authority:remove() end)

  -- In namespaces of its own, where the console has port 443 and `hosts` are the
  -- names there are: the hosts asked, with the answers, and the call's result.
  local function asked(host, hosts)
    local script = program.file(CALL:format(KEY, host,
      authority:path "ca.pem"))
    local names = program.file("127.0.0.1 " .. hosts .. "\n")
    finally(function()
      os.remove(script)
      os.remove(names)
    end)
    local result = program.run { "unshare", "-rnm", "sh", "-c", [[
      set -e
      ip link set lo up
      mount --bind "$1" /etc/hosts
      python3 spec/support/console.py "$2" 127.0.0.1 443 >"$1.asked" &
      until grep -qs ready "$1.asked"; do sleep 0.02; done
      "$3" "$4"
      kill $!
      grep -v ready "$1.asked" || true
      rm "$1.asked"]], "sh", names, leaf, program.boxdlua, script }
    assert.equal("", result.err)
    assert.falsy(result.out:find(KEY, 1, true))
    local first, rest = result.out:match "^([^\n]*)\n(.*)$"
    return (rest:gsub("\n$", "")), first
  end

  it("to the console of the service", function()
    local hosts, result = asked("here.test", "app.here.test here.test")
    assert.equal("app.here.test 200", hosts)
    assert.matches("ConnectionError", result) -- nothing listens at 9443
    assert.falsy(result:find("exchange", 1, true))
  end)

  it("to the service where its console does not exchange keys", function()
    for _, status in ipairs { 404, 405, 302 } do
      local console, host = ("app.%d.test"):format(status),
        ("%d.test"):format(status)
      local hosts, result = asked(host, console .. " " .. host)
      assert.equal(("%s %d\n%s %d"):format(console, status, host, status), hosts)
      assert.matches("AuthenticationError", result)
      assert.matches("neither https://app%.", result)
      assert.matches("BOXD_EXCHANGE_URL", result)
    end
  end)

  it("to the service where its console has no address", function()
    local hosts, result = asked("half.test", "half.test")
    assert.equal("half.test 200", hosts)
    assert.matches("ConnectionError", result)
    assert.falsy(result:find("exchange", 1, true))
    hosts, result = asked("none.test", "other.test")
    assert.equal("", hosts)
    assert.matches("ConnectionError.*neither https://app%.none%.test", result)
  end)

  it("nowhere else once it was refused", function()
    for _, status in ipairs { 401, 403, 429, 500 } do
      local console, host = ("app.%d.test"):format(status),
        ("%d.test"):format(status)
      local hosts = asked(host, console .. " " .. host)
      for line in hosts:gmatch "[^\n]+" do
        assert.equal(("%s %d"):format(console, status), line)
      end
      assert.truthy(hosts ~= "")
    end
  end)
end)

describe("through HTTPS_PROXY", function()
  local authority, leaf
  local LINES = [[
    local function text(path) return io.open(path):read "a" end
    local server = require "boxd.serve".listen {
      tls = { cert = text(%q), key = text(%q) } }
    io.stdout:write(server.address:match ":(%%d+)$", "\n")
    io.stdout:flush()
    for call in function() return server:accept() end do
      call:recv()
      call:send { user_id = call:metadata "authorization" }
      call:finish()
    end]]

  setup(function()
    authority = certs.new()
    leaf = authority:leaf("proxied", "DNS:app.svc.test,DNS:svc.test")
  end)

  teardown(function() authority:remove() end)

  -- The result of a call, and what the proxy and the console were asked.
  local function through(env, host)
    local script = program.file(LINES:format(leaf .. ".pem", leaf .. ".key"))
    local grpc = process.start { program.boxdlua, script }
    local proxy = process.start { "python3", "spec/support/console.py", leaf,
      "127.0.0.1", "0", "proxy", grpc:line() }
    local url = "http://127.0.0.1:" .. proxy:line()
    for name in pairs(env) do
      if env[name] == "PROXY" then env[name] = url end
    end
    local result = program.lua { "-e", ([[
      local c = boxd.Compute { api_key = %q, api_url = "https://%s:9443",
        ca_file = %q, timeout = 5, max_retries = 0 }
      local ok, e = pcall(c.whoami, c)
      print(ok and e.user_id or e.message)]]):format(KEY, host or "svc.test",
        authority:path "ca.pem"), env = env }
    grpc:stop()
    os.execute("kill " .. proxy.pid)
    local seen = proxy.stdout:read "a"
    proxy:stop()
    os.remove(script)
    assert.equal("", result.err)
    return (result.out:gsub("\n$", "")), seen
  end

  it("go the exchange and the calls, by CONNECT", function()
    for _, name in ipairs { "HTTPS_PROXY", "https_proxy" } do
      local result, seen = through { [name] = "PROXY" }
      assert.equal("Bearer of.app.svc.test", result)
      assert.equal("CONNECT app.svc.test:443\napp.svc.test 200\n"
        .. "CONNECT svc.test:9443\n", seen)
    end
  end)

  it("goes nothing to a host that NO_PROXY exempts", function()
    for _, exempt in ipairs { "svc.test", ".test", "*", "a.b, svc.test" } do
      local result, seen = through { HTTPS_PROXY = "PROXY", NO_PROXY = exempt }
      assert.matches("Could not resolve", result)
      assert.equal("", seen)
    end
  end)

  it("goes no key that the proxy could read", function()
    local server = process.start { "python3", "spec/support/peer.py" }
    local port = server:line():match "%d+"
    local result = program.lua { "-e", ([[
      local c = boxd.Compute { api_key = "bxk_good", timeout = 5,
        api_url = "http://127.0.0.1:1", max_retries = 0,
        exchange_url = "http://plain.invalid/token" }
      local ok, e = pcall(c.whoami, c)
      print(e.message)]]), env = { http_proxy = "http://127.0.0.1:" .. port,
        HTTPS_PROXY = "http://127.0.0.1:" .. port } }
    local hits = boxd.http.request { url = "http://127.0.0.1:" .. port
      .. "/hits?/token" }.body
    server:stop()
    assert.matches("resolve host: plain%.invalid", result.out)
    assert.equal("0", hits)
  end)
end)
