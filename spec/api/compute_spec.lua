-- boxd.Compute: its options and methods.

local boxd = require "boxd"
local process = require "spec.support.process"
local program = require "spec.support.program"
local scripted = require "spec.support.scripted"

local failure, refused = scripted.failure, scripted.refused

local prints = program.prints

local function url(options, env)
  return prints(("print(boxd.Compute{%s}.api_url)"):format(options), env)
end

-- Prints two ports, and closes connections to them at once; the number of the port
-- is noted in a file.
local REFUSING = [[
import select, socket, sys
peers = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(p.getsockname()[1] for p in peers), flush=True)
with open(sys.argv[1], "w", 1) as seen:
    while True:
        for p in select.select(peers, [], [])[0]:
            p.accept()[0].close()
            print(peers.index(p) + 1, file=seen)
]]

describe("boxd.Compute", function()
  it("takes its endpoint from argument, environment, default", function()
    local env = { BOXD_API_URL = "http://env.example:1", BOXD_TOKEN = "t" }
    assert.equal("http://arg.example:2",
      url("api_url = 'http://arg.example:2'", env))
    assert.equal("http://env.example:1", url("", env))
    assert.equal("http://env.example:1", url("api_url = ''", env))
    assert.equal("https://boxd.sh:9443", url("", { BOXD_TOKEN = "t" }))
    assert.equal("https://boxd.sh:9443",
      url("", { BOXD_TOKEN = "t", BOXD_API_URL = "" }))
  end)

  it("takes BOXD_BASE_URL before BOXD_API_URL", function()
    assert.equal("http://base.example:3", url("", { BOXD_TOKEN = "t",
      BOXD_BASE_URL = "http://base.example:3",
      BOXD_API_URL = "http://env.example:1" }))
    assert.equal("http://env.example:1", url("", { BOXD_TOKEN = "t",
      BOXD_BASE_URL = "", BOXD_API_URL = "http://env.example:1" }))
    assert.equal("http://arg.example:2", url("api_url = 'http://arg.example:2'",
      { BOXD_TOKEN = "t", BOXD_BASE_URL = "http://base.example:3" }))
  end)

  it("derives from the endpoint where keys are exchanged", function()
    local addresses = require "boxd.core".addresses
    local function urls(options)
      local found = addresses(options).exchange_urls
      for n, u in ipairs(found) do
        found[n] = u:gsub("/api/v1/auth/token$", "")
      end
      return found
    end
    for api_url, expected in pairs {
      ["https://boxd.sh:9443"] = { "https://app.boxd.sh", "https://boxd.sh" },
      ["https://eu.example:9443"] =
        { "https://app.eu.example", "https://eu.example" },
      ["http://eu.example:9443"] =
        { "https://app.eu.example", "https://eu.example" },
      ["eu.example"] = { "https://app.eu.example", "https://eu.example" },
      ["https://app.eu.example:9443"] = { "https://app.eu.example:9443" },
      ["http://127.0.0.1:9443"] = { "http://127.0.0.1:9443" },
      ["https://10.0.0.1:9443"] = { "https://10.0.0.1:9443" },
      ["localhost:9443"] = { "http://localhost:9443" },
      ["http://[::1]:9443"] = { "http://[::1]:9443" },
    } do
      assert.same(expected, urls { api_url = api_url }, api_url)
    end
    assert.same({ "https://x.example/y" }, urls { exchange_url =
      "https://x.example/y", api_url = "https://eu.example" })
    assert.equal("https://e.example/z", prints([[
      local urls = require "boxd.core".addresses {}.exchange_urls
      print(table.concat(urls, " "))]], {
      BOXD_BASE_URL = "https://eu.example",
      BOXD_EXCHANGE_URL = "https://e.example/z" }))
  end)

  it("reads plaintext and TLS off the endpoint", function()
    for text, expected in pairs {
      ["http://h.example:1"] = "http://h.example:1",
      ["https://h.example:1"] = "https://h.example:1",
      ["h.example:1"] = "https://h.example:1",
      ["localhost:1"] = "http://localhost:1",
      ["127.0.0.1:1"] = "http://127.0.0.1:1",
      ["127.9.9.9:1"] = "http://127.9.9.9:1",
      ["[::1]:1"] = "http://[::1]:1",
      ["[::2]:1"] = "https://[::2]:1",
      ["http://h.example"] = "http://h.example:80",
      ["https://h.example"] = "https://h.example:443",
      ["h.example"] = "https://h.example:9443",
    } do
      local c <close> = boxd.Compute { token = "t", api_url = text }
      assert.equal(expected, c.api_url)
      assert.equal("boxd.Compute (" .. expected .. ")", tostring(c))
    end
  end)

  it("refuses an invalid endpoint without showing a secret in it", function()
    for _, text in ipairs { "ftp://h", "h:0", "h:65536", "http://", "h:x",
      "http://me:hush@h:1" } do
      local e = failure(boxd.Compute, { token = "t", api_url = text })
      assert.equal("InvalidArgumentError", e.class)
      assert.falsy(tostring(e):find("hush", 1, true))
    end
    for _, text in ipairs { "boxd.sh/token", "ftp://h", "http://", "x" } do
      local e = failure(boxd.Compute, { token = "t", exchange_url = text })
      assert.equal("InvalidArgumentError", e.class)
      assert.matches("exchange_url", e.message)
    end
  end)

  it("raises AuthenticationError without credentials, off the network",
    function()
      local e = failure(boxd.Compute)
      assert.equal("AuthenticationError", e.class)
      assert.matches("BOXD_API_KEY", e.message)
      assert.is_nil(e.grpc_code)
      e = failure(boxd.Compute, { token = "", api_key = "" })
      assert.equal("AuthenticationError", e.class)
      local script = [[print(select(2, pcall(boxd.Compute)).class)]]
      assert.equal("AuthenticationError", prints(script, {}))
      assert.equal("AuthenticationError",
        prints(script, { BOXD_TOKEN = "", BOXD_API_KEY = "" }))
    end)

  it("never touches the network by itself", function()
    local started = boxd.now()
    for _, options in ipairs {
      { token = "t", api_url = "http://nowhere.invalid:1" },
      { api_key = "k", api_url = "http://192.0.2.1:1",
        exchange_url = "http://192.0.2.1:1/x" },
      { token = "t", ca_file = "/nonexistent" },
    } do
      local c <close> = boxd.Compute(options)
      assert.truthy(c.box)
    end
    assert.is_true(boxd.now() - started < 5)
    assert.equal("yes", prints([[
      print(pcall(boxd.Compute) and "yes")]], { BOXD_VM_ID = "vm" }))
  end)

  it("has the defaults that API.md names", function()
    assert.equal("60.0 https://boxd.sh:9443 https://app.boxd.sh"
      .. "/api/v1/auth/token", prints([[
      local c = boxd.Compute { api_key = "k", api_url = "" }
      print(c.timeout, c.api_url,
        require "boxd.core".addresses {}.exchange_urls[1])]]):gsub("\t", " "), "")
    local tries = 0
    local made <close> = scripted.start({ GetConfig = function(_, call)
      tries = tries + 1
      call:finish("UNAVAILABLE", "not now")
    end })
    assert.equal("ConnectionError", failure(made.c.config, made.c).class)
    assert.equal(1 + 2, tries)
  end)

  it("has one client's options only, naming the nearest", function()
    for wrong, near in pairs { api_kee = "api_key", tokn = "token",
      apiurl = "api_url", exchange_uri = "exchange_url", timeoutt = "timeout",
      max_retry = "max_retries", keep_alive = "keepalive", cafile = "ca_file"
    } do
      local e = failure(boxd.Compute, { token = "t", [wrong] = "x" })
      assert.equal("InvalidArgumentError", e.class)
      assert.matches("'" .. wrong .. "'", e.message)
      assert.matches("did you mean '" .. near .. "'", e.message)
    end
    assert.matches("'insecure'",
      failure(boxd.Compute, { token = "t", insecure = true }).message)
  end)

  it("checks the type and the range of each option", function()
    for _, name in ipairs { "token", "api_key", "api_url", "exchange_url",
      "ca_file" } do
      assert.matches("'" .. name .. "' to 'Compute' %(string expected, got bool",
        refused(boxd.Compute, { token = "t", [name] = true }))
    end
    assert.matches("'timeout'", refused(boxd.Compute,
      { token = "t", timeout = "60" }))
    assert.matches("'max_retries'", refused(boxd.Compute,
      { token = "t", max_retries = "2" }))
    assert.matches("'keepalive'", refused(boxd.Compute,
      { token = "t", keepalive = "2" }))
    for _, options in ipairs { { timeout = 0 }, { timeout = -1 },
      { timeout = 0 / 0 }, { max_retries = -1 }, { max_retries = 5 },
      { max_retries = 1.5 }, { keepalive = -1 }, { keepalive = 0 / 0 } } do
      options.token = "t"
      assert.equal("InvalidArgumentError",
        failure(boxd.Compute, options).class)
    end
    for _, options in ipairs { { timeout = 0.5 }, { max_retries = 0 },
      { max_retries = 4 }, { keepalive = 0 }, { timeout = math.huge } } do
      options.token = "t"
      boxd.Compute(options):close()
    end
    for _, name in ipairs { "token", "api_key", "api_url", "exchange_url",
      "ca_file" } do
      assert.matches("NUL", failure(boxd.Compute,
        { token = "t", [name] = "http://a\0b" }).message)
    end
    assert.matches("unknown option",
      failure(boxd.Compute, { token = "t", ["timeout\0"] = 1 }).message)
    assert.matches("bad argument #1 to 'Compute' %(table expected, got string",
      refused(boxd.Compute, "bxk_key"))
  end)
end)

