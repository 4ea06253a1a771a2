-- The networks of the embedded service's boxes: each its own, with a way to the
-- internet where the machine allows it, this machine's on request. What they do
-- not reach is in sandbox/network_spec.lua.

local boxd = require "boxd"
local process = require "spec.support.process"
local program = require "spec.support.program"
local sandbox = require "spec.support.sandbox"
local serve = require "boxd.serve"

local PYTHON = "/usr/bin/python3"

-- Prints a port of this machine's loopback, at which it answers for ever.
local listener_py = [[
import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen(8)
print(s.getsockname()[1], flush=True)
while True:
    c, _ = s.accept()
    c.sendall(b"from the machine\n")
    c.close()
]]

-- For a box: what the port of 127.0.0.1 says, or the error.
local function ask(box, port)
  return box:exec(PYTHON, "-c", ([[
import socket
try:
    s = socket.create_connection(("127.0.0.1", %d), 2)
    print(s.recv(100).decode().strip())
except OSError as e:
    print("refused")
]]):format(port)).stdout
end

local probe, unable = sandbox.new()
if not probe then
  describe("boxes' networks", function()
    pending("cannot be made here: " .. unable)
  end)
  return
end
probe:close()

describe("boxes' networks", function()
  local folder, service, compute, listener, port

  before_each(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir -m 700 " .. folder))
    listener = process.start { PYTHON, "-c", listener_py }
    port = tonumber(listener:line())
  end)

  -- With options of --serve, and a PATH.
  local function start(net, path)
    local told = folder .. "/errors"
    service = process.start { env = { PATH = path or os.getenv "PATH" },
      "sh", "-c", "exec \"$@\" 2>" .. told, "sh",
      program.boxdlua, "--serve", "--listen", "127.0.0.1:0", "--state",
      folder .. "/state", table.unpack(net or {}) }
    local got = {}
    for i = 1, 3 do got[i] = service:line():match "=(.*)$" end
    compute = boxd.Compute { api_url = got[1], exchange_url = got[2],
      api_key = got[3] }
    return function()
      local f <close> = assert(io.open(told))
      return f:read "a"
    end
  end

  after_each(function()
    if compute then
      for _, box in ipairs(compute.box:list()) do box:destroy() end
      compute:close()
    end
    compute = nil
    if service then service:stop() end
    listener:stop()
    local sweeper <close> = serve.spawner(folder .. "/sweeper")
    assert(sweeper:remove(folder .. "/state"))
    sweeper:stop()
    os.execute("rm -rf " .. folder)
  end)

  it("are their own, and never reach this machine's loopback", function()
    start()
    local box = compute.box:create { name = "own" }
    assert.equal("refused\n", ask(box, port))
    assert.truthy(box:sh("cat /proc/net/dev").stdout:find "lo:")
  end)

  it("let two boxes serve port 8000 at once", function()
    start()
    local replies = {}
    for i = 1, 2 do
      local box = compute.box:create { name = "web" .. i }
      box:sh(("mkdir www; echo I am %d > www/who; cd www; "
        .. "%s -m http.server 8000 >/dev/null 2>&1 &"):format(i, PYTHON))
      local from_inside = "exec " .. PYTHON .. " -c 'import urllib.request as u;"
        .. " print(u.urlopen(\"http://127.0.0.1:8000/who\").read().decode())'"
      sandbox.eventually(function()
        replies[i] = box:sh(from_inside).stdout:match "I am %d"
        return replies[i]
      end, 10)
    end
    assert.same({ "I am 1", "I am 2" }, replies)
  end)

  -- Whether this machine has all parts; else the line of `--doctor`.
  local function able()
    local out = program.lua { "--local", "--doctor" }.out
    return out:find "ok%s+network" ~= nil, out
  end

  it("have a default route at once, or a line says once why not", function()
    local errors = start()
    local routes = "cat /proc/net/route"
    local first = compute.box:create { name = "out" }:sh(routes).stdout
    compute.box:create { name = "out2" }
    local has, doctor = able()
    if has then
      assert.truthy(first:find "\t00000000\t%x*[1-9A-F]")
      assert.falsy(errors():find "boxes have no network")
    else
      local _, times = errors():gsub("boxes have no network: ", "")
      assert.equal(1, times, errors())
      local why = errors():match "boxes have no network: ([^\n]*)"
      assert.truthy(doctor:find(why, 1, true), doctor)
    end
  end)

  -- Programs of these names that fail with "no luck", before the others on PATH.
  local function failing(...)
    for _, name in ipairs { ... } do
      local path = folder .. "/" .. name
      local f <close> = assert(io.open(path, "w"))
      f:write("#!/bin/sh\necho x >>", folder,
        "/runs\necho no luck >&2\nexit 1\n")
      assert(os.execute("chmod 755 " .. path))
    end
    local runs = folder .. "/runs"
    assert(os.execute(("touch %s && chmod 666 %s"):format(runs, runs)))
    return folder .. ":" .. os.getenv "PATH"
  end

  it("are nothing but a loopback where their filter cannot be loaded",
    function()
      if not able() then return pending "no network here" end
      local errors = start({}, failing "nft")
      for i = 1, 2 do
        local box = compute.box:create { name = "n" .. i }
        assert.equal("lo\n", box:sh("ls /sys/class/net").stdout)
      end
      assert.equal("boxes have no network: the filter of their router cannot "
        .. "be loaded by nft: no luck", errors():match "boxes have[^\n]*")
      assert.is_nil(sandbox.network(service.pid))
    end)

  it("say once that their process ends again and again", function()
    if not able() then return pending "no network here" end
    assert(os.execute("chmod 755 " .. folder)) -- for a user id of boxes
    local errors = start({}, failing "slirp4netns")
    compute.box:create { name = "again" }
    sandbox.eventually(function()
      return #sandbox.words("cat " .. folder .. "/runs") >= 3
    end)
    assert.equal("the network of boxes ended, and is started again: "
      .. "slirp4netns: no luck", errors():match "the network of[^\n]*")
    assert.equal(1, select(2, errors():gsub("no luck", "")))
  end)

  it("need one process for all, which ends with the service", function()
    if not able() then return pending "no network here" end
    for _, signal in ipairs { "TERM", "KILL" } do
      start()
      for i = 1, 3 do compute.box:create { name = "p" .. i } end
      local spawner = sandbox.below(service.pid)[1]
      local pid = sandbox.network(service.pid)
      local devices = #sandbox.router_devices(spawner)
      assert.truthy(pid)
      assert.is_true(devices >= 3)
      compute.box:get "p1":destroy()
      sandbox.eventually(function()
        return #sandbox.router_devices(spawner) == devices - 1
      end)
      assert.equal(pid, sandbox.network(service.pid))
      for _, box in ipairs(compute.box:list()) do box:destroy() end
      compute:close()
      compute = nil
      service:stop(signal)
      sandbox.all_gone { pid }
    end
  end)

  it("name their resolver, and the machine's with --net host", function()
    local read = "cat /etc/resolv.conf"
    start()
    assert.truthy(compute.box:create { name = "own" }:sh(read).stdout
      :find "^nameserver %d+%.%d+%.255%.3\n")
    compute.box:get "own":destroy()
    compute:close()
    service:stop()
    start { "--net", "host" }
    assert.falsy(compute.box:create { name = "shared" }:sh(read).stdout
      :find "%.255%.3\n")
  end)

  it("are this machine's with --net host", function()
    start { "--net", "host" }
    local box = compute.box:create { name = "host" }
    assert.equal("from the machine\n", ask(box, port))
  end)
end)
