-- What on.line and on.block have in common: a part of a file's text. Steps of
-- one file see what those before them make of it, and are written at once.

local core = require "boxd.core"
local check = require "boxd.internal.check"
local text = require "boxd.internal.provision.text"
core.internal()

local content = {}

local function complain(method, step, other, why)
  check.invalid("%s: %s: %s, by %s at %s", method, step.path, why,
    tostring(other), other.where)
end

-- Would one of them undo the other, at every run anew?
local function fight(a, b)
  if a.removes then
    for _, line in ipairs(b.lines) do
      if a.removes(line) and not (a.lines[1] == line) then return true end
    end
  end
end

function content.check(method, step, plan)
  local whole = plan.contents[step.path]
  if whole then
    complain(method, step, whole, "its content is decided already")
  end
  local others = plan.lines[step.path] or {}
  for _, other in ipairs(others) do
    if step.match and step.match == other.match then
      complain(method, step, other, "the line with this match is decided already")
    end
    if fight(step, other) or fight(other, step) then
      complain(method, step, other,
        "a line would be both present and absent, or replaced in turn")
    end
  end
  others[#others + 1] = step
  plan.lines[step.path] = others
end

function content.facts(step, ask)
  ask("is", "stat", step.path, true, "", true)
end

-- change(lines) -> true when it has changed them. `facts.is.content` is what
-- the steps before have made of it.
function content.plan(step, facts, change)
  local is = facts.is
  if is.type ~= "file" and is.type ~= "absent" then
    error(("%s is a %s, not a file"):format(step.path, is.type), 0)
  end
  local before = is.content or ""
  local lines, ended = text.lines(before)
  if not change(lines) then return nil end
  local after = text.join(lines)
  if not ended and lines[#lines] and after:sub(1, -2) == before then return nil end
  return { "content", path = step.path, before = before, after = after,
    secret = step.secret }
end

function content.apply(step, changes, act)
  act("write", step.path, changes.after, step.secret and not changes.there
    and "600" or nil, nil, nil, true)
end

return content
