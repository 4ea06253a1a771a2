-- The scripts of scripts/examples/provision, run twice as a user would, in boxes
-- that have tiny packages of these names and a systemctl that records.

local program = require "spec.support.program"
local support = require "spec.support.service"
local world = require "spec.support.provision"

local it = support.with_root(it, pending)

describe("the example of provision", function()
  local service, compute = support.of_block()
  local journal = os.tmpname()

  teardown(function() os.remove(journal) end)

  local function run(name, ...)
    local result = program.lua { "scripts/examples/provision/" .. name .. ".lua", ...,
      env = { BOXD_API_URL = service.api_url, BOXD_API_KEY = service.api_key,
        BOXD_EXCHANGE_URL = service.exchange_url, PASSWORD = "hush-2718" } }
    assert.equal("", result.err)
    assert.equal(0, result.status)
    assert.is_nil(result.out:find("hush-2718", 1, true))
    return result.out
  end

  -- The machine may have a package already, and its boxes with it.
  local function twice(name, box, steps)
    local changed, right = run(name, box):match "^(%d+) changed, (%d+) right already\n$"
    assert.equal(steps, changed + right)
    assert.is_true(right + 0 <= 1, right)
    assert.equal(("0 changed, %d right already\n"):format(steps), run(name, box))
  end

  it("web", function()
    local box = compute.box:create "web"
    world.packages(box, { "nginx 1.0", "openssl-none 1.0" })
    world.systemd(box)
    world.sh(box, [[
mkdir -p /etc/nginx/sites-enabled /etc/nginx/sites-available
echo x > /etc/nginx/sites-enabled/default; : > /etc/systemd/system/nginx.service
printf '#!/bin/sh\nexit 0\n' > /usr/local/bin/nginx; chmod 755 /usr/local/bin/nginx]])
    twice("web", "web", 10)
    assert.equal("enable -- nginx.service\nstart -- nginx.service\n",
      world.sh(box, "cat /srv/systemd/log"))
    assert.matches("BEGIN CERTIFICATE", world.sh(box, "cat /etc/nginx/tls/site.pem"))
  end)

  it("postgres", function()
    local box = compute.box:create "db"
    world.packages(box, { "postgresql 15" })
    world.systemd(box)
    world.sh(box, [[
: > /etc/systemd/system/postgresql.service
id -u postgres >/dev/null 2>&1 || useradd -m postgres
install -d -o postgres /srv/pg
cat > /usr/local/bin/psql <<'E'
#!/bin/sh
case "$*" in
*rolname*) grep -q 'CREATE ROLE app' /srv/pg/log 2>/dev/null && echo 1;;
*datname*) test -e /srv/pg/app && echo 1;;
*) cat >> /srv/pg/log; printf %s "$PASSWORD" | sha256sum >> /srv/pg/log;;
esac; exit 0
E
printf '#!/bin/sh\necho > /srv/pg/$3\n' > /usr/local/bin/createdb
chmod 755 /usr/local/bin/psql /usr/local/bin/createdb]])
    twice("postgres", "db", 4)
    assert.matches("CREATE ROLE app LOGIN", world.sh(box, "cat /srv/pg/log"))
  end)

  it("app", function()
    local box = compute.box:create "app"
    world.systemd(box)
    twice("app", "app", 7)
    assert.equal("daemon-reload\nenable -- app.service\nstart -- app.service\n",
      world.sh(box, "cat /srv/systemd/log"))
    assert.equal("600 deploy\n", world.sh(box, "stat -c '%a %U' /srv/app/env"))
  end)

  it("fleet", function()
    local broken = compute.box:create "fleet-3"
    world.sh(broken, "touch /srv/broken")
    local out = run("fleet", journal)
    for _, n in ipairs { 1, 2, 4, 5 } do
      assert.matches(("fleet%%-%d: 3 changed, 0 failed, 0 skipped\n"):format(n), out)
    end
    assert.matches("fleet%-3: 1 changed, 1 failed, 1 skipped\n", out)
    assert.matches("box fleet%-3: step 2, command test ! %-e /srv/broken", out)
    world.sh(broken, "rm /srv/broken")
    local result = program.lua { "--resume", journal,
      "scripts/examples/provision/fleet.lua", journal,
      env = { BOXD_API_URL = service.api_url, BOXD_API_KEY = service.api_key,
        BOXD_EXCHANGE_URL = service.exchange_url } }
    assert.matches("fleet%-1: 0 changed, 0 failed, 3 skipped\n", result.out)
    assert.matches("fleet%-3: 2 changed, 0 failed, 1 skipped\n", result.out)
  end)
end)
