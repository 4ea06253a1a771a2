-- boxd.local.front, boxd.local.domains, and what clients without a token can do
-- to the service.

local boxd = require "boxd"
local front = require "boxd.local.front"
local program = require "spec.support.program"
local serve = require "boxd.serve"
local support = require "spec.support.service"

local PYTHON = "/usr/bin/python3"

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

  it("keeps the traceback of a bug for the log, and off the wire", function()
    local reply
    local log = captured(function() reply = exchange() end)
    assert.matches("a bug\nstack traceback", log)
    assert.is_nil(reply.body:find "a bug")
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

  it("ends a reflection call whose request is no message", function()
    assert.matches("^INVALID_ARGUMENT ", stranger("call",
      "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"))
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
      assert.is_true(boxd.now() - began < 5)
      for _, task in ipairs(tasks) do task:cancel() end
      -- Those that have left make room for others.
      support.eventually(function()
        local ok, reply = pcall(ask, "mute", "/", 0.5)
        return not ok or reply.status ~= 503
      end, 20)
    end)

  it("bounds the headers of a box's answer, and stalls nobody meanwhile",
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
      assert.is_true(slowest < 1, slowest)
    end)
end)
