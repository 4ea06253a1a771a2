-- How provision runs: calls of the box, dry runs, journals, lists of boxes, root by
-- sudo, secrets, and kinds of the user's own.

local boxd = require "boxd"
local program = require "spec.support.program"
local terminal = require "spec.support.terminal"
local support = require "spec.support.service"
local world = require "spec.support.provision"

local it = support.with_root(it, pending)

describe("provision", function()
  local service, compute = support.of_block()
  local box, folder

  setup(function()
    box = compute.box:create "run"
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder))
  end)

  teardown(function() os.execute("rm -rf " .. folder) end)

  local function sh(line) return world.sh(box, line) end
  local function run(fn, opts) return boxd.provision(box, fn, opts) end
  local statuses = world.statuses

  local function save(text)
    local path = folder .. "/script.lua"
    local f <close> = assert(io.open(path, "w"))
    f:write("local box = boxd.Compute{}.box:get 'run'\n", text)
    return path
  end

  local function lua(args, env)
    env = env or {}
    env.BOXD_API_URL, env.BOXD_API_KEY = service.api_url, service.api_key
    env.BOXD_EXCHANGE_URL = service.exchange_url
    args.env = env
    return program.lua(args)
  end

  it("takes one call of the box when nothing is to be done, and few to make all",
    function()
      local script = save [[
        local report = boxd.provision(box, function(on)
          for i = 1, 30 do
            on.directory("/srv/calls/" .. i, { mode = "750" })
            on.line("/srv/calls.conf", "line " .. i)
            on.file("/srv/calls/" .. i .. "/f", { content = "x" .. i })
            on.link("/srv/calls/" .. i .. "/l", "f")
          end
          on.command("touch /srv/calls/made", { creates = "/srv/calls/made" })
          on.command("touch /srv/calls/two", { unless = "test -e /srv/calls/two" })
        end)
        print(report.changed)]]
      local function calls(result)
        assert.equal(0, result.status, result.err)
        return select(2, result.err:gsub("[^\n]*Exec[^\n]*", "")), result.out
      end
      local function go() return lua({ script }, { BOXD_LOG = "info" }) end
      local n, changed = calls(go())
      assert.equal("122\n", changed)
      assert.equal(2, n)
      n, changed = calls(go())
      assert.equal("0\n", changed)
      assert.equal(1, n)
    end)

  describe("of one path, where another run", function()
    -- A curl that writes, and does as the last part of its URL says.
    setup(function()
      sh [[cat > /usr/local/bin/curl <<'END'
#!/bin/sh
while [ "$1" != -o ]; do shift; done
echo got > "$2"
case $4 in
*/killed) kill -9 $PPID;;
*) echo > /srv/begun; read go < /srv/go;;
esac
END
chmod 755 /usr/local/bin/curl; mkfifo /srv/begun /srv/go; mkdir /srv/runs]]
    end)
    teardown(function() sh "rm -r /usr/local/bin/curl /srv/begun /srv/go /srv/runs" end)

    local function download(name)
      return run(function(on)
        on.download("/srv/runs/f", { url = "http://box/" .. name })
      end)
    end
    local function write()
      run(function(on) on.file("/srv/runs/f", { content = "written\n" }) end)
    end

    it("is writing it, leaves that run its file", function()
      local other = boxd.spawn(download, "waits")
      sh "read begun < /srv/begun"
      write()
      assert.equal("written\n", sh "cat /srv/runs/f")
      sh "echo > /srv/go"
      assert.equal("changed", statuses(other:join()))
      assert.equal("f got\n", sh "echo $(ls -A /srv/runs; cat /srv/runs/*)")
    end)

    it("was killed, removes what that run left", function()
      sh "rm -f /srv/runs/f"
      assert.is_false((pcall(download, "killed")))
      assert.not_equal("", sh "ls -A /srv/runs")
      write()
      assert.equal("f\n", sh "ls -A /srv/runs")
    end)
  end)

  it("may make the same directories twice at once", function()
    local function make()
      return run(function(on)
        for i = 1, 300 do on.directory("/srv/twice/" .. i .. "/sub") end
      end)
    end
    local task = boxd.spawn(make)
    make()
    task:join()
  end)

  it("shows its changes as diffs by --dry-run and BOXD_DRY_RUN", function()
    sh "printf 'a\\nb\\nc\\n' > /srv/shown"
    local script = save [[
      boxd.provision(box, function(on)
        on.file("/srv/shown", { content = "a\nB\nc\n", mode = "600" })
        on.file("/srv/hidden", { content = "hush", secret = true })
      end)]]
    local wanted = "run: would change file /srv/shown (content, mode: 644 -> 600)\n"
      .. "--- /srv/shown\n+++ /srv/shown\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n"
      .. "run: would change file /srv/hidden (create, 4 bytes)\n"
    for _, result in ipairs { lua { "--dry-run", script },
      lua({ script }, { BOXD_DRY_RUN = "1" }) } do
      assert.equal("", result.err)
      assert.equal(wanted, result.out)
    end
    assert.equal("a\nb\nc\n", sh "cat /srv/shown; cat /srv/hidden 2>/dev/null; true")
  end)

  it("goes on by --resume with what failed or was not reached", function()
    local script = save(([[
      boxd.provision(box, function(on)
        local f = on.file("/srv/resumed", { content = "1" })
        on.command "echo first >> /srv/order"
        on.command "test -e /srv/mended"
        on.command("echo last >> /srv/order", { on_change = f })
      end, { journal = %q })]]):format(folder .. "/journal"))
    local broken = lua { script }
    assert.equal(1, broken.status)
    assert.matches("boxdlua %-%-resume " .. folder .. "/journal " .. script, broken.err)
    sh "touch /srv/mended"
    local cut <close> = assert(io.open(folder .. "/journal", "ab"))
    assert(cut:write '{"box":"run","ca') -- as by a full disk or a kill
    assert(cut:flush())
    local resumed = lua { "--resume", folder .. "/journal", script }
    assert.equal("", resumed.err)
    assert.equal("first\nlast\n", sh "cat /srv/order")
    for _ = 1, 2 do -- by the script's journal, which another one's beginning is in
      assert.equal("", lua({ "--resume", folder .. "/journal", script }).err)
      assert(os.execute(("mv %s/journal %s/other"):format(folder, folder)))
      assert.equal("", lua({ "--resume", folder .. "/other", script }).err)
    end
    assert.equal("first\nlast\n", sh "cat /srv/order")
  end)

  it("shows on a terminal a line a step that changes, and a table", function()
    local script = save [[
      boxd.provision(box, function(on)
        on.file("/srv/tty", { content = "x", mode = "600" })
        on.directory "/srv"
      end)]]
    local out, status = terminal.play({ program.boxdlua, script, env = {
      BOXD_API_URL = service.api_url, BOXD_API_KEY = service.api_key,
      BOXD_EXCHANGE_URL = service.exchange_url, TERM = "xterm", NO_COLOR = "1" } },
      { { "end" } })
    assert.equal(0, status, out)
    assert.matches("run  changed  file /srv/tty %(create%)\n", out)
    assert.is_nil(out:find("directory /srv", 1, true))
    assert.matches("box +changed +maybe +ok +failed +skipped +seconds\n"
      .. "run +1 +0 +1 +0 +0 +%d", out)
  end)

  it("becomes root by sudo, and says when it may not", function()
    sh [[printf '#!/bin/sh\necho "sudo: a password is required" >&2; exit 1\n' \
      > /usr/local/sbin/sudo; chmod 755 /usr/local/sbin/sudo]]
    local function fn(on) on.file("/srv/by-sudo", { content = "x" }) end
    local ok, e = pcall(run, fn)
    assert.equal("boxd\n", box:exec("id", "-un").stdout)
    assert.is_true(box:sh("/usr/local/bin/sudo rm /usr/local/sbin/sudo").success)
    local report = run(fn)
    assert.is_false(ok)
    assert.matches("needs root, and sudo .*a password is required.*NOPASSWD", e.message)
    assert.equal("changed", statuses(report))
    assert.equal("root\n", sh "stat -c %U /srv/by-sudo")
  end)

  it("shows secrets nowhere", function()
    local secret = "hush-this-9431"
    local journal = folder .. "/secret"
    local function fn(on)
      on.file("/srv/secret", { content = secret, secret = true })
      on.line("/srv/lines", "password=" .. secret, { secret = true })
      on.block("/srv/blocks", "b", secret, { secret = true })
      on.command("echo " .. secret .. "; exit 1", { secret = true,
        env = { PASSWORD = secret } })
    end
    local _, printed = world.dry(box, fn)
    local ok, e = pcall(run, fn, { journal = journal })
    assert.is_false(ok)
    local f <close> = assert(io.open(journal))
    local function all(v)
      if type(v) ~= "table" then return tostring(v) end
      local list = {}
      for k, each in pairs(v) do list[#list + 1] = tostring(k) .. all(each) end
      return table.concat(list, "\n")
    end
    for _, text in ipairs { printed, tostring(e), all(e.report), f:read "a" } do
      assert.is_nil(text:find(secret, 1, true), text)
    end
    assert.matches("14 bytes", printed)
    assert.equal("600\n600\n600\n", sh "stat -c %a /srv/secret /srv/lines /srv/blocks")
  end)

  it("keeps commands and contents off the lists of arguments", function()
    local report = run(function(on)
      on.command "true unseen-7312; cat /proc/[0-9]*/cmdline | tr '\\0' ' ' > /srv/seen"
      on.file("/srv/other", { content = "unseen-7312" })
    end)
    assert.equal("changed changed", statuses(report))
    assert.equal("0\n", sh "grep -c unseen-7312 /srv/seen || true")
  end)

  local function slow(on)
    on.file("/srv/slow-1", { content = tostring(boxd.now()) })
    on.command "sleep 30.25"
    on.file("/srv/slow-2", { content = "x" })
  end

  it("names the step that a call of the box ended at, which may have happened",
    function()
      local ok, e = pcall(run, slow, { timeout = 3 })
      assert.is_false(ok)
      assert.equal("ProvisionError", e.class)
      assert.equal("changed failed skipped", statuses(e.report))
      assert.matches("step 2, command sleep 30.25 .* TimeoutError", e.message)
    end)

  it("ends by a timeout around it, and by a cancellation, as any call", function()
    local ok, e = pcall(boxd.with_timeout, 0.3, run, slow)
    assert.is_false(ok)
    assert.equal("TimeoutError", e.class)
    local task = boxd.spawn(run, slow)
    boxd.sleep(0.2)
    task:cancel()
    ok, e = pcall(task.join, task)
    assert.is_false(ok)
    assert.equal("CancelledError", e.class)
    support.eventually(function()
      return sh "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c '[s]leep 30.25' || true"
        == "0\n"
    end)
  end)

  it("raises what the service answers as it is, when it is about no step", function()
    local gone = compute.box:create "gone"
    gone:destroy()
    local ok, e = pcall(boxd.provision, gone, slow)
    assert.is_false(ok)
    assert.equal("NotFoundError", e.class)
  end)

  it("takes a kind of the user's own, in one call when nothing is to be done", function()
    local host = { name = "host", declare = function(name, address)
      return { name = name, line = address .. "\t" .. name }
    end }
    function host.facts(_, ask) ask("hosts", "run", "cat /etc/hosts", "", "", "") end
    function host.plan(step, facts)
      local there = ("\n" .. facts.hosts.stdout):find("\n" .. step.line .. "\n", 1, true)
      return not there and { "add", line = step.line } or nil
    end
    function host.apply(_, changes, act)
      act("run", ("echo '%s' >> /etc/hosts"):format(changes.line), "", "", "")
    end
    local function fn(on) on.step(host, "db.internal", "10.0.0.5") end
    assert.equal("changed", (world.dry(box, fn)))
    assert.equal("changed", statuses(run(fn)))
    local again = run(fn)
    assert.equal("ok", statuses(again))
    assert.equal(1, again.rounds)
  end)

  describe("of several boxes", function()
    local boxes

    setup(function()
      boxes = boxd.map({ "one", "two", "three" }, function(name)
        return compute.box:create(name)
      end)
    end)

    local function fn(on, b)
      on.command("test " .. b.name .. " != two")
      on.file("/srv/reached", { content = b.name })
    end

    it("gives a report a box, and raises at the end what failed", function()
      local ok, e = pcall(boxd.provision, boxes, fn, { fail_percent = 50 })
      assert.is_false(ok)
      assert.equal("ProvisionError", e.class)
      assert.equal("changed changed", statuses(e.report.one))
      assert.equal("failed skipped", statuses(e.report.two))
      assert.equal("changed changed", statuses(e.report.three))
      assert.matches("box two: step 1", e.message)
    end)

    it("begins no further box once too many have failed", function()
      local ok, e = pcall(boxd.provision, { boxes[2], boxes[1], boxes[3] }, fn,
        { limit = 1 })
      assert.is_false(ok)
      assert.equal("failed skipped", statuses(e.report.two))
      assert.equal("skipped skipped", statuses(e.report.one))
      assert.equal("skipped skipped", statuses(e.report.three))
    end)

    it("declares all of them before any runs", function()
      local ok = pcall(boxd.provision, boxes, function(on, b)
        on.file("/srv/early", { content = "x" })
        if b.name == "three" then on.file "relative" end
      end)
      assert.is_false(ok)
      for _, b in ipairs(boxes) do
        assert.is_false(b:exec("test", "-e", "/srv/early").success)
      end
    end)

    it("gives reports by name when all is right", function()
      local reports = boxd.provision(boxes, function(on)
        on.file("/srv/all", { content = "x" })
      end)
      for _, name in ipairs { "one", "two", "three" } do
        assert.equal(1, reports[name].changed)
      end
    end)
  end)
end)
