-- One port for gRPC and HTTP, as raw bytes meet it.

local boxd = require "boxd"
local bare = require "spec.support.bare"
local process = require "spec.support.process"
local program = require "spec.support.program"

local function server(seconds, before)
  local self = process.start{"sh", "-c",
    (before or ":") .. "; exec " .. program.boxdlua
      .. " spec/support/echo.lua " .. (seconds or "")}
  return self, self:line()
end

local function raw(address, bytes, how)
  local result = program.run{"/usr/bin/python3", "-S", "-E",
    "spec/support/raw.py", address, how, stdin = bytes}
  assert.equal("", result.err)
  return result.out
end

-- The answer in a crowd, how many of the crowd remain, the answer after it.
local function crowd(address, n, pause)
  local result = program.run{"/usr/bin/python3", "-S", "-E",
    "spec/support/raw.py", address, "crowd", tostring(n), pause}
  assert.equal("", result.err)
  local first, left, second = result.out:match("^(.-)\n(%d+)\n(.-)\n$")
  return first, tonumber(left), second
end

-- Processor seconds that a process has used.
local function used(pid)
  local file = assert(io.open("/proc/" .. pid .. "/stat"))
  local user, system = file:read("a"):match("%)" .. (" %S+"):rep(11)
    .. " (%d+) (%d+)")
  file:close()
  return (user + system) / 100
end

