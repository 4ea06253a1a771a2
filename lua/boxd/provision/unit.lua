-- on.unit(name, text, { state= }): a file of /etc/systemd/system.

local core = require "boxd.core"
local check = require "boxd.internal.check"
local file = require "boxd.provision.file"
local want = require "boxd.internal.provision.want"
core.internal()

local unit = { name = "unit", blind = true, systemd = true }

function unit.declare(name, text, opts)
  if type(name) ~= "string" or not name:find "^[%w:_.@\\-]+$" then
    check.invalid("on.unit: %s is not a unit's name", check.show(name))
  end
  opts = want.options("on.unit", opts, { "state" })
  local state = want.one_of("on.unit", "state", opts.state, { "present", "absent" })
  if state == "present" and type(text) ~= "string" then
    check.invalid("on.unit: the unit is text, not %s", check.show(text))
  end
  if not name:find "%.%l+$" then name = name .. ".service" end
  local path = "/etc/systemd/system/" .. name
  return { name = name, path = path, state = state, claims = { path },
    content = state == "present" and text or nil, mode = "644", owner = "root",
    group = "root" }
end

unit.check = file.check

function unit.facts(step, ask)
  file.facts(step, ask)
  ask("systemd", "service", step.name)
end

function unit.plan(step, facts)
  local due = facts and facts.systemd.NeedDaemonReload == "yes"
  return file.plan(step, facts) or due and { "daemon-reload" } or nil
end

function unit.apply(step, changes, act)
  file.apply(step, changes, act)
  act("daemon_reload", step.name)
end

function unit.reads(step) return { step.path } end
function unit.writes(step) return { step.path, "service/" .. step.name } end

return unit
