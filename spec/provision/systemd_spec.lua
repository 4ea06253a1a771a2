-- Units and services, with the systemd of a box.

local boxd = require "boxd"
local sandbox = require "spec.support.sandbox"
local support = require "spec.support.service"
local world = require "spec.support.provision"

local function why_not()
  local boxes, why = sandbox.new { systemd = true }
  if boxes then boxes:close() end
  return why
end

local UNIT = [[
[Service]
ExecStart=/bin/sh -c 'cat /etc/app.conf; exec sleep 1000'
[Install]
WantedBy=multi-user.target
]]

describe("provision of a box with systemd", function()
  local why = why_not()
  if why then
    it("brings units and services to their state", function()
      pending("no systemd in boxes here: " .. why)
    end)
    return
  end
  local _, compute = support.of_block { "--init", "systemd" }
  local box

  setup(function() box = compute.box:create "real" end)

  local content = "first"
  local function app(on)
    local conf = on.file("/etc/app.conf", { content = content .. "\n" })
    on.unit("app.service", UNIT)
    on.service("app", { running = true, enabled = true, restart_on = { conf } })
  end

  it("waits for systemd where the box has only just been made", function()
    assert.equal("changed changed changed", world.statuses(boxd.provision(box, app)))
    assert.equal("active\nenabled\n",
      box:sh("systemctl is-active app; systemctl is-enabled app").stdout)
    assert.equal("ok ok ok", world.statuses(boxd.provision(box, app)))
  end)

  it("restarts a service for what changed, and that alone", function()
    local function started()
      return box:sh("systemctl show -p ExecMainStartTimestampMonotonic app").stdout
    end
    local before = started()
    boxd.provision(box, app)
    assert.equal(before, started())
    content = "second"
    boxd.provision(box, app)
    assert.not_equal(before, started())
    assert.matches("first\n.*second\n", box:sh("sudo journalctl -o cat -u app").stdout)
  end)

  it("finds enabled units running after a reboot", function()
    box:reboot()
    boxd.wait_until(function()
      return box:sh("systemctl is-system-running").stdout == "running\n"
    end)
    assert.equal("ok ok ok", world.statuses(boxd.provision(box, app)))
  end)

  it("shows the journal of a service that fails", function()
    local ok, e = pcall(boxd.provision, box, function(on)
      on.unit("bad.service", "[Service]\nType=oneshot\n"
        .. "ExecStart=/bin/sh -c 'echo so it says; exit 3'\n")
      on.service("bad", { running = true })
    end)
    assert.is_false(ok)
    assert.matches("command: systemctl start %-%- bad", e.message)
    assert.matches("so it says", e.message)
  end)

  it("stops and disables a service", function()
    local function off(on) on.service("app", { running = false, enabled = false }) end
    assert.equal("changed", world.statuses(boxd.provision(box, off)))
    assert.equal("inactive\ndisabled\n",
      box:sh("systemctl is-active app; systemctl is-enabled app").stdout)
  end)
end)
