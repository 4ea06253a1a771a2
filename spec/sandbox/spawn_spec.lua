-- Boxes through the spawner: that they work, and leave nothing.

local boxd = require "boxd"
local process = require "spec.support.process"
local program = require "spec.support.program"
local sandbox = require "spec.support.sandbox"
local serve = require "boxd.serve"

local boxes, why = sandbox.new { outgoing = true }
if not boxes then
  describe("a box", function()
    pending("cannot be made here: " .. why)
  end)
  return
end

local run = function(...) return boxes:run(...) end
local output = function(...) return boxes:output(...) end
local eventually = sandbox.eventually

local function has_root(box) return run(box, "sudo -n true").code == 0 end

-- The prefix of a command for root; boxd owns all where the box has none.
local function sudo(box) return has_root(box) and "sudo " or "" end

local function stopped_in(text)
  local n = 0
  for _ in text:gmatch "T %(stopped%)" do n = n + 1 end
  return n
end

describe("a box", function()
  local box

  setup(function() box = boxes:start "one" end)
  teardown(function()
    boxes:kill(box)
    assert(boxes.spawner:remove(boxes:dir "one"))
  end)

  describe("runs a command", function()
    it("with stdout and stderr apart, and its exit status", function()
      local r = run(box, "echo out; echo err >&2; exit 7")
      assert.same({ out = "out\n", err = "err\n", code = 7 }, r)
    end)

    it("as boxd, at home, with the environment of one", function()
      assert.equal("1000 boxd /home/boxd /home/boxd boxd one", output(box,
        "echo $(id -u) $(id -un) $HOME $PWD $USER $(hostname)"))
    end)

    it("as boxd, whose groups are those of the box's own list", function()
      if not has_root(box) then
        assert.equal("boxd", output(box, "id -nG"))
        return
      end
      assert.equal("boxd sudo docker", output(box, "id -nG"))
      output(box, "sudo groupadd -g 4000 mine; sudo usermod -aG mine boxd")
      assert.equal("boxd sudo docker mine", output(box, "id -nG"))
      output(box, "sudo groupdel mine")
    end)

    it("with the profile of a user in a login shell", function()
      assert.equal("/home/boxd boxd", output(box, "bash -lc 'echo ~ $(whoami)'"))
      assert.equal(".bash_logout .bashrc .profile",
        output(box, "cd; echo $(ls -A .bash* .profile)"))
    end)

    it("that opens its output again by name", function()
      assert.same({ out = "out\n", err = "err\n", code = 0 },
        run(box, "echo out >/dev/stdout; echo err >/dev/stderr"))
    end)

    it("without the right to change the system, but by sudo", function()
      if not has_root(box) then return pending "this user has no ids for root" end
      assert.equal(1, run(box, "test -w /etc/passwd").code)
      assert.equal("0 root", output(box,
        "sudo touch /etc/mine; stat -c '%u %U' /etc/mine"))
    end)

    it("with sudo, which says why where the box has one id", function()
      if has_root(box) then return pending "this user has ids for root" end
      local r = run(box, "sudo -n true")
      assert.equal(1, r.code)
      assert.matches("^sudo: .*uidmap", r.err)
    end)

    it("with sudo", function()
      if not has_root(box) then return pending "this user has no ids for root" end
      assert.equal("0", output(box, "sudo id -u"))
      assert.equal("yes", output(box, "sudo -u root FOO=yes sh -c 'echo $FOO'"))
    end)

    it("with an environment and a folder of its own", function()
      local r = run(box, "echo $A $B; pwd", { env = { "A=1", "B=two", "A=3" },
        cwd = "/usr/share" })
      assert.equal("3 two\n/usr/share\n", r.out)
      local c, message = boxes.spawner:exec(box, { command = "true",
        cwd = "/not/there" })
      assert.is_nil(c)
      assert.truthy(message:find("enter the folder /not/there", 1, true), message)
    end)

    it("that ends by a signal: 128 and its number", function()
      for name, number in pairs { TERM = 15, KILL = 9, INT = 2, SEGV = 11 } do
        assert.equal(128 + number, run(box, "kill -" .. name .. " $$").code)
      end
    end)

    it("that reads its input to the end", function()
      local input = ("line\n"):rep(100000)
      assert.equal("500000\n", run(box, "wc -c", { input = input }).out)
      local bytes = input:gsub("l", "\0\255")
      assert.equal(bytes, run(box, "cat", { input = bytes }).out)
    end)

    it("of 300,000 bytes", function()
      local long = ("x"):rep(300000)
      assert.equal(long .. "\n", run(box, "echo " .. long).out)
    end)

    it("that prints much and fast, all of which arrives", function()
      local r = run(box, "head -c 50000000 /dev/zero; echo end >&2")
      assert.equal(50000000, #r.out)
      assert.equal("end\n", r.err)
      for _ = 1, 30 do assert.equal("hi\n", run(box, "echo hi").out) end
    end)

    it("beside others", function()
      local began, list = boxd.now(), {}
      for i = 1, 40 do list[i] = i end
      local codes = boxd.map(list, function(i)
        return run(box, "sleep 0.3; exit " .. i).code
      end, { limit = 40 })
      codes.n = nil
      assert.same(list, codes)
      assert.is_true(boxd.now() - began < 6) -- 12 s one after the other
    end)

    it("that is asked to end, with all it started", function()
      local c = assert(boxes.spawner:exec(box,
        { command = "sleep 1000 & sleep 1001 & echo up; wait" }))
      assert.equal("up\n", c.stdout:read())
      c:signal(15)
      assert.equal(143, c:wait())
      eventually(function()
        return run(box, "pgrep -f 'sleep 100[01]$'").out == ""
      end)
    end)
  end)

  describe("has a terminal", function()
    -- Reads until the text is there; returns all of it.
    local function expect(c, text)
      local all = ""
      local watch = boxd.spawn(function()
        boxd.sleep(10)
        c:signal(9)
      end)
      while not all:find(text, 1, true) do
        local part = c.stdout:read()
        if not part then error("it ended with: " .. all, 2) end
        all = all .. part
      end
      watch:cancel()
      return all
    end

    it("with a name, a size, and job control", function()
      local c = assert(boxes.spawner:exec(box, { command = "exec bash -i",
        pty = true, cols = 100, rows = 30 }))
      expect(c, "$ ")
      c.stdin:write("tty; stty size; echo D$((1+1))\n")
      local text = expect(c, "D2")
      assert.truthy(text:find "/dev/pts/%d", text)
      assert.truthy(text:find("30 100", 1, true), text)
      c:resize(120, 40)
      local looks = 0
      eventually(function() -- a size and input go by different ways
        looks = looks + 1
        c.stdin:write(("stty size; echo R$((%d+0))\n"):format(looks))
        return expect(c, "R" .. looks):find("40 120", 1, true)
      end)
      c.stdin:write("sleep 1000\n")
      eventually(function()
        return run(box, "pgrep -f 'sleep 1000$'").code == 0
      end)
      c.stdin:write("\3echo D$((3+1))\n")
      assert.falsy(expect(c, "D4"):find("no job control", 1, true))
      c.stdin:write("exit 3\n")
      assert.equal(3, c:wait())
    end)

    it("whose hanging up ends its jobs", function()
      local c = assert(boxes.spawner:exec(box, { command = "exec bash -i",
        pty = true }))
      expect(c, "$ ")
      c.stdin:write("sleep 1002 &\n")
      eventually(function()
        return run(box, "pgrep -f 'sleep 1002$'").code == 0
      end)
      c:signal(1)
      c:wait()
      eventually(function()
        return run(box, "pgrep -f 'sleep 1002$'").code == 1
      end)
    end)
  end)

  describe("is suspended", function()
    it("in the middle of its work, and goes on", function()
      -- Appended: a file that is truncated each time is empty for as long
      -- as a busy disk has it.
      local c = assert(boxes.spawner:exec(box, { command =
        "i=0; while :; do i=$((i+1)); echo $i >> /home/boxd/count; done" }))
      eventually(function() return run(box, "cat /home/boxd/count").out ~= "" end)
      assert(boxes.spawner:suspend(box))
      assert(boxes.spawner:suspend(box)) -- twice is fine
      local function count()
        return sandbox.read((assert(boxes.spawner:file(box, "read",
          "/home/boxd/count"))))
      end
      local before = count()
      boxd.sleep(0.05) -- what is frozen has time to show that it is not
      assert.equal(before, count())
      assert(boxes.spawner:resume(box))
      assert(boxes.spawner:resume(box))
      eventually(function() return count() ~= before end)
      c:signal(9)
      assert.equal(137, c:wait())
    end)

    it("with all that runs, the interactive too, which does not notice",
      function()
        local c = assert(boxes.spawner:exec(box, { command =
          "exec bash -ic 'sleep 1003; echo ended'", pty = true }))
        eventually(function()
          return run(box, "pgrep -f 'sleep 1003$'").code == 0
        end)
        assert(boxes.spawner:suspend(box))
        local states = run(box, "for p in $(pgrep -f 1003); do "
          .. "grep ^State /proc/$p/status; done")
        assert.equal(2, stopped_in(states.out), states.out)
        assert(boxes.spawner:resume(box))
        run(box, "pkill -f 'sleep 1003$'")
        local text = ""
        while not text:find "ended" do text = text .. c.stdout:read() end
        assert.falsy(text:find "Stopped", text)
        assert.equal(0, c:wait())
      end)

    it("and leaves processes stopped that were stopped before", function()
      local c = assert(boxes.spawner:exec(box, { command = "exec sleep 1004" }))
      eventually(function()
        return run(box, "pkill -STOP -f '^sleep 1004$'").code == 0
      end)
      local function state()
        return output(box, "cat /proc/$(pgrep -f '^sleep 1004$')/status "
          .. "| grep ^State")
      end
      assert.truthy(state():find "stopped")
      assert(boxes.spawner:suspend(box))
      assert(boxes.spawner:resume(box))
      assert.truthy(state():find "stopped")
      c:signal(9)
      c:wait()
    end)
  end)

  describe("has files", function()
    local function file(...) return boxes.spawner:file(box, ...) end

    it("written beside, and put in place at once", function()
      local fd, temporary, final = assert(file("begin", "a/b/c.txt"))
      assert(fd:write "some data")
      fd:close()
      assert.equal("/home/boxd/a/b/c.txt", final)
      assert.equal(1, run(box, "test -e a/b/c.txt").code)
      assert(file("commit", temporary, final, 488)) -- 0750
      assert.equal("some data 750 boxd 1", output(box,
        "echo $(cat a/b/c.txt) $(stat -c '%a %U' a/b/c.txt) $(ls -A a/b | wc -l)"))
    end)

    it("read, with their kinds", function()
      output(box, "printf hello > r; chmod 640 r; ln -s r to-r; mkdir -p d; "
        .. "mkfifo pipe")
      local fd, size = assert(file("read", "to-r"))
      assert.equal(5, size)
      assert.equal("hello", sandbox.read(fd))
      local s = file("stat", "r")[1]
      assert.same({ "r", "file", 416, 5 }, { s.name, s.kind, s.mode, s.size })
      local kinds = {}
      for _, entry in ipairs(file("list", "/home/boxd")) do
        kinds[entry.name] = entry.kind
      end
      assert.equal("file", kinds.r)
      assert.equal("link", kinds["to-r"])
      assert.equal("directory", kinds.d)
      assert.equal("fifo", kinds.pipe)
    end)

    it("that a reader cannot be held by, or led astray", function()
      for _, path in ipairs { "pipe", "/dev/null", "/home/boxd", "no/such" } do
        local fd, message = file("read", path)
        assert.is_nil(fd, path)
        assert.truthy(message:find(path, 1, true), message)
      end
    end)

    it("but no path that is too long, nor one of its beginnings", function()
      local folder = "/tmp" .. ("/../tmp"):rep(580) .. ("/"):rep(3)
      for _, operation in ipairs { "begin", "mkdir" } do
        local answer, _, errno = file(operation, folder .. ("n"):rep(40))
        assert.is_nil(answer, operation)
        assert.equal(36, errno) -- ENAMETOOLONG
      end
      assert.equal("", output(box, "ls -A /tmp"))
    end)

    it("copied, renamed and removed", function()
      output(box, "mkdir -p t/u; echo 1 > t/u/f; ln -s f t/u/l; ln -s / top")
      assert(file("copy", "t", "t2"))
      assert(file("rename", "t2/u", "t2/v"))
      assert(file("mkdir", "t3"))
      assert(file("remove", "t"))
      assert(file("remove", "top"))
      assert.equal("1 f gone gone", output(box, "test -d t3; echo "
        .. "$(cat t2/v/f) $(readlink t2/v/l) $(test -e t || echo gone) "
        .. "$(test -e top || echo gone)"))
      assert.equal("0", output(box, "test -e /usr/bin/env; echo $?"))
    end)
  end)

  describe("has a disk", function()
    local disk

    before_each(function()
      disk = boxes.state .. "/disk"
      assert(serve.sys.mkdir(disk, 448))
    end)
    after_each(function() assert(boxes.spawner:remove(disk)) end)

    it("attached and detached while it runs, whose files stay", function()
      assert(boxes.spawner:attach(box, disk, "/data/disk", false))
      output(box, "echo kept > /data/disk/f")
      assert.is_nil(boxes.spawner:attach(box, disk, "/data/disk", false))
      assert(boxes.spawner:detach(box, "/data/disk"))
      assert.equal("", output(box, "ls /data/disk"))
      assert.is_nil(boxes.spawner:detach(box, "/data/disk"))
      assert.is_nil(boxes.spawner:detach(box, "/usr"))
      assert(boxes.spawner:attach(box, disk, "/data/two", false))
      assert.equal("kept", output(box, "cat /data/two/f"))
      assert(boxes.spawner:detach(box, "/data/two"))
    end)

    it("read-only, which nothing in it can undo", function()
      assert(boxes.spawner:attach(box, disk, "/data/ro", false))
      output(box, "echo kept > /data/ro/f; chmod 666 /data/ro/f")
      assert(boxes.spawner:detach(box, "/data/ro"))
      assert(boxes.spawner:attach(box, disk, "/data/ro", true))
      for _, command in ipairs { "echo x >> /data/ro/f", "rm -f /data/ro/f",
        "touch /data/ro/new", "chmod 600 /data/ro/f", "mkdir /data/ro/d",
        "mount -o remount,rw /data/ro", "mount -o remount,rw,bind /data/ro",
        "umount /data/ro", "mount --bind /data/ro /mnt",
        "mv /data/ro /data/rw" } do
        assert.not_equal(0, run(box, command).code, command)
      end
      assert.equal("kept", output(box, "cat /data/ro/f"))
      assert(boxes.spawner:detach(box, "/data/ro"))
    end)

    it("taken away while something uses it", function()
      assert(boxes.spawner:attach(box, disk, "/data/busy", false))
      local c = assert(boxes.spawner:exec(box,
        { command = "exec sleep 1005", cwd = "/data/busy" }))
      assert(boxes.spawner:detach(box, "/data/busy"))
      c:signal(9)
      c:wait()
    end)

    it("that must be there", function()
      local ok, message = boxes.spawner:attach(box, disk .. "/none", "/x", false)
      assert.is_nil(ok)
      assert.truthy(message:find("No such file", 1, true), message)
    end)
  end)

  describe("is reached at a port", function()
    it("of its own, as another box at the same", function()
      local two = boxes:start "two"
      local list = { one = box, two = two }
      local servers, replies = {}, {}
      for name, b in pairs(list) do
        output(b, ("mkdir -p /home/boxd/www; echo this is %s > /home/boxd/www/who")
          :format(name))
        servers[name] = assert(boxes.spawner:exec(b, { cwd = "/home/boxd/www",
          command = "exec /usr/bin/python3 -m http.server 8000 2>&1" }))
      end
      for name, b in pairs(list) do
        local fd
        eventually(function()
          fd = boxes.spawner:connect(b, 8000)
          return fd
        end)
        fd:write "GET /who HTTP/1.0\r\n\r\n"
        replies[name] = sandbox.read(fd):match "this is %a+"
      end
      assert.same({ one = "this is one", two = "this is two" }, replies)
      for _, c in pairs(servers) do
        c:signal(9)
        c:wait()
      end
      assert.is_nil(boxes.spawner:connect(box, 8000))
      boxes:kill(two)
      assert(boxes.spawner:remove(boxes:dir "two"))
    end)
  end)

  it("comes back with its files, and nothing that ran", function()
    local b = boxes:start "back"
    output(b, "echo kept > /home/boxd/f; echo t > /tmp/t; " .. sudo(b) .. "rm /etc/issue; "
      .. "sleep 1000 >/dev/null 2>&1 &")
    boxes:kill(b)
    assert.is_nil(boxes.spawner:exec(b, { command = "true" }))
    assert.is_nil(boxes.spawner:kill(b))
    b = boxes:start "back"
    assert.equal("kept gone 0", output(b, "echo $(cat f) "
      .. "$(test -e /etc/issue || echo gone) $(pgrep -c sleep)"))
    boxes:kill(b)
    assert(boxes.spawner:remove(boxes:dir "back"))
  end)

  it("is reported when it dies by itself", function()
    local b, pid = boxes:start "dies"
    local c = assert(boxes.spawner:exec(b, { command = "sleep 1000" }))
    os.execute("kill -9 " .. pid)
    assert.equal(137, c:wait())
    assert.equal(b, boxes.spawner:gone())
    assert.is_nil(boxes.spawner:exec(b, { command = "true" }))
    assert(boxes.spawner:remove(boxes:dir "dies"))
  end)

  it("is reported with all that die at once", function()
    local all, pids = {}, {}
    for i = 1, 66 do all[i], pids[i] = boxes:start("many" .. i) end
    -- All of it happens while events are not read.
    os.execute(("kill -9 %s; for p in %s; do while test -e /proc/$p; do "
      .. "sleep 0.02; done; done"):format(table.concat(pids, " "),
      table.concat(pids, " ")))
    local told = boxd.with_timeout(20, function()
      local handles = {}
      for i = 1, #all do handles[i] = boxes.spawner:gone() end
      return handles
    end)
    table.sort(told)
    assert.same(all, told)
    for i = 1, #all do assert(boxes.spawner:remove(boxes:dir("many" .. i))) end
  end)

  it("holds a fork bomb to its limit", function()
    local b = boxes:start("bomb", { processes = 60 })
    local r = run(b, "for i in $(seq 100); do sleep 60 >/dev/null 2>&1 & done "
      .. "2>&1")
    assert.truthy(r.out:find "fork" or r.err:find "fork", r.out .. r.err)
    assert.equal("fine", output(box, "echo fine")) -- others go on
    boxes:kill(b)
    assert(boxes.spawner:remove(boxes:dir "bomb"))
  end)
end)

describe("a fork of a box", function()
  local from, to

  setup(function()
    from = boxes:start "from"
    local as_root = sudo(from)
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
  -- What a box could leave: processes below the spawner, mounts that show its
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
      local r = run(b, sudo(b) .. "touch /etc/a /usr/b /home/boxd/c; "
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

  teardown(function() boxes:close() end)

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
