-- boxd.local.proxies: ports of this machine that lead into boxes.

local boxd = require "boxd"
local support = require "spec.support.service"
local web = require "spec.support.web"

local refused, serve = support.refused, web.serve

describe("proxies of the embedded service", function()
  local service, compute = support.of_block()
  after_each(function() service:empty() end)

  local function get(domain, path)
    return pcall(boxd.http.request, { timeout = 5,
      url = "http://" .. domain .. (path or "/") })
  end

  -- The word of the server that answers, and the requested path.
  local function answer(domain, path)
    local ok, reply = get(domain, path)
    assert(ok, tostring(reply))
    local word, asked = reply.body:match "^(%S+) GET (%S+) "
    return word .. asked
  end

  it("says whether its port is found or given", function()
    local box = compute.box:create "mode"
    assert.equal("auto", box:proxies()[1].port_mode)
    compute:call("SetProxyPort", { vm = "mode", port = "3456" })
    assert.equal("locked", box:proxies()[1].port_mode)
    serve(box, 3456, "given")
    serve(box, 3000, "found")
    assert.equal("given/", answer(box:proxies()[1].domain, "/"))
    compute:call("SetProxyPort", { vm = "mode", port = "auto" })
    assert.equal("auto", box:proxies()[1].port_mode)
    assert.equal(0, box:proxies()[1].port or 0)
    assert.equal("found/", answer(box:proxies()[1].domain, "/"))
  end)

  it("leads from the start to port 8000 of each box", function()
    local a, b = compute.box:create "a", compute.box:create "b"
    serve(a, 8000, "A")
    serve(b, 8000, "B")
    local list = a:proxies()
    assert.equal(1, #list)
    assert.equal("", list[1].name or "")
    assert.equal("a", list[1].vm_name)
    assert.equal("auto", list[1].port_mode)
    assert.is_true(list[1].is_default)
    assert.matches("^127%.0%.0%.1:%d+$", list[1].domain)
    assert.equal(list[1].url, a.url)
    assert.equal(a.url, compute.box:get("a").url)
    for _, box in ipairs(compute.box:list()) do
      assert.equal(box:proxies()[1].url, box.url)
    end
    assert.equal("A/x", answer(list[1].domain, "/x"))
    assert.equal("B/y", answer(b:proxies()[1].domain, "/y"))
  end)

  it("is created, changed and removed live", function()
    local box = compute.box:create "p"
    serve(box, 8000, "one")
    serve(box, 9000, "two")
    local made = box:create_proxy("web", 9000)
    assert.equal("web", made.name)
    assert.equal("p", made.vm_name)
    assert.equal(9000, made.port)
    assert.equal("two/", answer(made.domain))
    compute:call("SetProxyPort", { vm_name = "p", name = "web", port = "8000" })
    assert.equal("one/", answer(made.domain))
    box:set_proxy_port(9000)
    assert.equal("two/", answer(box:proxies()[1].domain))
    box:delete_proxy "web"
    assert.is_false((get(made.domain)))
    assert.equal(1, #box:proxies())
    box:destroy()
  end)

  it("finds its port for port 0, as the default one does", function()
    local box = compute.box:create "auto"
    local proxy = box:create_proxy "auto"
    assert.equal(0, proxy.port)
    local function shown() return box:proxies()[2].effective_port end
    assert.equal(8000, shown())
    assert.is_false((get(proxy.domain)))
    serve(box, 5000, "found")
    assert.equal("found/", answer(proxy.domain))
    assert.equal(5000, shown())
  end)

  it("ends a connection to a closed port or a stopped box",
    function()
      local box = compute.box:create "none"
      local domain = box:proxies()[1].domain
      assert.is_false((get(domain)))
      box:stop()
      assert.is_false((get(domain)))
      box:start()
      serve(box, 8000, "back")
      assert.equal("back/", answer(domain))
    end)

  it("resumes a suspended box", function()
    local box = compute.box:create "asleep"
    serve(box, 8000, "awake")
    box:suspend()
    assert.equal("awake/", answer(box:proxies()[1].domain))
    assert.equal("running", compute.box:get(box.id).status)
  end)

  it("carries much, both ways, from many at once", function()
    local box = compute.box:create "busy"
    serve(box, 8000, "x")
    local url = "http://" .. box:proxies()[1].domain .. "/"
    local much = ("d"):rep(8 << 20)
    local reply = boxd.http.request { url = url, method = "POST", body = much,
      timeout = 20 }
    assert.is_true(reply.body:match "^x POST / %S+ (.*)$" == much)
    local list = {}
    for i = 1, 40 do list[i] = i end
    for _, r in ipairs(boxd.map(list, function(i)
      return boxd.http.request { url = url .. i, timeout = 20 }.body
    end)) do assert.matches("^x GET /%d+ ", r) end
  end)

  it("carries the end of each direction by itself", function()
    local box = compute.box:create "half"
    box:write_file([[
import socket
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("0.0.0.0", 8000)); s.listen()
c, _ = s.accept()
data = b""
while True:
    part = c.recv(65536)
    if not part: break
    data += part
c.sendall(b"got %d" % len(data))
]], "/home/boxd/half.py")
    box:sh "python3 /home/boxd/half.py >/dev/null 2>&1 &"
    web.await(box, 8000)
    local client <close> = io.popen(([[/usr/bin/python3 -c '
import socket
s = socket.create_connection(("127.0.0.1", %d))
s.sendall(b"z" * 3000000); s.shutdown(socket.SHUT_WR)
print(s.recv(100).decode())']]):format(
      box:proxies()[1].domain:match ":(%d+)"))
    -- The service is another process: it goes on while this one waits.
    assert.equal("got 3000000", client:read())
  end)

  it("is made with its box, too", function()
    local box = compute.box:create { name = "made", config = { network = {
      proxies = { { name = "api", port = 7000 } } } } }
    local list = box:proxies()
    assert.equal(2, #list)
    assert.equal("api", list[2].name)
    assert.equal(7000, list[2].port)
  end)

  it("keeps its port over a restart of the service", function()
    local box = compute.box:create "kept"
    box:create_proxy("web", 9000)
    local before = box:proxies()
    service:restart "KILL"
    box = compute.box:get(box.id)
    local after = box:proxies()
    for i = 1, 2 do
      assert.equal(before[i].domain, after[i].domain)
      assert.equal(before[i].name, after[i].name)
    end
    serve(box, 9000, "again")
    assert.equal("again/", answer(after[2].domain))
  end)

  it("is the default one that a service of before named so", function()
    local box = compute.box:create "old"
    service:stop()
    local path = ("%s/boxes/%s.json"):format(service.state, box.id)
    local f = assert(io.open(path))
    local record = boxd.json.decode(f:read "a")
    f:close()
    record.proxies[1].name, record.proxies[1].port = "default", 8000
    f = assert(io.open(path, "w"))
    f:write(boxd.json.encode(record))
    f:close()
    service:start()
    local proxy = compute.box:get("old"):proxies()[1]
    assert.same({ "", 8000, true }, { proxy.name or "", proxy.port,
      proxy.is_default })
  end)

  it("refuses requests that make no sense, and says so", function()
    local box = compute.box:create "r"
    local function call(rpc, request) return compute:call(rpc, request) end
    box:create_proxy("web", 80)
    refused("ALREADY_EXISTS", call, "CreateProxy",
      { vm_name = "r", name = "web", port = 81 })
    for _, name in ipairs { "", "Up", "a b", ("x"):rep(64) } do
      refused("INVALID_ARGUMENT", call, "CreateProxy",
        { vm_name = "r", name = name, port = 80 })
    end
    refused("INVALID_ARGUMENT", call, "CreateProxy",
      { vm_name = "r", name = "x", port = 65536 })
    refused("NOT_FOUND", call, "CreateProxy", { vm_name = "no", name = "x" })
    refused("INVALID_ARGUMENT", call, "CreateProxy", { name = "x" })
    for _, port in ipairs { "", "x", "-1", "65536", "1.5", "0x10" } do
      refused("INVALID_ARGUMENT", call, "SetProxyPort",
        { vm_name = "r", port = port })
    end
    refused("NOT_FOUND", call, "SetProxyPort",
      { vm_name = "r", name = "no", port = "80" })
    refused("NOT_FOUND", call, "DeleteProxy", { vm_name = "r", name = "no" })
    refused("FAILED_PRECONDITION", call, "DeleteProxy",
      { vm_name = "r" })
    refused("NOT_FOUND", call, "DeleteProxy", { vm_name = "r", name = "default" })
    refused("NOT_FOUND", call, "ListProxies", { vm_name = "no" })
    assert.equal(2, #box:proxies())
  end)

  it("that can't be kept leave no port open", function()
    local box = compute.box:create()
    local function listening()
      local pipe <close> = assert(io.popen("ss -Hltnp | grep -c pid="
        .. service.pid .. ","))
      return pipe:read "n"
    end
    local before = listening()
    assert.is_true(before > 0)
    local folder = service.state .. "/boxes/" .. box.id .. ".json.new"
    assert(os.execute("mkdir " .. folder))
    refused("INTERNAL", compute.call, compute, "CreateProxy",
      { vm = box.id, name = "web", port = 80 })
    assert.equal(before, listening())
    assert(os.execute("rmdir " .. folder))
  end)
end)
