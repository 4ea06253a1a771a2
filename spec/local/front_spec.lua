-- boxd.local.front, boxd.local.domains, and what clients without a token can do
-- to the service.

local boxd = require "boxd"
local bare = require "spec.support.bare"
local front = require "boxd.local.front"
local program = require "spec.support.program"
local serve = require "boxd.serve"
local support = require "spec.support.service"

local PYTHON = "/usr/bin/python3"
local REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"

-- MiB that a process has had at most.
local function peak(pid)
  for line in io.lines("/proc/" .. pid .. "/status") do
    local kib = line:match "^VmHWM:%s*(%d+)"
    if kib then return kib // 1024 end
  end
end

-- What fn writes to stderr.
local function captured(fn)
  local path = os.tmpname()
  local f = assert(io.open(path, "w"))
  local stderr = io.stderr
  io.stderr = f -- luacheck: ignore 122
  local ok, e = pcall(fn)
  io.stderr = stderr -- luacheck: ignore 122
  f:close()
  f = assert(io.open(path))
  local text = f:read "a"
  f:close()
  os.remove(path)
  assert(ok, e)
  return text
end

describe("the HTTP front", function()
  local server, parts

  before_each(function()
    server = serve.listen()
    parts = { domains = { box_of = function() end }, idle = {},
      account = { exchange = function() error "a bug" end } }
    boxd.spawn(function()
      for request in function() return server:request() end do
        boxd.spawn(front.answer, parts, request)
      end
    end)
  end)
  after_each(function() server:close() end)

  local function exchange()
    return boxd.http.request { method = "POST", timeout = 5, body = "{}",
      url = "http://" .. server.address .. "/api/v1/auth/token" }
  end

  for what, raised in pairs { ["a text"] = "a bug", ["a table"] = {},
    ["a refusal"] = boxd.json.null } do
    it("answers 500 at once, and logs it, when a handler raises " .. what,
      function()
        parts.account.exchange = function() error(raised) end
        local log = captured(function()
          assert.equal(500, exchange().status)
        end)
        assert.matches("^boxdlua %-%-serve: HTTP: POST /api/v1/auth/token: ",
          log)
      end)
  end

  it("shows names in its log, and sends a terminal nothing to obey", function()
    parts.account.exchange = function() error "a\27[2J\u{9b}\255 \u{e9}" end
    assert.matches("a\\x1b%[2J\\xc2\\x9b\\xff \\xc3\\xa9\n", captured(exchange))
    parts.account.exchange = function() error "\27 \u{e9}" end
    assert.matches("\\x1b \u{e9}\n", captured(exchange))
  end)

  it("keeps the traceback of a bug for the log, and off the wire", function()
    local reply
    local log = captured(function() reply = exchange() end)
    assert.matches("a bug\nstack traceback", log)
    assert.is_nil(reply.body:find "a bug")
  end)
end)

describe("a server that wants tokens", function()
  -- Where two calls of one client come from, with a time of silence between them.
  local function serving(server, admit)
    boxd.spawn(function()
      for call in function() return server:accept() end do
        local c <close> = call
        if admit then c:admit() end
        c:recv()
        c:send { name = c.peer }
        c:finish()
      end
    end)
    local client <close> = bare{
      api_url = "http://" .. server.address, token = "t" }
    -- On a busy machine the time may be over before its first call is there.
    local function peer()
      local ok, result
      support.eventually(function()
        ok, result = pcall(client.call, client, "GetVm", { vm_id = "x" }, 5)
        return ok or not boxd.is_error(result, boxd.ConnectionError)
      end)
      return ok and result.name or error(result, 0)
    end
    local first = peer()
    boxd.sleep(0.6)
    return first, peer()
  end

  it("ends connections that are without a call for its time", function()
    local server <close> = serve.listen { http_seconds = 0.2, tokens = true }
    local first, second = serving(server, false)
    assert.not_equal(first, second)
  end)

  it("keeps those that have shown one", function()
    local server <close> = serve.listen { http_seconds = 0.2, tokens = true }
    local first, second = serving(server, true)
    assert.equal(first, second)
  end)
end)

