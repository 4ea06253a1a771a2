-- What a box holds in memory: its file systems there count for it, and its
-- first process is the last that ends.

local support = require "spec.support.service"

local MIB = 1 << 20

describe("a box's memory", function()
  local service, compute = support.of_block()
  local box

  local function sizes(of)
    local r = of:sh "df -B1 --output=size /dev/shm /run | tail -n +2"
    local shm, run = r.stdout:match "(%d+)%s+(%d+)"
    return tonumber(shm), tonumber(run)
  end

  setup(function()
    box = compute.box:create { name = "m",
      config = { memory = 256 * MIB } }
  end)

  it("bounds its /dev/shm and /run", function()
    local shm, run = sizes(box)
    assert.equal(128 * MIB, shm)
    assert.equal(64 * MIB, run)
  end)

  it("is not used up by what fills them, which ends nothing", function()
    local r = box:sh [[sleep 1000 & echo $!
      cat /dev/zero > /dev/shm/f; cat /dev/zero > /run/f
      i=0; while : > /dev/shm/n$i; do i=$((i+1)); done 2>/dev/null]]
    local pid = r.stdout:match "%d+"
    assert.matches("No space left", r.stderr)
    assert.is_true(box:exec("kill", "-0", pid).success)
    assert.equal("fine\n", box:sh("echo fine").stdout)
    assert.is_true(box:sh("rm -f /dev/shm/* /run/f; kill " .. pid).success)
    assert.equal("running", compute.box:get(box.id).status)
  end)

  it("bounds them anew when it is changed while the box runs", function()
    compute:call("ResizeVm", { vm_id = box.id, memory_bytes = 512 * MIB })
    local shm, run = sizes(box)
    assert.equal(256 * MIB, shm)
    assert.equal(128 * MIB, run)
    box:sh "head -c 100000000 /dev/zero > /dev/shm/f"
    compute:call("ResizeVm", { vm_id = box.id, memory_bytes = 128 * MIB })
    assert.equal(64 * MIB, (sizes(box)))
  end)

  it("is never taken back from its first process before its commands", function()
    local adj = box:sh("cat /proc/1/oom_score_adj /proc/self/oom_score_adj; "
      .. "sh -c 'sh -c \"cat /proc/self/oom_score_adj\"'").stdout
    local first, own, child = adj:match "(%S+)\n(%S+)\n(%S+)\n"
    assert.is_true(tonumber(own) > tonumber(first), adj)
    assert.equal(own, child)
    if not service:errors():find("memory: limited", 1, true) then return end
    box:sh "head -c 2000000000 /dev/zero | tail | wc -c"
    assert.equal("fine\n", box:sh("echo fine").stdout)
    assert.equal("running", compute.box:get(box.id).status)
  end)
end)

describe("a process whose main thread has ended", function()
  local _, compute = support.of_block()

  -- It counts in a file, in a thread, on and on.
  local counter = [[
import ctypes, os, threading, time
def count():
    for i in range(10**9):
        with open("/home/boxd/n", "w") as f: f.write(str(i))
        with open("/home/boxd/m", "w") as f: f.write(str(i))
threading.Thread(target=count).start()
ctypes.CDLL(None).pthread_exit(None)
]]

  it("stands still in a box that is suspended, and goes on after", function()
    local box = compute.box:create()
    box:write_file(counter, "/home/boxd/count.py")
    box:sh "setsid python3 /home/boxd/count.py >/dev/null 2>&1 </dev/null &"
    support.eventually(function()
      return box:sh("cat n; cat /proc/$(pgrep python3 | head -1)/stat").stdout
        :find ") Z" ~= nil
    end)
    box:suspend()
    local fork = compute.box:fork(box)
    local now = fork:sh("cat n m").stdout
    box:resume()
    support.eventually(function()
      return tonumber(box:sh("cat n").stdout) ~= tonumber(now)
    end)
    for _, one in ipairs { box, fork } do one:destroy() end
  end)
end)
