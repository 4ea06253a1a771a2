-- The steps that a script declares: `on`.

local core = require "boxd.core"
local boxd = require "boxd"
local check = require "boxd.internal.check"
core.internal()

local steps = {}

local KINDS = { "package", "file", "directory", "link", "line", "block", "user",
  "group", "service", "unit", "git", "sync", "download", "command", "fact",
  "fn" }

local TRIGGERS = { "on_change", "restart_on", "reload_on" }

local Step = { __name = "boxd.Step" }
Step.__index = Step
Step.__tostring = function(step)
  return ("%s %s"):format(step.kind, step.name)
end

local function is_step(v) return getmetatable(v) == Step end

-- on_change, restart_on, reload_on: steps declared before, one or a list.
local function check_triggers(plan, method, fields, name)
  local v = fields[name]
  if v == nil then return end
  if is_step(v) then v = { v } end
  if type(v) ~= "table" then
    check.invalid("%s: %s is a list of steps, as on.file and others return "
      .. "them, not %s", method, name, check.show(v))
  end
  local list = {}
  for _, each in ipairs(v) do
    if not is_step(each) or plan[each.index] ~= each then
      check.invalid("%s: %s has %s, which is not a step of this box", method, name,
        is_step(each) and "a step" or check.show(each))
    end
    list[#list + 1] = each
  end
  if #list == 0 then
    check.invalid("%s: %s is empty: nothing could set it off", method, name)
  end
  fields[name] = list
end

-- The name under which a box remembers that a step is due.
local function mark(step)
  for _, name in ipairs(TRIGGERS) do
    if step[name] then
      return boxd.sha256(table.concat({ step.kind, step.name,
        step.identity or "" }, "\0"))
    end
  end
end

-- `claims` is what a step decides: another one must not decide it, too.
local function claim(plan, method, step)
  for _, what in ipairs(step.claims or {}) do
    local other = plan.claims[what]
    if other then
      check.invalid("%s: %s is decided already, by %s at %s", method, what,
        tostring(other), other.where)
    end
  end
  for _, what in ipairs(step.claims or {}) do plan.claims[what] = step end
end

local function is_below(path, directory)
  return path:sub(1, #directory + 1) == directory .. "/"
end

-- Paths below a directory that is to be absent can't exist.
local function check_absent(plan, method, step)
  local removes = step.kind == "directory" and step.state == "absent"
  for _, other in ipairs(step.path and (removes and plan or plan.removed) or {}) do
    local a, b = step, other
    for _ = 1, other.path and 2 or 0 do
      if a.kind == "directory" and a.state == "absent" and is_below(b.path, a.path)
          and b.state ~= "absent" then
        check.invalid("%s: %s can't be below %s, which is absent, by %s at %s",
          method, b.path, a.path, tostring(other), other.where)
      end
      a, b = b, a
    end
  end
end

-- Adds a step of a kind to a plan.
function steps.add(plan, kind, method, ...)
  if plan.closed then
    check.invalid("%s: steps are declared by the function that is given to "
      .. "provision, while it runs", method)
  end
  local step = kind.declare(...)
  step.kind, step.how = kind.name, kind
  step.where = check.where():gsub(":$", "")
  for _, name in ipairs(TRIGGERS) do
    check_triggers(plan, method, step, name)
  end
  setmetatable(step, Step)
  if kind.check then kind.check(step, plan) end
  claim(plan, method, step)
  check_absent(plan, method, step)
  if step.kind == "directory" and step.state == "absent" then
    plan.removed[#plan.removed + 1] = step
  end
  step.mark = mark(step)
  step.index = #plan + 1
  plan[step.index] = step
  return step
end

local OWN = { "declare", "facts", "plan", "apply", "name", "blind", "reads",
  "writes" }

-- on.step(kind, ...): a kind of the user's own.
local function add_own(plan, kind, ...)
  if type(kind) ~= "table" then check.fail(1, "on.step", "table", kind) end
  core.text.options(kind, "on.step", OWN)
  for _, name in ipairs { "declare", "plan", "apply" } do
    if type(kind[name]) ~= "function" then
      check.invalid("on.step: the kind's field '%s' is a function, not %s", name,
        check.show(kind[name]))
    end
  end
  local function declare(...)
    local step = kind.declare(...)
    if type(step) ~= "table" or type(step.name) ~= "string" then
      check.invalid("on.step: declare returns a table with a name, not %s",
        check.show(step))
    end
    return step
  end
  return steps.add(plan, setmetatable({ declare = declare,
    name = kind.name or "step" }, { __index = kind }), "on.step", ...)
end

-- The steps that fn(on, box) declares.
function steps.declare(fn, box)
  local plan = { claims = {}, lines = {}, contents = {}, removed = {} }
  local on = {
    step = function(...) return add_own(plan, ...) end,
  }
  for _, name in ipairs(KINDS) do
    on[name] = function(...)
      local kind = require("boxd.provision." .. name)
      return steps.add(plan, kind, "on." .. name, ...)
    end
  end
  setmetatable(on, { __index = function(_, name)
    local near = core.text.nearest(tostring(name), KINDS)
    check.invalid("on.%s: there is no such step%s", tostring(name),
      near and (" (did you mean '%s'?)"):format(near)
        or ": on.step takes your own")
  end })
  fn(on, box)
  plan.closed = true
  return plan
end

return steps
