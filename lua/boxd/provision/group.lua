-- on.group(name, { gid=, system=, state= })

local core = require "boxd.core"
local want = require "boxd.internal.provision.want"
core.internal()

local group = { name = "group", blind = true }

function group.declare(name, opts)
  name = want.name("on.group", "the name", name)
  opts = want.options("on.group", opts, { "gid", "system", "state" })
  return { name = name, claims = { "group " .. name },
    gid = want.integer("on.group", opts, "gid", 0),
    system = want.boolean("on.group", opts, "system"),
    state = want.one_of("on.group", "state", opts.state, { "present", "absent" }) }
end

function group.facts(step, ask) ask("is", "group", step.name) end

function group.plan(step, facts)
  local is = facts and facts.is
  if step.state == "absent" then
    if is and is.missing then return nil end
    return { "remove" }
  end
  if not is or is.missing then return { "create" } end
  if step.gid and is.gid ~= tostring(step.gid) then
    return { ("gid: %s -> %d"):format(is.gid, step.gid) }
  end
end

function group.apply(step, _, act)
  act("group", step.name, step.state, step.gid, step.system)
end

function group.reads(step) return { "group/" .. step.name } end
function group.writes(step) return { "group/" .. step.name } end

return group
