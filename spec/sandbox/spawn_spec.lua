-- Boxes through the spawner: commands, terminals, and a box that is suspended.

local boxd = require "boxd"
local sandbox = require "spec.support.sandbox"

local boxes = sandbox.of_file { outgoing = true }
if not boxes then return end

local run = function(...) return boxes:run(...) end
local output = function(...) return boxes:output(...) end
local eventually = sandbox.eventually

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
      if not boxes:has_root(box) then
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
      if not boxes:has_root(box) then return pending "this user has no ids for root" end
      assert.equal(1, run(box, "test -w /etc/passwd").code)
      assert.equal("0 root", output(box,
        "sudo touch /etc/mine; stat -c '%u %U' /etc/mine"))
    end)

    it("with sudo, which says why where the box has one id", function()
      if boxes:has_root(box) then return pending "this user has ids for root" end
      local r = run(box, "sudo -n true")
      assert.equal(1, r.code)
      assert.matches("^sudo: .*uidmap", r.err)
    end)

    it("with sudo", function()
      if not boxes:has_root(box) then return pending "this user has no ids for root" end
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
        return run(box, "sleep 0.6; exit " .. i).code
      end, { limit = 40 })
      codes.n = nil
      assert.same(list, codes)
      assert.is_true(boxd.now() - began < 18) -- 24 s one after the other
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

  it("comes back with its files, and nothing that ran", function()
    local b = boxes:start "back"
    output(b, "echo kept > /home/boxd/f; echo t > /tmp/t; "
      .. boxes:sudo(b) .. "rm /etc/issue; sleep 1000 >/dev/null 2>&1 &")
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
