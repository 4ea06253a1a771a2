-- The methods that compose others, on real boxes.

local boxd = require "boxd"
local service = require "spec.support.service"

local with_root = service.with_root(it, pending)

local _, c = service.of_block()

describe("a real box", function()
  local box
  setup(function() box = c.box:ensure "everyday" end)
  teardown(function() c.box:sweep { prefix = "everyday" } end)

  it("goes down and up, from each state that it may be left in", function()
    assert.equal("stopped", box:down().status)
    assert.equal("running", box:up().status)
    for _, verb in ipairs { "suspend", "hibernate", "stop" } do
      box[verb](box)
      assert.equal("running", box:up().status)
    end
    box:hibernate()
    assert.equal("stopped", box:down().status)
    box:up()
  end)

  it("is all that a method which brings it to a state returns", function()
    assert.equal(1, select("#", box:up()))
    assert.equal(1, select("#", box:wait_until_ready()))
    assert.equal(1, select("#", box:down()))
    assert.equal(1, select("#", box:up()))
    c.snapshot:create(box, "everyday")
    local _drop <close> = setmetatable({}, { __close = function()
      c.snapshot:delete "everyday"
    end })
    assert.equal(1, select("#", c.snapshot:wait_until_ready "everyday"))
  end)

  it("has booted anew when reboot{ wait = true } returns", function()
    local function boot()
      return box:sh("cat /proc/sys/kernel/random/boot_id").stdout
    end
    local before = boot()
    box:sh "sleep 1000 >/dev/null 2>&1 & echo $! > /tmp/pid"
    box:reboot { wait = true }
    assert.not_equal(before, boot())
    assert.equal("", box:sh("cat /proc/$(cat /tmp/pid)/comm 2>/dev/null | "
      .. "grep sleep").stdout)
  end)

  it("is returned with wait = true once it answers, of a pending snapshot too",
    function()
      local made = c.box:create("everyday-w", { wait = true })
      made:sh "head -c 50000000 /dev/urandom >/tmp/big"
      assert.equal("pending", c.snapshot:create(made, "everyday").status)
      local _drop <close> = setmetatable({}, { __close = function()
        c.snapshot:delete "everyday"
      end })
      local copy <close> = c.box:temporary { from_snapshot = "everyday",
        wait = true, lease = 60 }
      assert.equal("50000000\n",
        copy:sh("stat -c %s /tmp/big", { timeout = 5 }).stdout)
      local again = c.snapshot:create(made, "everyday", { wait = true })
      assert.same({ "ready", 2 }, { again.status, again.version })
      local fork = c.box:fork(made, { name = "everyday-f", wait = true })
      assert.is_true(fork:exec("true", { timeout = 5 }).success)
    end)

  it("shows what lies under a path", function()
    box:sh "cd /tmp && printf 12345 > f && chmod 4750 f && ln -sf 'a b' l"
    local found = box:stat "/tmp/f"
    assert.equal("file", found.type)
    assert.equal(5, found.size)
    assert.equal(tonumber("4750", 8), found.mode)
    assert.equal("a b", box:stat "/tmp/l".target)
    assert.is_true(box:exists "/tmp/l")
    assert.equal("directory", box.files:stat "/etc".type)
    assert.is_nil(box:stat "/tmp/f/g")
    assert.is_false(box:exists "/none")
  end)

  with_root("takes files and folders of another owner, and leaves nothing", function()
    box:write_file("secret", "/srv/new/f", { owner = "nobody:daemon",
      mode = "600" })
    local found = box:stat "/srv/new/f"
    assert.same({ "nobody", "daemon", 384 },
      { found.owner, found.group, found.mode })
    box:mkdir("/srv/d", { owner = "nobody", mode = "750" })
    assert.equal("nogroup", box:stat "/srv/d".group)
    local ok, e = pcall(box.mkdir, box, "/srv/d", { owner = "nobody" })
    assert.is_false(ok)
    assert.equal("ConflictError", e.class)
    assert.is_false((pcall(box.write_file, box, "x", "/srv/x",
      { owner = "no-such-user" })))
    assert.is_false(box:exists "/srv/x")
    assert.equal("", box:sh("ls -A ~ /srv /srv/new | grep boxd-").stdout)
  end)

  with_root("verifies files that its user may not read", function()
    for owner, mode in pairs { ["root"] = "600", ["nobody:daemon"] = "640",
      ["boxd"] = "000" } do
      local path = "/srv/verified-" .. mode
      box:write_file("secret", path, { owner = owner, mode = mode, verify = true })
      assert.equal(owner:match "%w+", box:stat(path).owner)
      assert.equal("secret", box:sh("sudo cat " .. path).stdout)
    end
    box:write_file("x", "/root/verified", { owner = "root", verify = true })
    box:write_file("mine", "mine", { mode = "000", verify = true })
    local ok, e = pcall(box.read_file, box, "/srv/verified-600", { verify = true })
    assert.is_false(ok)
    assert.equal("PermissionDeniedError", e.class)
  end)

  with_root("verifies them in a box that speaks another language", function()
    box:write_file([[#!/bin/sh
      /usr/bin/sha256sum "$@" 2>/dev/null && exit
      why="Keine Berechtigung"
      [ "$LC_ALL" = C ] && why="Permission denied"
      echo "sha256sum: $why" >&2
      exit 1]], "/usr/local/bin/sha256sum", { owner = "root", mode = "755" })
    local _drop <close> = setmetatable({}, { __close = function()
      box:sh "sudo rm /usr/local/bin/sha256sum"
    end })
    box:write_file("x", "/root/translated", { owner = "root", verify = true })
  end)

  it("publishes a port, and says why one is not reached", function()
    box:sh "cd /etc && python3 -m http.server 8123 >/dev/null 2>&1 &"
    box:wait_for_port(8123, { timeout = 20 })
    local url = box:publish(8123, { name = "api", path = "/hostname",
      timeout = 20 })
    assert.equal(200, boxd.http.request { url = url .. "/hostname" }.status)
    assert.equal(url, box:publish(8123, { name = "api", timeout = 20 }))
    local _, e = pcall(box.publish, box, 8124, { timeout = 2 })
    assert.matches("nothing listens on port 8124", e.message, 1, true)
    box:sh "cd /etc && python3 -m http.server 8125 --bind 127.0.0.1 >/dev/null 2>&1 &"
    box:wait_for_port(8125, { timeout = 20 })
    _, e = pcall(box.publish, box, 8125, { timeout = 5 })
    assert.matches("have it listen on 0.0.0.0", e.message, 1, true)
    _, e = pcall(box.wait_for_port, box, 8124, { timeout = 0.3 })
    assert.equal("TimeoutError", e.class)
  end)

  it("is made once by many at the same time", function()
    local made = boxd.map({ 1, 2, 3, 4 }, function()
      return { c.box:ensure "everyday-2" }
    end)
    local created = 0
    for _, one in ipairs(made) do
      assert.equal(made[1][1].id, one[1].id)
      created = created + (one[2] and 1 or 0)
    end
    assert.equal(1, created)
    c.box:destroy "everyday-2"
    c.box:destroy("everyday-2", { missing_ok = true })
  end)
end)
