-- on.link(path, target, { state= })

local core = require "boxd.core"
local want = require "boxd.internal.provision.want"
core.internal()

local link = { name = "link", blind = true, quiet = true }

function link.declare(path, target, opts)
  path = want.path("on.link", path)
  target = want.text("on.link", "the target", target)
  opts = want.options("on.link", opts, { "state" })
  return { name = path, path = path, target = target, claims = { path },
    state = want.one_of("on.link", "state", opts.state, { "present", "absent" }) }
end

function link.facts(step, ask) ask("is", "stat", step.path) end

function link.plan(step, facts)
  local is = facts and facts.is
  if is and (is.type == "directory" or step.state == "present"
      and is.type ~= "absent" and not is.target) then
    error(("%s is a %s, not a link: remove it first, by on.file or on.directory "
      .. "with state = \"absent\""):format(step.path, is.type), 0)
  end
  if step.state == "absent" then
    if is and is.type == "absent" then return nil end
    return { "remove" }
  end
  if is and is.target == step.target then return nil end
  return { is and is.target and ("target: %s -> %s"):format(is.target, step.target)
    or "create" }
end

function link.apply(step, _, act)
  if step.state == "absent" then return act("unlink", step.path) end
  act("link", step.path, step.target)
end

function link.reads(step) return { step.path } end
-- Paths below it lead elsewhere afterwards.
function link.writes(step) return { step.path .. "/" } end

return link
