-- on.service(name, { running=, enabled=, restart_on={…}, reload_on={…} })

local core = require "boxd.core"
local check = require "boxd.internal.check"
local want = require "boxd.internal.provision.want"
core.internal()

local service = { name = "service", blind = true, systemd = true }

function service.declare(name, opts)
  if type(name) ~= "string" or not name:find "^[%w:_.@\\-]+$" or name:find "^%-" then
    check.invalid("on.service: %s is not a unit's name", check.show(name))
  end
  opts = want.options("on.service", opts, { "running", "enabled", "restart_on",
    "reload_on" })
  if not next(opts) then
    check.invalid("on.service: say what %s is to be: running, enabled, restart_on "
      .. "or reload_on", name)
  end
  if not name:find "%.%l+$" then name = name .. ".service" end
  return { name = name, claims = { "service " .. name },
    running = want.boolean("on.service", opts, "running"),
    enabled = want.boolean("on.service", opts, "enabled"),
    restart_on = opts.restart_on, reload_on = opts.reload_on }
end

function service.facts(step, ask)
  ask("is", "service", step.name)
  if step.mark then ask("mark", "mark", step.mark) end
end

local ACTIVE = { active = true, reloading = true, activating = true }
local ENABLED = { enabled = true, ["enabled-runtime"] = true, alias = true,
  static = true }

function service.plan(step, facts, due)
  local is = facts and facts.is
  if not is then return { "look at it" } end
  local active, enabled = ACTIVE[is.ActiveState] or false,
    ENABLED[is.UnitFileState] or false
  local changes = {}
  if step.enabled ~= nil and step.enabled ~= enabled then
    changes[#changes + 1] = step.enabled and "enable" or "disable"
  end
  if step.running ~= nil and step.running ~= active then
    changes[#changes + 1] = step.running and "start" or "stop"
  end
  if due and active and step.running ~= false then
    changes[#changes + 1] = step.restart_on and "restart" or "reload"
  end
  return changes[1] and changes
end

local function flag(v)
  if v == nil then return "" end
  return v and "1" or "0"
end

local function indices(list)
  local numbers = {}
  for i, step in ipairs(list or {}) do numbers[i] = step.index end
  return table.concat(numbers, " ")
end

function service.apply(step, _, act)
  act("service", step.name, flag(step.running), flag(step.enabled), step.mark,
    indices(step.restart_on), indices(step.reload_on))
end

function service.reads(step) return { "service/" .. step.name } end
function service.writes(step) return { "service/" .. step.name } end

return service