describe("the embedded service among strangers", function()
  local service, compute, call = support.of_block()

  local function address() return service.api_url:match "//(.*)" end

  -- What a stranger prints.
  local function stranger(...)
    local result = program.run { PYTHON, "spec/support/strangers.py", address(),
      ... }
    assert.equal("", result.err)
    return result.out
  end

  it("ends a reflection call whose request is not a message", function()
    assert.matches("^INVALID_ARGUMENT ", stranger("call", REFLECTION))
  end)

  for what, path in pairs { reflection = REFLECTION,
    ["a call"] = "/boxd.api.v1.BoxdApi/UploadFile" } do
    it("keeps nothing of a long request to " .. what .. " without a token",
      function()
        local before = peak(service.pid)
        local out = stranger("weigh", path, "60000000", "4")
        local _, refused = out:gsub("UNAUTHENTICATED no token", "")
        local _, long = out:gsub("RESOURCE_EXHAUSTED a request without", "")
        assert.equal(4, refused + long, out)
        assert.is_true(peak(service.pid) - before < 24)
      end)
  end

  it("takes a reflection request of 60 KiB without a token", function()
    assert.equal("OK\n", stranger("weigh", REFLECTION, "60000", "1"))
  end)

  -- A box with a server that takes connections on port 8000 and does nothing.
  local function silent_box(name)
    local box = compute.box:create(name)
    box:sh [[cat > /tmp/s.py <<'X'
import socket, time
s = socket.create_server(("0.0.0.0", 8000), backlog=1024)
open("/tmp/up", "w")
held = []
while True:
    c, _ = s.accept()
    head = c.recv(65536)
    if b"/headers" in head:
        c.sendall(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * (10 << 20))
        c.close()
    held.append(c)
    open("/tmp/held", "w").write(str(len(held)))
X
setsid python3 /tmp/s.py >/dev/null 2>&1 </dev/null &
for i in $(seq 200); do [ -e /tmp/up ] && exit; sleep 0.05; done; exit 1]]
    call("BindDomain", { vm_id = box.id, domain = name .. ".example.com" })
    return box
  end

  local function ask(name, path, timeout)
    return boxd.http.request { url = service.api_url .. path, timeout = timeout,
      headers = { Host = name .. ".example.com" } }
  end

  it("lets others in while a bound domain has more requests than it answers",
    function()
      silent_box "mute"
      local refused = 0
      local tasks = {}
      for i = 1, 300 do
        tasks[i] = boxd.spawn(function()
          local ok, reply = pcall(ask, "mute", "/", 30)
          if ok and reply.status == 503 then refused = refused + 1 end
        end)
      end
      support.eventually(function() return refused >= 200 end, 20)
      local began = boxd.now()
      local other <close> = service:connect()
      assert.equal("local", other:whoami().user_id)
      assert.is_true(boxd.now() - began < 20)
      for _, task in ipairs(tasks) do task:cancel() end
      -- Those that have left make room for others.
      support.eventually(function()
        local ok, reply = pcall(ask, "mute", "/", 0.5)
        return not ok or reply.status ~= 503
      end, 20)
    end)

  it("bounds the headers of a box's answer, and serves other calls meanwhile",
    function()
      silent_box "loud"
      local codes = boxd.spawn(function()
        return boxd.map({ 1, 2, 3, 4, 5, 6, 7, 8 }, function()
          return ask("loud", "/headers", 30).status
        end)
      end)
      local slowest, ticks = 0, 0
      while codes.status ~= "done" and ticks < 50 do
        local began = boxd.now()
        compute:whoami()
        slowest = math.max(slowest, boxd.now() - began)
        ticks = ticks + 1
        boxd.sleep(0.02)
      end
      for _, code in ipairs(codes:join()) do assert.equal(502, code) end
      assert.is_true(slowest < 5, slowest)
    end)
end)

describe("the embedded service with few descriptors", function()
  -- An ordinary one has 1,024, which it may not raise.
  local service, compute = support.of_block { before = "ulimit -n 200" }

  it("goes on, with all boxes, when it has none left for a command", function()
    local box = compute.box:create()
    local codes, tasks = {}, {}
    for i = 1, 100 do
      tasks[i] = boxd.spawn(function()
        local ok, e = pcall(box.sh, box, "sleep 1")
        local code = ok and "OK" or e.code
        codes[code] = (codes[code] or 0) + 1
      end)
    end
    for _, task in ipairs(tasks) do task:join() end
    assert.is_true(codes.OK > 20)
    assert.is_true(codes.RESOURCE_EXHAUSTED > 0)
    assert.equal(100, codes.OK + codes.RESOURCE_EXHAUSTED)
    assert.equal("still here\n", box:sh("echo still here").stdout)
    -- Those that were refused do not run.
    support.eventually(function()
      return box:sh("pgrep -c sleep || true").stdout == "0\n"
    end)
  end)

  for how, n in pairs { hold = 400, silent = 400 } do
    it("lets others in while a crowd has shown no token: " .. how, function()
      local said = service.folder .. "/" .. how
      local crowd <close> = assert(io.popen(("%s spec/support/strangers.py %s %s "
        .. "%d >%s"):format(PYTHON, service.api_url:match "//(.*)", how, n, said),
        "w"))
      support.eventually(function()
        local f <close> = io.open(said)
        return f and f:read() == "held"
      end)
      -- One that comes while the crowd does may have to come again.
      support.eventually(function()
        local other <close> = service:connect()
        return pcall(other.whoami, other)
      end)
      crowd:close()
      -- At the end, when they have had the time of a handshake, or before.
    end)
  end
end)
