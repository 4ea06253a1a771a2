-- Boxes through the spawner: forks, and that boxes leave nothing as they end.

local boxd = require "boxd"
local process = require "spec.support.process"
local program = require "spec.support.program"
local sandbox = require "spec.support.sandbox"
local serve = require "boxd.serve"

local boxes = sandbox.of_file { outgoing = true }
if not boxes then return end

local run = function(...) return boxes:run(...) end
local output = function(...) return boxes:output(...) end
local eventually = sandbox.eventually

describe("a fork of a box", function()
  local from, to

  setup(function()
    from = boxes:start "from"
    local as_root = boxes:sudo(from)
    output(from, as_root .. [[sh -c 'rm /etc/issue; rm -r /usr/share/doc/bash
      rm -rf /etc/alternatives; mkdir /etc/alternatives
      mkdir /etc/new; echo machine > /etc/machine-of-box']])
    output(from, [[
      echo text > f; chmod 640 f; ln f hard; ln -s f soft; ln -s /nowhere dead
      mkdir -p d/e; chmod 1777 d/e; mkfifo pipe; truncate -s 1G sparse
      setfattr -n user.note -v kept f 2>/dev/null || true
    ]])
    assert(boxes.spawner:suspend(from))
    assert(boxes.spawner:copy(boxes:dir "from", boxes:dir "to"))
    assert(boxes.spawner:resume(from))
    to = boxes:start "to"
  end)
  teardown(function()
    for name, b in pairs { from = from, to = to } do
      boxes:kill(b)
      assert(boxes.spawner:remove(boxes:dir(name)))
    end
  end)

  it("has its files, links and modes", function()
    assert.equal("text 640 2 f /nowhere 1777 fifo", output(to,
      "echo $(cat f) $(stat -c '%a %h' hard) $(readlink soft) "
      .. "$(readlink dead) $(stat -c %a d/e) $(stat -c %F pipe)"))
    assert.equal("1073741824 0", output(to, "stat -c '%s %b' sparse"))
    assert.equal("machine", output(to, "cat /etc/machine-of-box"))
  end)

  it("does not have deleted files", function()
    assert.equal("gone gone 0", output(to, "echo "
      .. "$(test -e /etc/issue || echo gone) "
      .. "$(test -e /usr/share/doc/bash || echo gone) "
      .. "$(ls /etc/alternatives | wc -l)"))
  end)

  it("has a name of its own, and lives its own life", function()
    assert.equal("to to", output(to, "echo $(hostname) $(cat /etc/hostname)"))
    assert.equal(0, run(to, "grep -qw to /etc/hosts").code)
    output(to, "echo changed > f")
    assert.equal("text", output(from, "cat f"))
    output(from, "rm -r d")
    assert.equal("1777", output(to, "stat -c %a d/e"))
  end)

  it("is refused where something is", function()
    assert.is_nil(boxes.spawner:copy(boxes:dir "from", boxes:dir "to"))
    assert.is_nil(boxes.spawner:copy(boxes:dir "none", boxes:dir "other"))
    assert.is_nil(io.open(boxes:dir "other"))
  end)
end)

describe("after boxes", function()
  -- Traces that a box could leave: processes below the spawner, mounts that show its
  -- folder, namespaces, descriptors of the spawner, control groups, folders,
  -- devices of the router. The process that boxes' network needs stays.
  local function traces()
    local pid, found = boxes.spawner:pid(), {}
    local lists = {
      below = sandbox.without_network(sandbox.below(pid)),
      devices = sandbox.router_devices(pid),
      descriptors = sandbox.words("ls /proc/" .. pid
        .. "/fd 2>/dev/null"),
      mounts = sandbox.words("cat /proc/self/mounts | grep " .. boxes.folder),
      own_mounts = sandbox.words("cut -d' ' -f2 /proc/" .. pid
        .. "/mounts 2>/dev/null"),
      groups = sandbox.words("find /sys/fs/cgroup -name 'boxd*' -type d"
        .. " | grep -w " .. pid),
      folders = sandbox.words("ls -A " .. boxes.state),
    }
    for what, list in pairs(lists) do found[what] = #list end
    return found
  end

  local function nothing_more_than(before)
    local after
    local ok = pcall(eventually, function()
      after = traces()
      for what, n in pairs(before) do
        if after[what] > n then return false end
      end
      return true
    end)
    if not ok then assert.same(before, after) end
  end

  local rounds = math.tointeger(os.getenv "BOXD_ROUNDS" or 30)

  -- Jobs of the spawner's own have ended, too.
  before_each(function()
    eventually(function() return traces().below == 0 end)
  end)

  it("finds leftovers where there are some", function()
    local before = traces()
    local b = boxes:start "seen"
    local during = traces()
    boxes:kill(b)
    assert.is_true(during.below > before.below)
    if before.descriptors > 0 then -- else they are hidden from this user
      assert.is_true(during.descriptors > before.descriptors)
    end
    assert.is_true(during.folders > before.folders)
    if boxes.spawner:ready():find("(control group)", 1, true) then
      assert.is_true(during.groups > before.groups)
    end
    assert(boxes.spawner:remove(boxes:dir "seen"))
  end)

  it(("nothing is left, be it %d times"):format(rounds), function()
    local before = traces()
    for i = 1, rounds do
      local b = boxes:start("round", { outgoing = i % 10 == 0 })
      local r = run(b, boxes:sudo(b) .. "touch /etc/a /usr/b /home/boxd/c; "
        .. "sleep 1000 >/dev/null 2>&1 & echo up")
      assert.equal("up\n", r.out)
      boxes:kill(b)
      assert(boxes.spawner:remove(boxes:dir "round"))
    end
    nothing_more_than(before)
  end)

  it("of which one never started, nothing is left", function()
    local before = traces()
    local b = boxes.spawner:start { dir = boxes:dir "bad", hostname = "bad",
      mounts = { { source = "/not/there", target = "/x" } } }
    assert.is_nil(b)
    assert(boxes.spawner:remove(boxes:dir "bad"))
    nothing_more_than(before)
  end)

  it("of which one failed when it was nearly made, nothing is left", function()
    local before = traces()
    for _, outgoing in ipairs { false, true } do
      local b, message = boxes.spawner:start { dir = boxes:dir "bad",
        hostname = "bad", outgoing = outgoing,
        mounts = { { source = boxes.state, target = "/proc/x" } } }
      assert.is_nil(b)
      assert.truthy(message:find("at /proc/x", 1, true), message)
    end
    assert(boxes.spawner:remove(boxes:dir "bad"))
    nothing_more_than(before)
  end)
end)

describe("all boxes end", function()
  local function start_some(spawner, state)
    for i = 1, 3 do
      local b = assert(spawner:start { dir = state .. "/s" .. i,
        hostname = "s" .. i, outgoing = i == 1 })
      assert(spawner:exec(b, { command = "trap '' TERM HUP; sleep 1000" }))
    end
    return sandbox.below(spawner:pid())
  end

  local other
  before_each(function() other = assert(sandbox.new { outgoing = true }) end)
  after_each(function() other:close() end)

  it("with a spawner that is stopped", function()
    local pids = start_some(other.spawner, other.state)
    assert.is_true(#pids >= 6)
    other.spawner:stop()
    sandbox.all_gone(pids)
  end)

  it("with a spawner that is killed, which is reported", function()
    local pids = start_some(other.spawner, other.state)
    local b = assert(other.spawner:start { dir = other:dir "x",
      hostname = "x" })
    local c = assert(other.spawner:exec(b, { command = "sleep 1000" }))
    os.execute("kill -9 " .. other.spawner:pid())
    sandbox.all_gone(pids)
    assert.equal(137, c:wait())
    assert.is_nil(other.spawner:gone())
    assert.is_nil(other.spawner:exec(b, { command = "true" }))
  end)

  it("with a service that is killed", function()
    local path = other.folder .. "/service"
    local service = process.start { program.boxdlua, "--serve", "--listen",
      "127.0.0.1:0", "--state", path }
    local url = assert(service:line():match "^export BOXD_API_URL=(.*)$")
    local exchange = service:line():match "=(.*)$"
    local key = service:line():match "=(.*)$"
    do
      local compute <close> = boxd.Compute { api_url = url, api_key = key,
        exchange_url = exchange }
      for i = 1, 2 do
        local box = compute.box:create { name = "k" .. i }
        box:sh("sleep 1000 >/dev/null 2>&1 &")
      end
    end
    local pids = sandbox.below(service.pid)
    assert.is_true(#pids >= 5)
    service:stop "KILL"
    sandbox.all_gone(pids)
    local sweeper <close> = serve.spawner(other.folder .. "/sweeper")
    assert(sweeper:remove(path))
  end)
end)

describe("the spawner", function()
  it("gets all messages that were sent while it stood still", function()
    local box = boxes:start "still"
    local pid = boxes.spawner:pid()
    os.execute("kill -STOP " .. pid)
    local tasks = {}
    for i = 1, 600 do -- more than the socket between them holds
      tasks[i] = boxd.spawn(function()
        return boxes.spawner:file(box, "stat", "/etc")
      end)
    end
    boxd.sleep(0)
    os.execute("kill -CONT " .. pid)
    for i = 1, #tasks do assert.is_truthy(tasks[i]:join()) end
    boxes:kill(box)
    assert(boxes.spawner:remove(boxes:dir "still"))
  end)

  it("reports the limits that it can enforce", function()
    local limits = assert(boxes.spawner:ready())
    for _, what in ipairs { "processes", "memory", "disk" } do
      assert.truthy(limits:find(what .. ": ", 1, true), limits)
    end
  end)

  it("refuses a folder that is not a path", function()
    local ok, message = boxes.spawner:start { dir = "relative", hostname = "x" }
    assert.is_nil(ok)
    assert.truthy(message:find("absolute", 1, true), message)
  end)
end)
