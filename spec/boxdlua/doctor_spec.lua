-- boxdlua --doctor, and its requests.

local boxd = require "boxd"
local certs = require "spec.support.certs"
local contract = require "boxd.cli.contract"
local probe = require "boxd.cli.probe"
local process = require "spec.support.process"
local program = require "spec.support.program"
local serve = require "boxd.serve"

local function run(env, ...)
  local result = program.lua { "--doctor", env = env, ... }
  assert.equal("", result.err)
  return result.out, result.status
end

-- The line of a check: its kind and text.
local function line(out, name)
  for text in out:gmatch "[^\n]+" do
    local kind, rest = text:match("^(%l+)%s+" .. name .. "%s+(.*)$")
    if kind then return kind, rest end
  end
  error(name .. " is not in\n" .. out)
end

local function is(kind, pattern, out, name)
  local found, text = line(out, name)
  assert.equal(kind, found, text)
  assert.matches(pattern, text)
end

-- A TLS server in a process of its own, since the client of it blocks our loop.
local function serve_tls(leaf)
  return process.start { program.boxdlua, "-e", ([[
    local function read(path)
      local file <close> = assert(io.open(path))
      return file:read "a"
    end
    local server = require "boxd.serve".listen { http = false,
      tls = { cert = read "%s.pem", key = read "%s.key" } }
    print(server.address)
    io.stdout:flush()
    server:accept()]]):format(leaf, leaf) }
end

local NO_PORT = "127.0.0.1:1"

