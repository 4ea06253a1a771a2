-- Boxes with systemd as their first process, straight from the spawner.

local boxd = require "boxd"
local program = require "spec.support.program"
local sandbox = require "spec.support.sandbox"
local serve = require "boxd.serve"

-- The trees of control groups that a spawner has left.
local function groups(spawner)
  return sandbox.words(("find /sys/fs/cgroup -type d -path '*/boxd-%d-*/box'")
    :format(spawner:pid()))
end

describe("a box with systemd", function()
  local boxes, why, box, pid

  local function it_if_there(title, fn)
    it(title, function()
      if not boxes then return pending("no systemd in boxes here: " .. why) end
      fn()
    end)
  end

  local function sh(line) return boxes:output(box, line) end
  local function try(line) return boxes:run(box, line) end

  local function wait_until_up(b)
    sandbox.eventually(function()
      return boxes:run(b or box, "systemctl is-system-running").out == "running\n"
    end, 30)
  end

  local function unit(name, text)
    sh(("sudo tee /etc/systemd/system/%s >/dev/null <<'E'\n%sE\n"):format(name,
      text))
    sh "sudo systemctl daemon-reload"
  end

  setup(function()
    boxes, why = sandbox.new { systemd = true }
    if boxes then box, pid = boxes:start("sysd") end
  end)
  teardown(function() if boxes then boxes:close() end end)

  it_if_there("answers commands before it is up, and keeps what they put in /tmp",
    function()
      assert.not_equal("running\n", try("systemctl is-system-running").out)
      sh "echo early > /tmp/early"
      wait_until_up()
      assert.equal("early", sh "cat /tmp/early")
      assert.equal("systemd", sh "cat /proc/1/comm")
    end)

  it_if_there("starts no service of this machine", function()
    wait_until_up()
    assert.equal("", sh "ls /etc/systemd/system")
    assert.equal("", sh "systemctl --failed --no-legend")
  end)

  it_if_there("runs units, and keeps their journal", function()
    wait_until_up()
    unit("hello.service", [[
[Service]
User=daemon
ExecStart=/bin/sh -c 'echo "said by $$(whoami)"; exec sleep 1000'
[Install]
WantedBy=multi-user.target
]])
    assert.not_equal(0, try("systemctl is-active hello").code)
    sh "sudo systemctl enable --now hello"
    assert.equal("active", sh "systemctl is-active hello")
    assert.equal("enabled", sh "systemctl is-enabled hello")
    assert.matches("said by daemon", sh "sudo journalctl -u hello")
    sh "sudo systemctl stop hello"
    assert.equal("", sh "pgrep -x sleep || true")
  end)

  it_if_there("shows commands in its tree of control groups, and no agent",
    function()
      wait_until_up()
      assert.matches("─%d+ sh %-c", sh "systemctl status --no-pager")
      assert.equal("0", sh "grep -c '^0$' /sys/fs/cgroup/cgroup.procs || true")
      assert.equal("0::/", sh "grep ^0: /proc/self/cgroup")
      assert.equal("0", sh "ps -o ppid= -p $$ | tr -d ' '")
    end)

  it_if_there("puts commands into scopes", function()
    wait_until_up()
    assert.matches("^0::/system.slice/there.scope",
      sh "sudo systemd-run -q --scope --unit=there grep ^0: /proc/self/cgroup")
  end)

  it_if_there("reaps what commands leave", function()
    wait_until_up()
    sh "(sleep 0.01 & exec sleep 0) & wait"
    sandbox.eventually(function()
      return sh "ps -e -o stat= | grep -c ^Z || true" == "0"
    end)
  end)

  it_if_there("has terminals, signals and file calls", function()
    local c = assert(boxes.spawner:exec(box, { command = "tty; sleep 1000",
      pty = true }))
    assert.matches("^/dev/pts/%d+", c.stdout:read())
    c:signal(15, "session")
    assert.equal(143, c:wait())
    local fd = assert(boxes.spawner:file(box, "read", "/proc/1/comm"))
    assert.equal("systemd\n", sandbox.read(fd))
  end)

  it_if_there("is frozen whole, and goes on", function()
    wait_until_up()
    sh [[sudo systemd-run -q --unit=count sh -c \
      'i=0; while :; do i=$((i+1)); echo $i > /tmp/count; sleep 0.01; done']]
    local function count()
      return sandbox.read(assert(boxes.spawner:file(box, "read", "/tmp/count")))
    end
    sandbox.eventually(function() return pcall(count) and count() ~= "" end)
    assert(boxes.spawner:suspend(box))
    for _, p in ipairs(sandbox.below(pid)) do
      local f <close> = io.open("/proc/" .. p .. "/stat")
      if f then assert.matches("%) [TtZ] ", f:read "a") end
    end
    local frozen = count()
    boxd.sleep(0.1)
    assert.equal(frozen, count())
    assert(boxes.spawner:resume(box))
    sandbox.eventually(function() return count() ~= frozen end)
    sh "sudo systemctl stop count"
  end)

  it_if_there("ends when systemd does, and leaves nothing", function()
    local b, first = boxes:start("off")
    wait_until_up(b)
    boxes:output(b, "sudo systemd-run -q sleep 1000")
    local pids = sandbox.below(first)
    assert.is_true(#pids > 4)
    local before = #groups(boxes.spawner)
    boxes:run(b, "sudo systemctl poweroff")
    assert.equal(b, boxes.spawner:gone())
    sandbox.all_gone(pids)
    assert.equal(before - 1, #groups(boxes.spawner))
  end)

  it_if_there("leaves nothing when it is killed, at any time of its start",
    function()
      local before = #groups(boxes.spawner)
      for i = 0, 9 do
        local b, first = boxes:start("killed")
        boxd.sleep(i * i * 0.01)
        local pids = sandbox.below(first)
        boxes:kill(b)
        sandbox.all_gone(pids)
      end
      assert.equal(before, #groups(boxes.spawner))
    end)

  it_if_there("is removed by the next spawner, when this one is killed",
    function()
      local other = assert(sandbox.new { systemd = true })
      other:start("left")
      local pids = sandbox.below(other.spawner:pid())
      assert.equal(1, #groups(other.spawner))
      os.execute("kill -9 " .. other.spawner:pid())
      sandbox.all_gone(pids)
      do
        local next_one <close> = serve.spawner(other.folder .. "/next")
        assert(next_one:ready())
        assert.same({}, groups(other.spawner))
      end
      other:close()
    end)
end)

describe("--init systemd", function()
  it("is an option of --local, too", function()
    local boxes, why = sandbox.new { systemd = true }
    if not boxes then return pending("no systemd in boxes here: " .. why) end
    boxes:close()
    local r = program.run { program.boxdlua, "--local", "--init", "systemd", "-e",
      [[io.write(boxd.Compute().box:create():exec("cat", "/proc/1/comm").stdout)]] }
    assert.equal("systemd\n", r.out, r.err)
    assert.equal(0, r.status)
  end)

  it("is refused where boxes have no root, with what to do", function()
    if serve.sys.getuid() ~= 0 then return pending "this needs root" end
    if not os.execute "test -x /usr/lib/systemd/systemd" then
      return pending "this machine has no systemd"
    end
    local home = sandbox.words("mktemp -d")[1]
    assert(os.execute(("chmod 777 %s && cp %s %s/boxdlua"):format(home,
      program.boxdlua, home)))
    local r = program.run { "setpriv", "--reuid", "nobody", "--regid",
      "nogroup", "--clear-groups", home .. "/boxdlua", "--local", "--init",
      "systemd", "-e", "print(1)",
      env = { HOME = home, TMPDIR = home, XDG_CACHE_HOME = home } }
    os.execute("rm -rf " .. home)
    if r.err:find("need user namespaces", 1, true) then
      return pending "no boxes for users here"
    end
    assert.equal(1, r.status)
    assert.equal("", r.out)
    assert.matches("can't be made here: %-%-init systemd: boxes of this user "
      .. "have no root: install uidmap", r.err)
  end)
end)
