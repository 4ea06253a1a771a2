local boxd = require "boxd"
local certs = require "spec.support.certs"
local process = require "spec.support.process"
local program = require "spec.support.program"

describe("boxd.http.request", function()
  local peer, authority, plain, other, good, elsewhere, expired

  setup(function()
    authority = certs.new()
    peer = process.start { "/usr/bin/python3", "spec/support/peer.py",
      authority:leaf("good", "IP:127.0.0.1"),
      authority:leaf("elsewhere", "DNS:elsewhere.example"),
      authority:leaf("expired", "IP:127.0.0.1", -1),
      env = { LC_ALL = "C.UTF-8" } }
    local ports = {}
    for port in peer:line():gmatch("%d+") do
      ports[#ports + 1] = "127.0.0.1:" .. port
    end
    plain, other = "http://" .. ports[1], "http://" .. ports[2]
    good, elsewhere = "https://" .. ports[3], "https://" .. ports[4]
    expired = "https://" .. ports[5]
  end)

  teardown(function()
    peer:stop()
    authority:remove()
  end)

  local function get(url, options)
    options = options or {}
    options.url = url
    return boxd.http.request(options)
  end

  -- What the peer was asked.
  local function echoed(response)
    assert.equal(200, response.status)
    return response.body
  end

  local function fails(class, pattern, url, options)
    local ok, err = pcall(get, url, options)
    assert.is_false(ok)
    assert.is_true(boxd.is_error(err, boxd[class]), tostring(err))
    assert.truthy(err.message:find(pattern), err.message)
    return err
  end

  it("gets status, headers and body", function()
    local response = get(plain .. "/echo?q=1")
    assert.equal(200, response.status)
    assert.equal("close", response.headers.connection)
    assert.equal(tostring(#response.body), response.headers["content-length"])
    assert.truthy(response.body:find('"target": "/echo?q=1"', 1, true))
    assert.truthy(response.body:find('"method": "GET"', 1, true))
  end)

  it("joins repeated headers and keeps empty ones", function()
    local headers = get(plain .. "/echo").headers
    assert.equal("1, 2", headers["x-twice"])
    assert.equal("", headers["x-empty"])
  end)

  it("keeps folded headers whole, and all headers before trailers", function()
    assert.equal("one two three", get(plain .. "/folded").headers["x-folded"])
    for _, body in ipairs { "", "body" } do
      local response = get(plain .. "/trailer?" .. body)
      assert.equal("yes", response.headers["x-kept"])
      assert.equal(body, response.body)
    end
    fails("BoxdError", "header of the response is longer than 100 KB",
      plain .. "/long-header")
  end)

  it("answers with any status", function()
    assert.equal(404, get(plain .. "/nothing").status)
    assert.equal(500, get(plain .. "/status?500").status)
    assert.equal("", get(plain .. "/status?204").body)
  end)

  it("sends method, headers and body as they are given", function()
    local body = echoed(get(plain .. "/echo", { method = "patch",
      body = "a\0b\xff", headers = { ["X-One"] = "1", ["X-Number"] = 2,
        ["X-None"] = "", ["X-Many"] = { "a", "b" } } }))
    for _, part in ipairs { '"method": "PATCH"', [["body": "a\u0000b\u00ff"]],
      '"x-one": ["1"]', '"x-number": ["2"]', '"x-none": [""]',
      '"x-many": ["a", "b"]', '"content-length": ["4"]' } do
      assert.truthy(body:find(part, 1, true), part .. " in " .. body)
    end
    assert.falsy(body:find("content-type", 1, true))
    assert.falsy(body:find("expect", 1, true))
  end)

  it("posts a request with a body, also an empty one", function()
    assert.truthy(echoed(get(plain .. "/echo", { body = "" }))
      :find('"method": "POST"', 1, true))
    assert.truthy(echoed(get(plain .. "/echo", { method = "POST" }))
      :find('"content-length": ["0"]', 1, true))
    assert.truthy(echoed(get(plain .. "/echo", { method = "GET", body = "q" }))
      :find('"method": "GET"', 1, true))
  end)

  it("asks for the headers alone with HEAD", function()
    local response = get(plain .. "/echo", { method = "HEAD" })
    assert.equal(200, response.status)
    assert.equal("", response.body)
    assert.equal("1, 2", response.headers["x-twice"])
  end)

  it("takes large bodies both ways", function()
    assert.equal(20000000, #get(plain .. "/big?20000000").body)
    local response = get(plain .. "/echo", { body = ("x"):rep(3000000) })
    assert.truthy(response.body:find('"content-length": ["3000000"]', 1, true))
  end)

  it("follows redirects, but not for ever", function()
    local response = get(plain .. "/redirect?302&/echo?there",
      { headers = { Authorization = "Bearer secret" } })
    assert.truthy(response.body:find('"target": "/echo?there"', 1, true))
    assert.truthy(response.body:find("secret", 1, true))
    assert.is_nil(response.headers.location)
    assert.equal(302, get(plain .. "/redirect?302&/echo",
      { max_redirects = 0 }).status)
    local round = "/redirect?302&"
    local six = round:rep(6) .. "/echo"
    fails("BoxdError", "redirects", plain .. six)
    assert.equal(200, get(plain .. six, { max_redirects = 6 }).status)
  end)

  it("gives no credentials to another host", function()
    local body = echoed(get(plain .. "/redirect?302&" .. other .. "/echo",
      { headers = { Authorization = "Bearer secret", Cookie = "secret",
        ["X-Kept"] = "kept" } }))
    assert.falsy(body:find("secret", 1, true), body)
    assert.truthy(body:find("kept", 1, true), body)
  end)

  it("keeps to what a redirect does to a method", function()
    local function redirected(status, method)
      return get(plain .. "/redirect?" .. status .. "&/echo",
        { method = method, body = "b" })
    end
    assert.truthy(redirected(307, "POST").body:find('"body": "b"', 1, true))
    assert.truthy(redirected(303, "POST").body:find('"GET"', 1, true))
    assert.equal(303, redirected(303, "PUT").status)
  end)

  it("verifies the peer of a TLS connection", function()
    local ca_file = authority:path("ca.pem")
    assert.equal(200, get(good .. "/echo", { ca_file = ca_file }).status)
    fails("ConnectionError", "certificate", good .. "/echo")
    fails("ConnectionError", "subject name matches", elsewhere .. "/echo",
      { ca_file = ca_file })
    fails("ConnectionError", "expired", expired .. "/echo",
      { ca_file = ca_file })
    fails("InvalidArgumentError", "/nonexistent", good .. "/echo",
      { ca_file = "/nonexistent" })
  end)

  it("never goes from https to http", function()
    local err = fails("BoxdError", "https to http",
      good .. "/redirect?302&" .. plain .. "/echo",
      { ca_file = authority:path("ca.pem") })
    assert.falsy(err:is(boxd.ConnectionError))
  end)

  it("ends in time whatever the peer does", function()
    for _, path in ipairs { "/silent", "/slow" } do
      local start = boxd.now()
      fails("TimeoutError", "timed out", plain .. path, { timeout = 0.2 })
      assert.truthy(boxd.now() - start < 20)
    end
  end)

  it("names the fault of an answer", function()
    fails("ConnectionError", "closed before the end of the response",
      plain .. "/cut")
    fails("BoxdError", "not HTTP", plain .. "/garbage")
    fails("BoxdError", "longer than 67108864 bytes", plain .. "/endless")
    fails("BoxdError", "headers are longer", plain .. "/endless-headers")
  end)

  it("says that it can't connect", function()
    fails("ConnectionError", "127.0.0.1:1: ", "http://127.0.0.1:1/")
  end)

  it("refuses bad arguments before any call", function()
    fails("InvalidArgumentError", "only http and https", "ftp://127.0.0.1/")
    fails("InvalidArgumentError", "the URL is not", "127.0.0.1/x")
    fails("InvalidArgumentError", "the URL is not", "http://a b/")
    fails("InvalidArgumentError", "url has a NUL", "http://127.0.0.1/\0")
    fails("InvalidArgumentError", "url is missing", nil)
    fails("InvalidArgumentError", "did you mean 'headers'", plain,
      { header = {} })
    for _, headers in ipairs { { ["A"] = "b\r\nC: d" }, { ["A\n"] = "b" },
      { ["A:"] = "b" }, { ["A B"] = "c" }, { [""] = "c" }, { ["A"] = "\0" },
      { "A: b" }, { A = true }, { A = { {} } } } do
      fails("InvalidArgumentError", "header", plain, { headers = headers })
    end
    fails("InvalidArgumentError", "not an HTTP method", plain,
      { method = "G T" })
    fails("InvalidArgumentError", "HEAD", plain, { method = "HEAD", body = "" })
    fails("InvalidArgumentError", "timeout", plain, { timeout = -1 })
    fails("InvalidArgumentError", "max_redirects", plain,
      { max_redirects = 51 })
    assert.has_error(function() boxd.http.request(plain) end)
    assert.has_error(function() get(true) end)
  end)

  it("never shows a password of the URL", function()
    local err = fails("ConnectionError", "127.0.0.1:1",
      "http://user:secret@127.0.0.1:1/")
    assert.falsy(tostring(err):find("secret", 1, true))
  end)

  it("goes through the environment's proxy, but not to this machine", function()
    local function status(url, env)
      local result = program.lua { "-e",
        ("print(boxd.http.request{ url = %q }.status)"):format(url), env = env }
      return result.out .. result.err
    end
    local proxied = { http_proxy = other }
    assert.equal("200\n", status("http://192.0.2.1/echo", proxied))
    for _, env in ipairs { { http_proxy = "http://127.0.0.1:1" },
      { http_proxy = "http://127.0.0.1:1", no_proxy = "example.com" } } do
      assert.equal("200\n", status(plain .. "/echo", env))
      local url = plain:gsub("127%.0%.0%.1", "localhost")
      assert.equal("200\n", status(url .. "/echo", env))
    end
  end)

  it("lets other tasks run meanwhile", function()
    local counted, tasks = 0, {}
    boxd.run(function()
      for i = 1, 20 do
        tasks[i] = boxd.spawn(function()
          assert.equal(200, get(plain .. "/later").status)
          counted = counted + 1
        end)
      end
      assert.equal(0, counted)
      for i = 1, 20 do tasks[i]:join() end
    end)
    assert.equal(20, counted)
  end)

  it("ends as its task is cancelled", function()
    local task = boxd.spawn(get, plain .. "/silent")
    task:cancel()
    local ok, err = pcall(task.join, task)
    assert.is_false(ok)
    assert.is_true(boxd.is_error(err, boxd.CancelledError), tostring(err))
    ok, err = pcall(boxd.with_timeout, 0.05, get, plain .. "/silent")
    assert.is_false(ok)
    assert.is_true(boxd.is_error(err, boxd.TimeoutError), tostring(err))
    assert.equal(200, get(plain .. "/echo").status)
  end)

  -- Of no machine in /etc/hosts, and whatever asks the network for it waits.
  local UNKNOWN = [[
    set -e
    hostname boxd-nowhere
    ip link set lo up
    ip addr add 198.51.100.1/32 dev lo
    ip route add default dev lo src 198.51.100.1
    exec "$@"
  ]]

  it("keeps its time where the machine's own name is not known", function()
    local result = program.run { "unshare", "-rnu", "sh", "-c", UNKNOWN, "sh",
      program.boxdlua, "-e", [[
        local longest, last = 0, boxd.now()
        boxd.spawn(function()
          while true do
            boxd.sleep(0.01)
            longest, last = math.max(longest, boxd.now() - last), boxd.now()
          end
        end)
        print(pcall(boxd.http.request, { url = "http://127.0.0.1:1/", timeout = 1 }))
        boxd.sleep(0.02)
        print(longest < 3 and "in time" or longest)]] }
    assert.truthy(result.out:find("ConnectionError", 1, true),
      result.out .. result.err)
    assert.truthy(result.out:find("\nin time\n$"), result.out .. result.err)
  end)
end)