describe("--doctor", function()
  it("finds nothing wrong with the embedded service", function()
    local out, status = run({}, "--local")
    is("ok", "of the embedded service", out, "endpoint")
    is("ok", "port %d+ answers after", out, "connection")
    is("skip", "plaintext", out, "TLS")
    is("ok", "API key", out, "credentials")
    is("ok", "gives a token for %d+ minutes", out, "exchange")
    is("ok", "^local", out, "whoami")
    is("ok", "the server's is ours", out, "contract")
    is("ok", "", out, "overlay")
    assert.matches("\n%a+ +systemd +%a+ in boxes[:,] ", out)
    assert.is_nil(out:find "bx[dk]_" or out:find "eyJ")
    assert.equal(0, status, out)
  end)

  it("says what to do about an endpoint that is none", function()
    local out, status = run { BOXD_API_URL = "htp://x", BOXD_TOKEN = "t" }
    is("fail", "set BOXD_API_URL to https://host:port", out, "endpoint")
    is("ok", "BOXD_TOKEN", out, "credentials")
    assert.equal(1, status)
  end)

  it("reports an endpoint that does not answer", function()
    local out, status = run { BOXD_API_URL = "http://" .. NO_PORT,
      BOXD_API_KEY = "bxk_1", BOXD_EXCHANGE_URL = "http://u:p@" .. NO_PORT }
    is("fail", "refused.*boxdlua %-%-serve", out, "connection")
    is("ok", "BOXD_API_KEY", out, "credentials")
    is("fail", "check BOXD_EXCHANGE_URL", out, "exchange")
    is("skip", "no connection", out, "whoami")
    assert.is_nil(out:find("u:p", 1, true) or out:find("bxk_", 1, true))
    assert.equal(1, status)
  end)

  it("says so when there is not such a name", function()
    local out = run { BOXD_API_URL = "no-such-host.invalid:1",
      BOXD_TOKEN = "t" }
    is("fail", "not found.*spelling", out, "name")
    is("skip", "no address", out, "connection")
  end)

  it("says how to give credentials", function()
    local out = run { BOXD_API_URL = "http://" .. NO_PORT }
    is("fail", "set BOXD_API_KEY or BOXD_TOKEN", out, "credentials")
  end)

  it("distinguishes a refused key from a wrong address", function()
    local state = os.tmpname()
    os.remove(state)
    local server = process.start { program.boxdlua, "--serve", "--listen",
      "127.0.0.1:0", "--state", state }
    finally(function()
      server:stop()
      os.execute("rm -rf " .. state)
    end)
    local env = { BOXD_API_KEY = "bxk_wrong" }
    for _ = 1, 2 do
      local name, value = server:line():match "^export (%S+)=(.*)$"
      env[name] = value
    end
    local out, status = run(env)
    is("fail", "status 401.*make a new one", out, "exchange")
    is("skip", "no token", out, "whoami")
    assert.equal(1, status)
    env.BOXD_EXCHANGE_URL = env.BOXD_API_URL .. "/nothing"
    is("fail", "check BOXD_EXCHANGE_URL", (run(env)), "exchange")
    env.BOXD_API_KEY, env.BOXD_TOKEN = nil, "wrong"
    out = run(env)
    is("skip", "a token needs none", out, "exchange")
    is("fail", "check BOXD_API_URL and BOXD_EXCHANGE_URL", out, "whoami")
  end)

  it("says that a proxy leads to the service, and no secret of it", function()
    local out = run { HTTPS_PROXY = "http://me:hush@127.0.0.1:1",
      BOXD_API_KEY = "bxk_1" }
    is("ok", "http://127.0.0.1:1: calls and the exchange", out, "proxy")
    is("fail", "127.0.0.1", out, "exchange") -- libcurl's words differ
    assert.falsy(out:find("hush", 1, true))
    assert.falsy(out:find("\nfail  connection", 1, true), out)
    assert.falsy((run { HTTPS_PROXY = "http://127.0.0.1:1", BOXD_TOKEN = "t",
      BOXD_API_URL = "http://127.0.0.1:1" }):find("  proxy", 1, true))
  end)

  it("says where credentials are from, a key as a token too", function()
    is("ok", "an API key, from BOXD_TOKEN", (run { BOXD_TOKEN = "bxd_1",
      BOXD_API_URL = "http://127.0.0.1:1" }), "credentials")
  end)

  it("sends the key to the exchange only", function()
    local server = process.start { program.boxdlua, "-e", [[
      local server = require "boxd.serve".listen()
      local url = "http://" .. server.address
      io.stdout:setvbuf "line"
      print(url)
      for request in server.request, server do
        print(request.path, request.body)
        request:answer(307, { Location = url .. "/elsewhere" })
      end]] }
    finally(function() server:stop() end)
    local url = server:line()
    local env = { BOXD_API_KEY = "bxk_1", BOXD_API_URL = "http://" .. NO_PORT,
      BOXD_EXCHANGE_URL = url .. "/exchange" }
    is("fail", "HTTP status 307", (run(env)), "exchange")
    env.BOXD_EXCHANGE_URL = "http://nowhere.invalid/exchange"
    env.http_proxy = url
    is("fail", "nowhere.invalid", (run(env)), "exchange")
    boxd.http.request { url = url .. "/end", max_redirects = 0 }
    assert.equal('/exchange\t{"api_key":"bxk_1"}', server:line())
    assert.equal("/end\t", server:line())
  end)

  it("distinguishes TLS from plaintext, and checks the certificate", function()
    local authority = certs.new()
    local leaf = authority:leaf("server", "IP:127.0.0.1")
    local server = serve_tls(leaf)
    finally(function()
      server:stop()
      authority:remove()
    end)
    local out = run { BOXD_API_URL = "https://" .. server:line(),
      BOXD_TOKEN = "t" }
    is("fail", "not trusted: .*ca_file.*%-%-ca%-file", out, "TLS")
    is("skip", "no connection", out, "whoami")
    local plain = process.start { program.boxdlua, "spec/support/echo.lua" }
    finally(function()
      plain:stop()
      server:stop()
      authority:remove()
    end)
    is("fail", "no TLS.*http://127", (run {
      BOXD_API_URL = "https://" .. plain:line(), BOXD_TOKEN = "t" }), "TLS")
  end)

  it("trusts an authority of one's own", function()
    local authority = certs.new()
    local server = serve_tls(authority:leaf("server", "IP:127.0.0.1"))
    finally(function()
      server:stop()
      authority:remove()
    end)
    local env = { BOXD_API_URL = "https://" .. server:line(),
      BOXD_TOKEN = "t" }
    is("ok", "server, issued by authority of a spec", (run(env, "--ca-file",
      authority:path "ca.pem")), "TLS")
    env.BOXD_API_URL = "https://" .. NO_PORT
    is("fail", "/no/such/file", (run(env, "--ca-file", "/no/such/file")), "ca%-file")
    assert.matches("'%-%-ca%-file' goes with %-%-doctor",
      program.lua({ "--ca-file", "x" }).err)
  end)

  it("goes with --local only", function()
    for _, words in ipairs { { "--doctor", "x.lua" }, { "--doctor", "-i" },
      { "--doctor", "--serve" }, { "--doctor", "-e", "x" } } do
      local result = program.lua(words)
      assert.equal(1, result.status)
      assert.matches("%-%-doctor", result.err)
    end
  end)
end)