describe("the port", function()
  local helper, address

  setup(function() helper, address = server() end)
  teardown(function() helper:stop() end)

  local function status(request, how)
    return tonumber(raw(address, request, how):match("^HTTP/1.1 (%d+) "))
  end

  it("answers an HTTP request and closes", function()
    assert.equal(table.concat({"HTTP/1.1 201 Created", "Connection: close",
      "Content-Length: 52", "Content-Type: text/plain", "",
      "POST /a/b x=1&y\ncontent-length=3\nhost=h\nx=1, 2\n3:abc"}, "\r\n"),
      raw(address, "POST /a/b?x=1&y HTTP/1.1\r\nHost: h\r\nX: 1\r\nx:2 \r\n"
        .. "Content-Length: 3\r\n\r\nabc"))
  end)

  it("takes a request byte by byte, and one that is half-closed", function()
    local request = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
    assert.equal(201, status(request, "slow"))
    assert.equal(201, status(request, "half"))
  end)

  it("answers one request only", function()
    local one = "GET /short HTTP/1.1\r\nHost: h\r\n\r\n"
    local answer = raw(address, one .. one)
    assert.equal(1, select(2, answer:gsub("HTTP/1.1 200 OK", "")))
    assert.matches("X%-A: b\r\n\r\nx$", answer)
  end)

  it("sends no body to HEAD", function()
    assert.matches("Content%-Length: 1\r\n.*\r\n\r\n$",
                   raw(address, "HEAD /short HTTP/1.1\r\nHost: h\r\n\r\n"))
  end)

  it("answers 500 for a request that was forgotten", function()
    assert.equal(500, status("GET /forget HTTP/1.1\r\nHost: h\r\n\r\n"))
  end)

  it("takes bodies of up to 64 KiB", function()
    local head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s"
    local most = ("x"):rep(65536)
    local answer = raw(address, head:format(#most, most))
    assert.equal("65536:" .. most, answer:match("65536:x+$"))
    assert.equal(413, status(head:format(#most + 1, most .. "x")))
    assert.equal(413, status(head:format(1 << 20, ("x"):rep(1 << 20))))
    assert.equal(413, status((head:format(0, "")
      :gsub(": 0", ": 99999999999999999999999999"))))
  end)

  local host = "\r\nHost: h\r\n"
  for request, expected in pairs{
    ["GET / HTTP/1.1" .. host .. "\r\n"] = 201,
    ["GET / HTTP/1.0\r\nA:b\r\n\r\n"] = 201,
    ["GET / HTTP/1.1\r\nA: b\r\n\r\n"] = 400, -- no Host
    ["GET / HTTP/1.1\r\nHost: a" .. host .. "\r\n"] = 400,
    ["GET / HTTP/2.0" .. host .. "\r\n"] = 505,
    ["GET / HTTP/1.1x" .. host .. "\r\n"] = 400,
    ["GET /a b HTTP/1.1" .. host .. "\r\n"] = 400,
    ["GET  / HTTP/1.1" .. host .. "\r\n"] = 400,
    ["GET /\1 HTTP/1.1" .. host .. "\r\n"] = 400,
    ["GET http://h/ HTTP/1.1" .. host .. "\r\n"] = 400,
    ["G\0T / HTTP/1.1" .. host .. "\r\n"] = 400,
    ["\r\n\r\nGET / HTTP/1.1" .. host .. "\r\n"] = 400,
    ["GET / HTTP/1.1\nHost: h\n\n       "] = 400,
    ["GET / HTTP/1.1\rHost: h\r\n\r\n"] = 400,
    ["GET / HTTP/1.1" .. host .. " folded\r\n\r\n"] = 400,
    ["GET / HTTP/1.1" .. host .. "A : b\r\n\r\n"] = 400,
    ["GET / HTTP/1.1" .. host .. "no colon\r\n\r\n"] = 400,
    ["GET / HTTP/1.1" .. host .. "A: \0\r\n\r\n"] = 400,
    ["POST / HTTP/1.1" .. host .. "\r\n"] = 411,
    ["POST / HTTP/1.1" .. host .. "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"] = 501,
    ["POST / HTTP/1.1" .. host
      .. "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\na"] = 400,
    ["POST / HTTP/1.1" .. host .. "Content-Length: 1\r\nContent-Length: 1\r\n\r\na"] = 400,
    ["POST / HTTP/1.1" .. host .. "Content-Length: +1\r\n\r\na"] = 400,
    ["POST / HTTP/1.1" .. host .. "Content-Length: 0x1\r\n\r\na"] = 400,
    ["POST / HTTP/1.1" .. host .. "Content-Length:\r\n\r\na"] = 400,
    ["POST / HTTP/1.1" .. host .. "Content-Length: 1\r\nExpect: 100-continue\r\n\r\n"] = 417,
    [("X"):rep(17) .. " / HTTP/1.1" .. host .. "\r\n"] = 501,
    ["GET /" .. ("a"):rep(9000) .. " HTTP/1.1" .. host .. "\r\n"] = 414,
    ["GET / HTTP/1.1" .. host .. "A: " .. ("a"):rep(9000) .. "\r\n\r\n"] = 431,
    ["GET / HTTP/1.1" .. host .. ("A: b\r\n"):rep(64) .. "\r\n"] = 431,
    ["GET / HTTP/1.1" .. host .. ("A: b\r\n"):rep(63) .. "\r\n"] = 201,
    ["\22\3\1\2\0\1\0\1\252\3\3abcdefghijkl\r\n"] = 400, -- TLS
  } do
    it(("answers %d to %q"):format(expected, request:sub(1, 60)), function()
      assert.equal(expected, status(request))
    end)
  end

  it("survives nonsense", function()
    for _, bytes in ipairs{"", "P", "PRI", "PRI * HTTP/2.0\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense and more of it, and more",
        ("\0"):rep(5000)} do
      raw(address, bytes, "half")
    end
    assert.equal(201, status("GET / HTTP/1.1\r\nHost: h\r\n\r\n"))
  end)

  it("passes the peer's address to gRPC calls", function()
    local client <close> = bare{api_url = "http://" .. address, token = "t"}
    local reply = client:call("GetVm", {vm_id = "x"}, 10)
    assert.equal("x", reply.vm_id)
    assert.matches("^127%.0%.0%.1:%d+$", reply.name)
  end)

  it("serves others while many connections say nothing", function()
    local first, left, second = crowd(address, 300)
    assert.equal("HTTP/1.1 201 Created", first)
    -- 256 at most, one of which was the one that asked.
    assert.is_true(left >= 200 and left <= 255, left)
    assert.equal("HTTP/1.1 201 Created", second)
  end)
end)

-- Today's gRPC tells connections apart by where they come from.
it("serves one of two connections from the same address and port", function()
  local helper, address = server("10 0.0.0.0:0")
  finally(function() helper:stop() end)
  assert.equal("True\nFalse\n", raw(address, "", "twins"))
end)

describe("a port with little time", function()
  it("answers 408 to the slow and closes the silent", function()
    local helper, address = server(0.2)
    finally(function() helper:stop() end)
    local start = boxd.now()
    assert.matches("^HTTP/1.1 408 Request Timeout\r\n",
      raw(address, "GET / HTTP/1.1\r\nHost"))
    assert.equal("<reset>", raw(address, "P"))
    assert.equal("", raw(address, ""))
    assert.is_true(boxd.now() - start < 9)
  end)
end)

describe("a port without descriptors", function()
  it("waits for some, idle", function()
    local helper, address = server(nil, "ulimit -n 48")
    finally(function() helper:stop() end)
    local before = used(helper.pid)
    local first, _, second = crowd(address, 60, "1")
    assert.equal("not asked", first)
    assert.equal("HTTP/1.1 201 Created", second)
    assert.is_true(used(helper.pid) - before < 0.3)
  end)
end)
