-- boxd.local.main and boxd.local.store: how the service starts, ends, and what
-- it refuses.

local boxd = require "boxd"
local process = require "spec.support.process"
local program = require "spec.support.program"
local support = require "spec.support.service"

local function run(args)
  return program.run(table.move(args, 1, #args, 5, { "timeout", "20",
    program.boxdlua, "--serve" }))
end

describe("--serve", function()
  local service

  before_each(function() service = support.new() end)
  after_each(function() support.__close(service) end)

  local function processes()
    local f <close> = io.popen("pgrep -fc '[s]tate " .. service.state .. "'")
    return f:read "n"
  end

  it("has the folder for itself", function()
    local second = run { "--listen", "127.0.0.1:0", "--state", service.state }
    assert.equal(1, second.status)
    assert.equal("", second.out)
    assert.matches("^boxdlua %-%-serve: another service uses " .. service.state
      :gsub("%p", "%%%0") .. ": end it", second.err)
    assert.is_nil(second.err:find("traceback", 1, true))
    assert.is_true(service.compute.box:create():exec("true").success)
  end)

  it("says that its address is taken", function()
    local second = run { "--listen", service.api_url:match "//(.*)",
      "--state", service.folder .. "/other" }
    assert.equal(1, second.status)
    assert.matches("Address already in use", second.err)
  end)

  it("says how many open files it takes where it may have fewer", function()
    for _, files in ipairs { 16, 20, 28, 63 } do
      for _, way in ipairs { "--serve --listen 127.0.0.1:0 --state " .. service.folder
        .. "/few", "--local -e ''" } do
        local few = program.run { "sh", "-c", ("ulimit -%s %d; exec timeout 20 %s %s"):format(
          files == 28 and "Sn" or "n", files, program.boxdlua, way) }
        assert.equal(1, few.status)
        assert.matches(("^boxdlua %%-%%-serve: this process may have %d open files, and "
          .. "needs 64 and more: raise the limit, as by 'ulimit %%-n 1024'\n"):format(files),
          few.err)
      end
    end
    assert.equal("", program.sh("ulimit -n 64; %s --local -e ''", program.boxdlua))
  end)

  it("takes a state folder by its path from the working folder", function()
    local server = process.start { "sh", "-c",
      "cd " .. service.folder .. " && exec " .. "\"$0\" --serve "
      .. "--listen 127.0.0.1:0 --state here/state", io.popen("realpath "
      .. program.boxdlua):read() }
    local said = server:line()
    server:stop()
    assert.matches("^export BOXD_API_URL=", said)
    assert.is_true(os.execute("test -d " .. service.folder .. "/here/state/boxes"))
  end)

  it("wants a folder that only its user reads", function()
    os.execute("mkdir -m 755 " .. service.folder .. "/open")
    local open = run { "--listen", "127.0.0.1:0", "--state",
      service.folder .. "/open" }
    assert.equal(1, open.status)
    assert.matches("chmod 700", open.err)
  end)

  it("says in a line why it has no state folder", function()
    local file = service.folder .. "/file"
    os.execute("touch " .. file)
    for state, why in pairs { [file] = file .. ": Not a directory",
      [file .. "/in"] = file .. ": Not a directory",
      ["/proc/none"] = "/proc/none: No such file or directory" } do
      local r = run { "--listen", "127.0.0.1:0", "--state", state }
      assert.equal("boxdlua --serve: the state folder can't be made: " .. why .. "\n",
        r.err)
      assert.equal(1, r.status)
    end
    local homeless = program.run { "timeout", "20", "env", "-u", "HOME", "-u",
      "XDG_STATE_HOME", program.boxdlua, "--serve" }
    assert.equal("boxdlua --serve: neither XDG_STATE_HOME nor HOME is set: give "
      .. "--state DIR\n", homeless.err)
  end)

  it("names a record that is damaged", function()
    service.compute.box:create "one"
    service:stop()
    local list <close> = io.popen("ls " .. service.state .. "/boxes/*.json")
    local path = list:read()
    local f <close> = assert(io.open(path, "w"))
    f:write "{"
    f:close()
    local again = run { "--listen", "127.0.0.1:0", "--state", service.state }
    assert.equal(1, again.status)
    assert.truthy(again.err:find(path .. " is damaged", 1, true), again.err)
    os.remove(path)
    service:start()
  end)

  it("warns when others can reach it in the clear", function()
    assert.is_nil(service:errors():find("TLS", 1, true))
    service:stop()
    service.options = { "--listen", "0.0.0.0:0" }
    service:start()
    assert.matches("listening on 0.0.0.0:%d+ without TLS", service:errors())
  end)

  it("ends at a signal, with every process of every box", function()
    local function sleeping()
      local f <close> = io.popen "pgrep -fc '[s]leep 98765.25'"
      return f:read "n" > 0
    end
    for _, signal in ipairs { "TERM", "INT", "KILL" } do
      local box = service.compute.box:create()
      local p = box:exec("sleep", "98765.25", { stream = true })
      support.eventually(sleeping)
      service:stop(signal)
      p:close()
      support.eventually(function()
        return not sleeping() and processes() == 0
      end)
      service:start()
      service.compute.box:get(box.id):destroy()
    end
  end)

  it("comes back with its boxes rebooted, each as it was", function()
    local compute = service.compute
    local up, down, frozen = compute.box:create "up",
      compute.box:create "down", compute.box:create "frozen"
    up:write_file("1", "/home/boxd/f")
    up:sh "sleep 1000 >/dev/null 2>&1 &"
    down:stop()
    frozen:suspend()
    for _, signal in ipairs { "KILL", "TERM" } do
      compute = service:restart(signal).compute
      local status = {}
      for _, box in ipairs(compute.box:list()) do
        status[box.name] = box.status
      end
      assert.same({ up = "running", down = "stopped", frozen = "running" },
        status)
      up = compute.box:get "up"
      assert.equal("1", up:read_file "/home/boxd/f")
      assert.is_false(up:exec("pgrep", "sleep").success)
    end
  end)

  it("removes boxes whose creation was not acknowledged", function()
    service:stop "KILL"
    for _, path in ipairs { "/files/vm-half/upper", "/disks.d/disk-half" } do
      os.execute("mkdir -p " .. service.state .. path)
    end
    for _, path in ipairs { "/boxes/vm-half.json.new", "/logs/vm-half.log" } do
      local f <close> = assert(io.open(service.state .. path, "w"))
      f:write "{"
    end
    service:start()
    local left <close> = io.popen("find " .. service.state
      .. " -name '*half*' 2>&1 | grep -v denied")
    assert.equal("", left:read "a")
    assert.equal(0, #service.compute.box:list())
    assert.equal(0, #service.compute.disk:list())
  end)

  it("ends, and says so, when its spawner dies", function()
    service.compute.box:create "kept"
    os.execute("pkill -9 -P " .. service.pid .. " boxd-spawner")
    support.eventually(function() return processes() == 0 end)
    assert.matches("has died", service:errors())
    service:restart()
    assert.is_true(service.compute.box:get("kept"):exec("true").success)
  end)

  it("serves a hundred clients at once, slow and garbage ones beside",
    function()
      local port = service.api_url:match ":(%d+)$"
      local noise = process.start { "/usr/bin/python3", "-c", [[
import os, socket, sys, time
socks = []
for i in range(60):
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    s.sendall([b"", b"P", b"PRI * HTTP/2.0\r\n", os.urandom(100), b"GET / "][i % 5])
    socks.append(s)
print("ready", flush=True)
time.sleep(60)]], port }
      finally(function() noise:stop() end)
      assert.equal("ready", noise:line())
      local box = service.compute.box:create()
      local list = {}
      for i = 1, 100 do list[i] = i end
      local began = boxd.now()
      boxd.map(list, function(i)
        local client <close> = service:connect()
        local mine = client.box:get(box.id)
        assert.equal(i .. "\n", mine:exec("echo", tostring(i)).stdout)
      end)
      assert.is_true(boxd.now() - began < 50)
    end)
end)