describe("probe.certificate", function()
  local function look(san, days, host)
    local authority = certs.new()
    local leaf = authority:leaf("server", san, days)
    local server = serve_tls(leaf)
    local socket <close> = probe.connect("127.0.0.1",
      server:line():match "%d+$", 5)
    local found, why = probe.certificate(socket, host or "127.0.0.1", 5,
      authority:path "ca.pem")
    server:stop()
    authority:remove()
    return assert(found, why)
  end

  it("knows a good one, and its end", function()
    local found = look("IP:127.0.0.1", 40)
    assert.is_nil(found.problem)
    assert.is_true(found.http2)
    assert.is_true(found.days == 39 or found.days == 40)
    assert.equal("server", found.subject)
    assert.equal("authority of a spec", found.issuer)
  end)

  it("names the fault", function()
    assert.matches("expired", look("IP:127.0.0.1", -1).problem)
    assert.matches("mismatch", look("DNS:other", 2, "localhost").problem)
    assert.matches("mismatch", look("IP:127.0.0.2").problem)
  end)
end)

describe("the contract", function()
  -- A server that describes `change(answer)` instead of our own contract.
  local function compare(answer, version)
    local server <close> = serve.listen()
    local client = boxd.Compute{api_url = "http://" .. server.address, token = "t",
      max_retries = 0 }
    local task = boxd.spawn(function()
      for call in function() return server:accept() end do
        local c <close> = call
        if not version or c.path:find(version, 1, true) then
          for question in function() return c:recv_bytes() end do
            c:send_bytes(answer(question))
          end
          c:finish()
        else
          c:finish("UNIMPLEMENTED", "unknown")
        end
      end
    end)
    local _ <close> = setmetatable({}, { __close = function()
      client:close()
      task:cancel()
    end })
    return contract.compare(client, 5)
  end

  local none = { lacks = {}, beyond = {}, lacks_fields = {}, beyond_fields = {} }

  it("of the same server is ours, by either version of reflection", function()
    assert.same(none, compare(serve.reflect))
    assert.same(none, compare(serve.reflect, "v1alpha"))
  end)

  it("of another server differs by names", function()
    local found = compare(function(question)
      return (serve.reflect(question):gsub("StopVm", "HaltVm")
        :gsub("public_ip", "publicxip"))
    end)
    assert.same({ "StopVm" }, found.lacks)
    assert.same({ "HaltVm" }, found.beyond)
    assert.truthy(table.concat(found.lacks_fields, " "):find(".public_ip", 1, true))
    assert.truthy(table.concat(found.beyond_fields, " "):find(".publicxip", 1, true))
  end)

  it("can be kept to itself", function()
    local found, _, unknown = compare(serve.reflect, "no version")
    assert.is_nil(found)
    assert.is_true(unknown)
  end)

  it("may be nonsense", function()
    for _, answer in ipairs { "\255", "", "\34\3\10\1\255", "\58\4\18\2no" } do
      local found, why = compare(function() return answer end)
      if answer ~= "" then
        assert.is_nil(found)
        assert.is_string(why)
      end
    end
  end)
end)
