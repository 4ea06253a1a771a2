-- on.user(name, { uid=, groups=, shell=, home=, system=, state= })

local core = require "boxd.core"
local want = require "boxd.internal.provision.want"
core.internal()

local user = { name = "user", blind = true }

function user.declare(name, opts)
  name = want.name("on.user", "the name", name)
  opts = want.options("on.user", opts, { "uid", "groups", "shell", "home", "system",
    "state" })
  return { name = name, claims = { "user " .. name },
    uid = want.integer("on.user", opts, "uid", 0),
    groups = want.names("on.user", "groups", opts.groups),
    shell = opts.shell ~= nil and want.path("on.user", opts.shell) or nil,
    home = opts.home ~= nil and want.path("on.user", opts.home) or nil,
    system = want.boolean("on.user", opts, "system"),
    state = want.one_of("on.user", "state", opts.state, { "present", "absent" }) }
end

function user.facts(step, ask) ask("is", "user", step.name) end

local function missing_groups(step, is)
  local has, list = { [is.group] = true }, {}
  for each in is.groups:gmatch "%S+" do has[each] = true end
  for _, each in ipairs(step.groups or {}) do
    if not has[each] then list[#list + 1] = "group: +" .. each end
  end
  return list
end

function user.plan(step, facts)
  local is = facts and facts.is
  if step.state == "absent" then
    if is and is.missing then return nil end
    return { "remove" }
  end
  if not is or is.missing then return { "create" } end
  local changes = missing_groups(step, is)
  for _, name in ipairs { "uid", "shell", "home" } do
    if step[name] and tostring(step[name]) ~= is[name] then
      changes[#changes + 1] = ("%s: %s -> %s"):format(name, is[name], step[name])
    end
  end
  return changes[1] and changes
end

function user.apply(step, _, act)
  act("user", step.name, step.state, step.uid, step.shell, step.home, step.system,
    table.unpack(step.groups or {}))
end

function user.reads(step) return { "user/" .. step.name } end
function user.writes(step)
  return { "user/" .. step.name, "group/", (step.home or "/home/" .. step.name) .. "/" }
end

return user
