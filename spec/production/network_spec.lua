-- The lines of "Network" in the known facts of boxd.sh as it runs, which a
-- client of the embedded service can show.

local boxd = require "boxd"
local calls = require "spec.support.calls"
local support = require "spec.support.service"

local refused = support.refused

-- Listens at address and port, and answers "WORD"; ends as its input does.
local SERVER = [[
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind((sys.argv[1], int(sys.argv[2]))); s.listen()
while True:
    c, _ = s.accept()
    c.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + sys.argv[3].encode()); c.close()
]]

describe("the ways into a box, as on boxd.sh:", function()
  local service, compute, call = support.of_block()
  after_each(function() service:empty() end)

  local function create(name)
    local box = compute.box:create(name)
    box:write_file(SERVER, "/tmp/server.py")
    return box
  end

  local function listen(box, address, port, word)
    box:sh(("python3 /tmp/server.py %s %d %s >/dev/null 2>&1 & echo $! >/tmp/%d")
      :format(address, port, word, port))
    calls.eventually(function()
      return box:sh(("grep -q ':%04X 0.*:0000 0A' /proc/net/tcp /proc/net/tcp6")
        :format(port)).success
    end)
  end

  local function stop(box, port)
    box:sh(("kill $(cat /tmp/%d)"):format(port))
    calls.eventually(function()
      return not box:sh(("grep -q ':%04X 0.*:0000 0A' /proc/net/tcp")
        :format(port)).success
    end)
  end

  local function get(domain)
    local ok, reply = pcall(boxd.http.request,
      { timeout = 5, url = "http://" .. domain .. "/" })
    return ok and reply.body or nil
  end

  local function default(box) return call("ListProxies", { vm = box.id }).proxies[1] end

  it("the default proxy's name is empty, and \"default\" is not found", function()
    local box = create "n"
    assert.equal("", default(box).name or "")
    assert.is_true(default(box).is_default)
    assert.equal("auto", default(box).port_mode)
    refused("NOT_FOUND", call, "SetProxyPort",
      { vm = "n", name = "default", port = "80" })
    call("SetProxyPort", { vm = "n", port = "81" })
    assert.equal("locked", default(box).port_mode)
    assert.equal(81, default(box).effective_port)
  end)

  it("its port is found: the first of seven that listens, else 8000", function()
    local box = create "f"
    assert.equal(8000, default(box).effective_port)
    listen(box, "0.0.0.0", 4000, "none")
    local began = boxd.now()
    listen(box, "0.0.0.0", 5173, "vite")
    calls.eventually(function() return default(box).effective_port == 5173 end)
    assert.is_true(boxd.now() - began > 0.7, "it was adopted at once")
    assert.equal("vite", get(default(box).domain))
  end)

  it("its port is found while no client asks", function()
    local box = create "w"
    listen(box, "0.0.0.0", 3000, "first")
    box:sh "sleep 1.5" -- long enough to be adopted, on a busy machine, too
    listen(box, "0.0.0.0", 8080, "second")
    assert.equal(3000, default(box).effective_port)
    assert.equal("first", get(default(box).domain))
  end)

  -- /proc/net/tcp takes the kernel milliseconds, however little is in it.
  it("its port is found at little cost, in many boxes", function()
    for i = 1, 8 do compute.box:create("cheap" .. i) end
    local function ticks()
      local f <close> = assert(io.open("/proc/" .. service.pid .. "/stat"))
      local user, system = f:read("a"):match("%) %a" .. (" %-?%d+"):rep(10)
        .. " (%d+) (%d+)")
      return user + system
    end
    boxd.sleep(1)
    local before = ticks()
    boxd.sleep(2) -- 200 ticks
    assert.is_true(ticks() - before < 16, ticks() - before)
  end)

  it("a found port stays while it listens, and is looked for again after",
    function()
      local box = create "g"
      listen(box, "0.0.0.0", 3000, "first")
      assert.equal("first", get(default(box).domain))
      listen(box, "0.0.0.0", 8080, "second")
      assert.equal("first", get(default(box).domain))
      stop(box, 3000)
      assert.equal("second", get(default(box).domain))
      assert.equal(8080, default(box).effective_port)
    end)

  it("a set port is locked until it is set to auto", function()
    local box = create "l"
    listen(box, "0.0.0.0", 3000, "found")
    listen(box, "0.0.0.0", 4000, "set")
    call("SetProxyPort", { vm = "l", port = "4000" })
    assert.equal("set", get(default(box).domain))
    call("SetProxyPort", { vm = "l", port = "auto" })
    assert.equal("found", get(default(box).domain))
  end)

  it("what listens on the box's loopback only is neither found nor reached",
    function()
      local box = create "i"
      listen(box, "127.0.0.1", 8080, "loopback")
      assert.is_nil(get(default(box).domain))
      assert.equal(8000, default(box).effective_port)
      local exposed = call("ExposePort", { vm = "i", vm_port = 8080 })
      assert.is_nil(get("127.0.0.1:" .. exposed.public_port))
      listen(box, "::", 3000, "both")
      assert.equal("both", get(default(box).domain))
    end)

  it("what listens on the address of the box's interface is reached", function()
    local box = create "a"
    local address = box:sh([[python3 -c '
import fcntl, socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for name in b"eth0", b"lo:0":
    try: r = fcntl.ioctl(s, 0x8915, struct.pack("256s", name))
    except OSError: continue
    print(socket.inet_ntoa(r[20:24])); break']]).stdout:match "%S+"
    listen(box, address, 8080, "interface")
    assert.equal("interface", get(default(box).domain))
  end)
end)
