-- Addresses where no boxd service answers: a clear error soon, and the
-- process goes on.

local boxd = require "boxd"
local process = require "spec.support.process"
local scripted = require "spec.support.scripted"

-- Listens and answers each connection with `reply`, or says nothing at all.
local PEER = [[
import socket, sys, threading, time
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(50)
print(s.getsockname()[1], flush=True)
reply = sys.argv[1].encode().decode("unicode_escape").encode("latin-1")
def serve(c):
    if reply:
        c.recv(100); c.sendall(reply); c.close()
    else:
        time.sleep(60)
while True:
    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
]]

describe("an address where no boxd service answers", function()
  local function fails(timeout, url, ...)
    local started = boxd.now()
    local c <close> = boxd.Compute { token = scripted.TOKEN, api_url = url,
      timeout = timeout }
    local e = scripted.failure(c.whoami, c)
    local took = boxd.now() - started
    assert.is_true(took < math.min(timeout + 10, 20), url .. " took " .. took)
    local allowed = {}
    for _, class in ipairs { ... } do allowed[class] = true end
    assert.is_true(allowed[e.class], tostring(e))
    assert.equal("Whoami", e.method)
    assert.truthy(#e.message > 10)
    return e
  end

  -- It is refused at once, which a busy machine may see late.
  it("is not there: the error names it", function()
    assert.matches("127.0.0.1:1", fails(60, "http://127.0.0.1:1",
      "ConnectionError").message, 1, true)
    fails(60, "https://127.0.0.1:1", "ConnectionError")
  end)

  it("has no such host", function()
    assert.matches("nowhere.invalid", fails(1, "http://nowhere.invalid:1",
      "ConnectionError", "TimeoutError").message, 1, true)
  end)

  for what, reply in pairs {
    ["an HTTP/1.1 server"] = "HTTP/1.1 404 Not Found\\r\\n"
      .. "Content-Length: 0\\r\\n\\r\\n",
    ["garbage"] = "\\x00\\xff garbage that is no HTTP/2 at all \\x80",
    ["silence"] = "",
  } do
    it("has " .. what, function()
      local peer = process.start { "/usr/bin/python3", "-c", PEER, reply }
      finally(function() peer:stop() end)
      local port = peer:line()
      fails(1, "http://127.0.0.1:" .. port, "ConnectionError", "TimeoutError")
      fails(1, "https://127.0.0.1:" .. port, "ConnectionError", "TimeoutError")
    end)
  end
end)
