-- Steps on files, lines, blocks, links, users and commands: from nothing, from
-- each wrong attribute, from right.

local boxd = require "boxd"
local support = require "spec.support.service"
local world = require "spec.support.provision"

local it = support.with_root(it, pending)

describe("a step of provision", function()
  local _, compute = support.of_block()
  local box

  setup(function() box = compute.box:create "steps" end)

  local function sh(line) return world.sh(box, line) end
  local function run(fn, opts) return boxd.provision(box, fn, opts) end
  local statuses = world.statuses

  -- A dry run, which must change nothing and foretell the run; the run; and
  -- another one, which must find nothing to do in one call of the box.
  local function holds(fn, state)
    local before = sh(state)
    local dry = world.dry(box, fn)
    assert.equal(before, sh(state))
    local done = run(fn)
    assert.equal(dry, statuses(done))
    assert.is_true(done.changed > 0)
    local after = sh(state)
    local again = run(fn)
    assert.equal(0, again.changed)
    assert.is_true(again.rounds <= 1)
    assert.equal(after, sh(state))
    return after, done
  end

  -- The same from every one of the starts, which all end in the same.
  local function converges(fn, state, starts)
    local first = holds(fn, state)
    for _, start in ipairs(starts) do
      sh(start)
      assert.equal(first, (holds(fn, state)))
    end
    return first
  end

  it("file: has content, mode and owner", function()
    assert.equal("640 www-data:games hello\n", converges(function(on)
      on.file("/srv/f", { content = "hello\n", mode = "640",
        owner = "www-data:games" })
    end, "stat -c '%a %U:%G' /srv/f 2>&1 | tr '\\n' ' '; cat /srv/f 2>&1; true",
      { "echo other > /srv/f", "echo longer than that > /srv/f",
        "chmod 4755 /srv/f", "chown root /srv/f", "chgrp root /srv/f",
        "rm /srv/f", "rm /srv/f; ln -s /etc/passwd /srv/f" }))
    assert.matches("root:", sh "head -1 /etc/passwd")
  end)

  it("file: is absent, also when it is a link", function()
    sh "ln -s /etc/passwd /srv/gone"
    holds(function(on) on.file("/srv/gone", { state = "absent" }) end,
      "ls /srv/gone /etc/passwd 2>&1; true")
    sh "mkdir /srv/gone"
    local ok, e = pcall(run, function(on)
      on.file("/srv/gone", { state = "absent" })
    end)
    assert.is_false(ok)
    assert.is_true(e:is(boxd.ProvisionError))
    assert.matches("/srv/gone is a directory", e.message)
  end)

  it("file: names and contents of any bytes", function()
    local all = {}
    for i = 0, 255 do all[i + 1] = string.char(i) end
    local content = table.concat(all)
    local path = "/srv/odd '\"$`\\\n\t\255 name"
    local fn = function(on) on.file(path, { content = content }) end
    assert.equal(1, run(fn).changed)
    assert.equal(content, sh "cat /srv/odd*name")
    assert.equal(0, run(fn).changed)
  end)

  it("directory: is made with those above it, and its attributes", function()
    assert.equal("2750 www-data:games", converges(function(on)
      on.directory("/srv/a/b", { mode = "2750", owner = "www-data:games" })
    end, "stat -c '%a %U:%G' /srv/a/b 2>&1 | tr -d '\\n'",
      { "chmod 700 /srv/a/b", "chown root /srv/a/b", "chgrp root /srv/a/b",
        "rm -r /srv/a" }))
    holds(function(on) on.directory("/srv/a", { state = "absent" }) end,
      "ls /srv/a 2>&1; true")
  end)

  it("link: leads to its target", function()
    assert.equal("target\n", converges(function(on)
      on.link("/srv/l", "target")
    end, "readlink /srv/l 2>&1; true", { "ln -sfn other /srv/l", "rm /srv/l" }))
    sh "rm /srv/l; echo kept > /srv/l"
    local ok, e = pcall(run, function(on) on.link("/srv/l", "target") end)
    assert.is_false(ok)
    assert.matches("not a link", e.message)
    assert.equal("kept\n", sh "cat /srv/l")
  end)

  it("line: replaces what matches, else is added", function()
    local function fn(on)
      on.line("/srv/conf", "Port 22", { match = "^#?Port " })
      on.line("/srv/conf", "old", { state = "absent" })
    end
    assert.equal("Port 22\n", (holds(fn, "cat /srv/conf 2>&1; true")))
    for _, start in ipairs { "a\\n#Port 1\\nPort 2\\nold\\nz", "a\\nPort 22\\nPort 3\\nz\\n",
        "a\\nPort 3\\nold\\nz" } do
      sh("printf '" .. start .. "' > /srv/conf")
      assert.equal("a\nPort 22\nz", (holds(fn, "cat /srv/conf"):gsub("\n$", "")))
    end
  end)

  it("line and block: keep the file's owner, mode and link", function()
    sh("printf 'x' > /srv/real; chown www-data /srv/real; "
      .. "chmod 600 /srv/real; ln -sf real /srv/alias")
    assert.equal("x\none\n# BEGIN b\ntwo\nthree\n# END b\n600 www-data\n", converges(
      function(on)
        on.line("/srv/alias", "one")
        on.block("/srv/alias", "b", "two\nthree\n")
      end, "cat /srv/alias; stat -c '%a %U' /srv/real",
      { "sed -i 's/two/2/' /srv/real", "sed -i /three/d /srv/real",
        "printf 'x\\none' > /srv/real" }))
    assert.equal("real\n", sh "readlink /srv/alias")
  end)

  it("lines of one file under two names are all kept", function()
    sh "echo 0 > /srv/name; ln -s name /srv/other-name"
    local function fn(on)
      on.line("/srv/name", "1")
      on.line("/srv/other-name", "2")
      on.line("/srv/name", "3")
    end
    assert.equal("changed changed changed", statuses(run(fn)))
    assert.equal("0\n1\n2\n3\n", sh "cat /srv/name")
    assert.equal("ok ok ok", statuses(run(fn)))
  end)

  it("lines and blocks of one file are written at once", function()
    local report = run(function(on)
      for i = 1, 20 do on.line("/srv/many", "line " .. i) end
    end)
    assert.equal(20, report.changed)
    assert.equal(2, report.rounds)
    assert.equal("20\n", sh "wc -l < /srv/many")
    assert.matches("%+line 7\n", report.steps[7].diff)
  end)

  it("user and group: have the asked attributes", function()
    holds(function(on)
      on.group("team", { gid = 4321 })
      on.user("worker", { shell = "/bin/sh", groups = { "team" }, uid = 4322 })
    end, "getent passwd worker; getent group team; true")
    for _, start in ipairs { "usermod -s /bin/bash worker", "gpasswd -d worker team",
        "usermod -u 5000 worker", "groupmod -g 5001 team" } do
      sh(start .. " >/dev/null")
      holds(function(on)
        on.group("team", { gid = 4321 })
        on.user("worker", { shell = "/bin/sh", groups = { "team" }, uid = 4322 })
      end, "getent passwd worker; getent group team; true")
    end
    holds(function(on) on.user("worker", { state = "absent" }) end,
      "getent passwd worker; true")
  end)

  it("command: runs by its conditions, and for others' changes", function()
    local function fn(on)
      local f = on.file("/srv/trigger", { content = "1" })
      on.command("echo made > /srv/made", { creates = "/srv/made" })
      on.command("echo run >> /srv/log", { on_change = { f } })
      on.command("rm /srv/lock", { removes = "/srv/lock" })
      on.command("exit 9", { unless = "test -e /srv/made" })
      on.command("exit 9", { only_if = "false" })
    end
    assert.equal("changed changed changed ok ok ok",
      statuses(run(fn)))
    assert.equal("ok ok ok ok ok ok", statuses(run(fn)))
    assert.equal("run\n", sh "cat /srv/log")
  end)

  it("command: one that was due stays due when the run is cut short", function()
    local function plan(command)
      return function(on)
        local f = on.file("/srv/cut", { content = "new" })
        on.command(command)
        on.command("echo due >> /srv/due", { on_change = f })
      end
    end
    assert.is_false(pcall(run, plan "exit 1"))
    local report = run(plan "true")
    assert.equal("ok changed changed", statuses(report))
    assert.equal("due\n", sh "cat /srv/due")
    assert.equal("ok changed ok", statuses(run(plan "true")))
  end)

  it("command: one that was due, and is right already, is due no more", function()
    local function plan(command)
      return function(on)
        local f = on.file("/srv/cut-2", { content = "new" })
        on.command(command)
        on.command("false", { on_change = f, creates = "/srv/cut-2" })
      end
    end
    assert.is_false(pcall(run, plan "exit 1"))
    assert.matches("^%x+\n$", sh "ls /var/lib/boxd/provision")
    run(plan "true")
    assert.equal("", sh "ls /var/lib/boxd/provision")
  end)

  it("command: a failure shows command, code and its last 20 lines", function()
    local ok, e = pcall(run, function(on)
      on.command "seq 1 50; echo oops >&2; exit 7"
      on.file("/srv/after", { content = "x" })
    end)
    assert.is_false(ok)
    assert.equal("ProvisionError", e.class)
    assert.matches("exit code 7", e.message)
    assert.matches("command: seq 1 50", e.message)
    assert.matches("    32\n.*    50\n    oops", e.message)
    assert.is_nil(e.message:find "    31\n")
    assert.equal("failed skipped", statuses(e.report))
    assert.equal("no\n", sh "test -e /srv/after && echo yes || echo no")
  end)

  it("command: has its user, folder and environment", function()
    run(function(on)
      on.command("echo $(id -un) $PWD $HOME \"$A\" > /tmp/who", { user = "www-data",
        cwd = "/usr", env = { A = "x y" } })
    end)
    assert.equal("www-data /usr /var/www x y\n", sh "cat /tmp/who")
  end)

  it("sync: sends what differs, and foretells it", function()
    local from = os.tmpname()
    os.remove(from)
    finally(function() os.execute("rm -r " .. from) end)
    assert(os.execute("mkdir " .. from .. "; echo 1 > " .. from .. "/f"))
    holds(function(on)
      on.sync(from, "/srv/synced", { delete = true })
    end, "ls -A /srv/synced 2>&1; true")
  end)

  it("file: large contents", function()
    local content = ("0123456789abcdef"):rep(1 << 20)
    local function fn(on) on.file("/srv/large", { content = content }) end
    assert.equal("changed", statuses(run(fn)))
    assert.equal("ok", statuses(run(fn)))
    assert.equal(boxd.sha256(content) .. "\n", sh "sha256sum < /srv/large | cut -d' ' -f1")
  end)

  it("fact and fn: read, and run in order", function()
    local seen
    local report = run(function(on)
      local f = on.fact("kernel", "uname -s")
      on.file("/srv/first", { content = "1" })
      on.fn(function(b)
        seen = f.value .. b:read_file "/srv/first"
        return false
      end)
    end)
    assert.equal("Linux1", seen)
    assert.equal("Linux", report.facts.kernel)
    assert.equal("ok changed ok", statuses(report))
  end)
end)
