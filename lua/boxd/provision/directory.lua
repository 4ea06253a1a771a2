-- on.directory(path, { mode=, owner=, state= })

local core = require "boxd.core"
local check = require "boxd.internal.check"
local text = require "boxd.internal.provision.text"
local want = require "boxd.internal.provision.want"
core.internal()

local directory = { name = "directory", blind = true, quiet = true }

function directory.declare(path, opts)
  path = want.path("on.directory", path)
  opts = want.options("on.directory", opts, { "mode", "owner", "state" })
  local step = { name = path, path = path, claims = { path },
    mode = want.mode("on.directory", opts.mode),
    state = want.one_of("on.directory", "state", opts.state,
      { "present", "absent" }) }
  step.owner, step.group = want.owner("on.directory", opts.owner)
  if step.state == "absent" and (step.mode or opts.owner) then
    check.invalid "on.directory: one that is absent has no mode or owner"
  end
  if step.state == "absent" and select(2, path:gsub("/", "")) < 2 then
    check.invalid("on.directory: %s is not removed: it is a part of the system",
      path)
  end
  return step
end

-- A link to a directory is one, but nothing to remove.
function directory.facts(step, ask)
  ask("is", "stat", step.path, step.state == "present")
end

function directory.plan(step, facts)
  local is = facts and facts.is
  if is and is.type ~= "absent" and is.type ~= "directory" then
    error(("%s is a %s, not a directory"):format(step.path, is.type), 0)
  end
  if step.state == "absent" then
    if is and is.type == "absent" then return nil end
    return { "remove" }
  end
  if not is or is.type ~= "directory" then return { "create" } end
  local changes = text.attributes(step, is)
  return changes[1] and changes
end

function directory.apply(step, _, act)
  if step.state == "absent" then return act("rmdir", step.path) end
  act("mkdir", step.path, step.mode, step.owner, step.group)
end

function directory.reads(step) return { step.path } end
function directory.writes(step)
  return { step.state == "absent" and step.path .. "/" or step.path }
end

return directory
