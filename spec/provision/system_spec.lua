-- Steps on packages, services, units, repositories and downloads, against what
-- the spec brings itself.

local boxd = require "boxd"
local support = require "spec.support.service"
local world = require "spec.support.provision"

local describe = support.with_root(describe, pending)

describe("provision of a system", function()
  local _, compute = support.of_block()
  local box

  setup(function() box = compute.box:create "system" end)

  local function sh(line) return world.sh(box, line) end
  local function run(fn, opts) return boxd.provision(box, fn, opts) end
  local function quiet(fn) return (world.dry(box, fn)) end
  local statuses = world.statuses

  it("refuses services and units of a box without systemd, and does nothing",
    function()
      for _, fn in ipairs {
        function(on) on.service("x", { running = true }) end,
        function(on) on.unit("x", "[Service]\n") end } do
        local ok, e = pcall(run, function(on)
          on.file("/srv/before", { content = "x" })
          fn(on)
        end)
        assert.is_false(ok)
        assert.matches("does not run systemd", e.message)
        assert.equal("", sh "ls /srv")
      end
    end)

  describe("packages", function()
    setup(function()
      world.packages(box, { "tiny-a 1.0", "tiny-b 1.0", "tiny-b 2.0" })
    end)

    local function version(name)
      return sh("dpkg-query -W -f '${db:Status-Status} ${Version}' " .. name
        .. " 2>/dev/null; true")
    end

    it("are installed once, and their files read again", function()
      local function fn(on)
        on.package { "tiny-a", "tiny-b=1.0" }
        on.file("/etc/tiny-a/conf", { content = "mine\n" })
        on.line("/etc/tiny-b/conf", "added")
      end
      assert.equal("changed maybe maybe", quiet(fn))
      local report = run(fn)
      assert.equal("changed changed changed", statuses(report))
      assert.is_true(report.rounds <= 3)
      assert.equal("installed 1.0", version "tiny-a")
      assert.equal("installed 1.0", version "tiny-b")
      assert.equal("setting of 1.0\nadded\n", sh "cat /etc/tiny-b/conf")
      report = run(fn)
      assert.equal("ok ok ok", statuses(report))
      assert.equal(1, report.rounds)
    end)

    it("become the latest, and absent", function()
      local function latest(on) on.package("tiny-b", { state = "latest" }) end
      assert.equal("changed", quiet(latest))
      assert.equal("changed", statuses(run(latest)))
      assert.equal("installed 2.0", version "tiny-b")
      assert.equal("ok", statuses(run(latest)))
      local function absent(on) on.package("tiny-a", { state = "absent" }) end
      assert.equal("changed", statuses(run(absent)))
      assert.equal("ok", statuses(run(absent)))
    end)

    it("that don't exist fail with what apt says", function()
      local ok, e = pcall(run, function(on) on.package "tiny-none" end)
      assert.is_false(ok)
      assert.matches("exit code 100", e.message)
      assert.matches("Unable to locate package tiny%-none", e.message)
    end)
  end)

  describe("services", function()
    setup(function() world.systemd(box) end)

    local function log()
      return sh "cat /srv/systemd/log 2>/dev/null; rm -f /srv/systemd/log"
    end

    local function fn(text, how)
      return function(on)
        local unit = on.unit("app", text)
        on.service("app", { running = true, enabled = true, [how] = unit })
      end
    end

    it("start with their unit, and again when it changes", function()
      assert.equal("changed maybe", quiet(fn("[Service]\n", "restart_on")))
      assert.equal("changed changed", statuses(run(fn("[Service]\n", "restart_on"))))
      assert.equal("daemon-reload\nenable -- app.service\nstart -- app.service\n", log())
      local report = run(fn("[Service]\n", "restart_on"))
      assert.equal("ok ok", statuses(report))
      assert.equal(1, report.rounds)
      assert.equal("", log())
      assert.equal("changed changed",
        statuses(run(fn("[Service]\nUser=x\n", "restart_on"))))
      assert.equal("daemon-reload\nrestart -- app.service\n", log())
      assert.equal("changed changed", statuses(run(fn("[Service]\n", "reload_on"))))
      assert.equal("daemon-reload\nreload-or-restart -- app.service\n", log())
    end)

    it("stop and are disabled, each by itself", function()
      local function stop(on) on.service("app", { running = false }) end
      assert.equal("changed", quiet(stop))
      assert.equal("changed", statuses(run(stop)))
      assert.equal("stop -- app.service\n", log())
      assert.equal("ok", statuses(run(stop)))
      assert.equal("changed", statuses(run(function(on)
        on.service("app", { enabled = false })
      end)))
      assert.equal("disable -- app.service\n", log())
    end)

    it("restart at the next run when this one was cut short", function()
      run(fn("[Service]\n", "restart_on"))
      log()
      local function plan(command, text)
        return function(on)
          local file = on.file("/srv/app.conf", { content = text })
          on.command(command, { unless = command })
          on.service("app", { running = true, restart_on = { file } })
        end
      end
      assert.is_false(pcall(run, plan("false", "1")))
      assert.equal("ok ok changed", statuses(run(plan("true", "1"))))
      assert.equal("restart -- app.service\n", log())
      assert.equal("ok ok ok", statuses(run(plan("true", "1"))))
    end)

    it("that fail show what systemctl says", function()
      sh ": > /srv/systemd/app.service.broken"
      local ok, e = pcall(run, function(on)
        on.service("app", { running = false })
      end)
      sh "rm /srv/systemd/app.service.broken"
      assert.is_false(ok)
      assert.matches("app.service is broken", e.message)
      assert.matches("command: systemctl stop %-%- app.service", e.message)
    end)

    it("that are unknown are said to be", function()
      local ok, e = pcall(run, function(on)
        on.service("nothing", { running = true })
      end)
      assert.is_false(ok)
      assert.matches("no service nothing.service", e.message)
    end)
  end)

  it("clones a repository, and follows its branches, tags and commits", function()
    sh [[set -e; export HOME=/root; git init -q -b main /srv/repo.git; cd /srv/repo.git
      git config user.email a@b; git config user.name a
      echo 1 > f; git add f; git commit -qm 1; git tag -a v1 -m v1
      echo 2 > f; git commit -qam 2]]
    local function fn(ref)
      return function(on)
        on.git("/srv/clone", { repo = "/srv/repo.git", ref = ref })
      end
    end
    for _, case in ipairs { { "v1", "1" }, { "main", "2" }, { "v1", "1" }, { nil, "2" } } do
      assert.equal("changed", quiet(fn(case[1])))
      assert.equal("changed", statuses(run(fn(case[1]))))
      assert.equal(case[2] .. "\n", sh "cat /srv/clone/f")
      local again = run(fn(case[1]))
      assert.equal("ok", statuses(again))
      assert.equal(1, again.rounds)
    end
    sh "echo other > /srv/clone/f"
    assert.equal("changed", statuses(run(fn "main")))
    sh "cd /srv/repo.git; echo 3 > f; git commit -qam 3"
    assert.equal("changed", statuses(run(fn "main")))
    assert.equal("3\n", sh "cat /srv/clone/f")
    local ok, e = pcall(run, fn "nothing")
    assert.is_false(ok)
    assert.matches("no branch, tag or commit nothing", e.message)
  end)

  it("downloads only a file that has the hash", function()
    sh "echo content > /srv/source"
    local hash = boxd.sha256 "content\n"
    local function fn(sum)
      return function(on)
        on.download("/srv/got", { url = "file:///srv/source", sha256 = sum,
          mode = "640" })
      end
    end
    if sh "command -v curl || true" == "" then
      return pending "the box has no curl"
    end
    assert.is_false(pcall(run, fn(("0"):rep(64))))
    assert.equal("no\n", sh "test -e /srv/got && echo yes || echo no")
    assert.equal("changed", statuses(run(fn(hash))))
    assert.equal("ok", statuses(run(fn(hash))))
    assert.equal("640 content\n", sh "stat -c %a /srv/got | tr '\\n' ' '; cat /srv/got")
    sh "echo changed > /srv/got"
    assert.equal("changed", statuses(run(fn(hash))))
  end)
end)