describe("a Compute", function()
  it("returns the account and its place", function()
    local s <close> = scripted.start {
      Whoami = { user_id = "u1", pubkey_fingerprints = { "SHA256:a" },
        default_network_id = "n1", display_name = "Ann" },
      GetConfig = { default_image = "ubuntu:24.04", zone = "eu" },
    }
    local me = s.c:whoami()
    assert.same({ "u1", { "SHA256:a" }, "n1", "Ann" },
      { me.user_id, me.fingerprints, me.default_network_id, me.display_name })
    assert.is_nil(me.pubkey_fingerprints)
    local config = s.c:config()
    assert.equal("ubuntu:24.04", config.default_image)
    assert.equal("eu", config.zone)
  end)

  it("reads what the server left unset by its kind", function()
    local s <close> = scripted.start { Whoami = {}, GetVm = {},
      DownloadFile = {}, ListVms = {}, SuspendVm = {} }
    local me = s.c:whoami()
    assert.is_nil(me.user_id)            -- text
    assert.is_nil(me.billing)            -- a message
    assert.same({}, me.fingerprints)     -- a list
    local vm = s.c:call("GetVm", { vm_id = "x" })
    assert.same({}, vm.labels)           -- a map
    assert.equal(0, vm.disk_bytes)       -- a number
    assert.is_false(vm.isolated)         -- a boolean
    assert.equal("", s.c:call("DownloadFile", {}).data) -- bytes
    assert.same({}, s.c.box:list())
  end)

  it("has 64-bit integers both ways", function()
    local s <close> = scripted.start {
      ResizeVm = function(request) return { memory_bytes = request.memory_bytes }
      end,
      GetVm = { vm_id = "x", disk_bytes = math.maxinteger,
        created_at = math.mininteger },
      CreateDisk = function(request)
        return { disk_id = "d", size_bytes = request.size_bytes }
      end,
    }
    local vm = s.c:call("GetVm", {})
    assert.equal(math.maxinteger, vm.disk_bytes)
    assert.equal("integer", math.type(vm.disk_bytes))
    assert.equal(math.mininteger, vm.created_at)
    assert.equal(math.maxinteger, s.c.disk:create("d", math.maxinteger).size_bytes)
  end)

  it("refuses text that is not UTF-8 or has a NUL, naming the field",
    function()
      local s <close> = scripted.start {}
      local e = failure(s.c.call, s.c, "GetVm", { vm_id = "a\0b" })
      assert.equal("InvalidArgumentError", e.class)
      assert.matches("vm_id", e.message)
      e = failure(s.c.box.get, s.c.box, "\xff")
      assert.equal("InvalidArgumentError", e.class)
      assert.matches("vm_id", e.message)
      assert.equal(0, s:count())
    end)

  it("calls any RPC of the contract by name", function()
    local s <close> = scripted.start {
      SuggestVmName = { name = "sunny-otter" },
      StreamLogs = function(_, call)
        for i = 1, 3 do call:send { data = tostring(i) } end
        call:finish()
      end,
    }
    assert.equal("sunny-otter", s.c:call("SuggestVmName").name)
    assert.equal("sunny-otter", s.c:call("SuggestVmName", {},
      { timeout = 5 }).name)
    local got = {}
    for message in s.c:stream("StreamLogs", { vm_id = "x" }) do
      got[#got + 1] = message.data
    end
    assert.same({ "1", "2", "3" }, got)
  end)

  it("names the RPC nearest to one that is not there", function()
    local s <close> = scripted.start {}
    for _, method in ipairs { "call", "stream" } do
      local e = failure(s.c[method], s.c, "GetWm", {})
      assert.equal("InvalidArgumentError", e.class)
      assert.matches("did you mean 'GetVm'", e.message)
    end
    assert.equal("InvalidArgumentError",
      failure(s.c.call, s.c, "GetVm\0", {}).class)
    assert.matches("call stream", failure(s.c.call, s.c, "Exec", {}).message)
    assert.matches("use call", failure(s.c.stream, s.c, "GetVm", {}).message)
    local e = failure(s.c.call, s.c, "GetVm", { vm_ids = "x" })
    assert.matches("vm_ids", e.message)
    assert.matches("vm_id'", e.message)
  end)

  it("leaves a stream early, which ends the call", function()
    local ended
    local s <close> = scripted.start {
      StreamLogs = function(_, call)
        while pcall(call.send, call, { data = "x" }) do boxd.sleep(0.001) end
        ended = true
      end,
    }
    for _ in s.c:stream("StreamLogs", {}) do break end -- luacheck: ignore 512
    local until_ = boxd.now() + 5
    while not ended and boxd.now() < until_ do boxd.sleep(0.005) end
    assert.is_true(ended)
  end)

  it("refuses wrong types at the script's line", function()
    local s <close> = scripted.start {}
    local c = s.c
    local line = debug.getinfo(1, "l").currentline + 1
    local e = refused(function() c:call(nil) end)
    assert.equal("compute_spec.lua:" .. line, e:match "(compute_spec%.lua:%d+):")
    assert.matches("bad argument #1 to 'call' %(string expected, got nil%)", e)
    assert.matches("#2 to 'call' %(table expected, got number",
      refused(c.call, c, "GetVm", 1))
    assert.matches("#3 to 'call' %(table expected, got string",
      refused(c.call, c, "GetVm", {}, "5"))
    assert.matches("#1 to 'whoami' %(table expected, got string",
      refused(c.whoami, c, "x"))
    assert.matches("#1 to 'config'", refused(c.config, c, true))
    assert.matches("#1 to 'stream'", refused(c.stream, c, {}))
    assert.matches("#2 to 'stream'", refused(c.stream, c, "StreamLogs", 1))
  end)

  it("gives each call its time, or its own", function()
    local s <close> = scripted.start({ Whoami = {} }, { timeout = 30 })
    s.c:whoami()
    assert.is_true(math.abs(s.seen[1].deadline - 30) < 5)
    s.c:whoami { timeout = 7 }
    assert.is_true(math.abs(s.seen[2].deadline - 7) < 2)
    local d <close> = boxd.Compute { token = "t", api_url = s.address }
    d:whoami()
    assert.is_true(math.abs(s.seen[3].deadline - 60) < 5)
    assert.equal("InvalidArgumentError",
      failure(s.c.whoami, s.c, { timeout = 0 }).class)
    assert.matches("'timeout' to 'whoami'",
      refused(s.c.whoami, s.c, { timeout = "1" }))
  end)

  it("is closed once, and ends its calls", function()
    local s <close> = scripted.start { Whoami = function(_, call)
      call:recv() -- until the client has gone
      boxd.sleep(30)
    end }
    local waiting = boxd.spawn(s.c.whoami, s.c)
    local until_ = boxd.now() + 5
    while s:count() == 0 and boxd.now() < until_ do boxd.sleep(0.005) end
    s.c:close()
    s.c:close()
    local e = failure(waiting.join, waiting)
    assert.equal("CancelledError", e.class)
    for _, f in ipairs { s.c.whoami, s.c.config } do
      e = failure(f, s.c)
      assert.equal("CancelledError", e.class)
      assert.matches("closed", e.message)
    end
    assert.matches("closed", failure(s.c.box.list, s.c.box).message)
    assert.matches("closed", failure(s.c.stream, s.c, "StreamLogs", {}).message)
  end)

  it("connects no more once it is closed", function()
    local seen = os.tmpname()
    local peer = process.start { "/usr/bin/python3", "-c", REFUSING, seen }
    local clients = {}
    for port in peer:line():gmatch "%d+" do
      local c = boxd.Compute { token = "t", max_retries = 0,
        api_url = "http://127.0.0.1:" .. port }
      assert.equal("ConnectionError", failure(c.whoami, c).class)
      clients[#clients + 1] = c
    end
    -- How often each of them has connected.
    local function count()
      local counts = { 0, 0 }
      for line in io.lines(seen) do
        counts[tonumber(line)] = counts[tonumber(line)] + 1
      end
      return counts
    end
    clients[1]:close()
    local before = count()
    local now
    local until_ = boxd.now() + 20
    repeat -- the other one tries again, first after a second
      boxd.sleep(0.02)
      now = count()
    until now[2] >= before[2] + 2 or boxd.now() > until_
    clients[2]:close()
    peer:stop()
    os.remove(seen)
    assert.truthy(now[2] >= before[2] + 2)
    assert.equal(before[1], now[1])
  end)

  it("closes as a to-be-closed variable", function()
    local kept
    do
      local c <close> = boxd.Compute { token = "t", api_url = "127.0.0.1:1" }
      kept = c
    end
    assert.matches("closed", failure(kept.whoami, kept).message)
  end)

  it("has one object a service, and nothing under other names", function()
    local c <close> = boxd.Compute { token = "t" }
    for _, name in ipairs { "box", "template", "disk", "domain", "network",
      "token", "api_key" } do
      assert.equal("userdata", type(c[name]))
      assert.equal(c[name], c[name])
      assert.matches("^boxd%.", tostring(c[name]))
    end
    assert.matches("Compute has no field or method 'boxes' %(did you mean "
      .. "'box'%?%)", select(2, pcall(function() return c.boxes end)))
  end)

  it("shows no secret", function()
    for _, options in ipairs { { token = "hush-token" },
      { api_key = "hush-key" } } do
      local c <close> = boxd.Compute(options)
      for k, v in pairs(c) do
        assert.falsy((tostring(k) .. tostring(v)):find "hush")
      end
      assert.falsy(tostring(c):find "hush")
    end
  end)
end)
