-- creates, removes, unless, only_if and on_change: whether a step runs at all.
-- They are read with the facts, and looked at again in the box, in their place,
-- where an earlier step may have changed their result.

local core = require "boxd.core"
local agent = require "boxd.internal.provision.agent"
local want = require "boxd.internal.provision.want"
core.internal()

local conditions = {}

local PATHS = { "creates", "removes" }
local COMMANDS = { "unless", "only_if" }

conditions.names = { "creates", "removes", "unless", "only_if", "on_change" }

function conditions.declare(method, opts, step)
  for _, name in ipairs(PATHS) do
    step[name] = opts[name] ~= nil and want.path(method, opts[name]) or nil
  end
  for _, name in ipairs(COMMANDS) do
    step[name] = opts[name] ~= nil and want.text(method, name, opts[name]) or nil
  end
  step.on_change = opts.on_change
end

function conditions.facts(step, ask)
  if step.mark then ask("mark", "mark", step.mark) end
  for _, name in ipairs(PATHS) do
    if step[name] then ask(name, "stat", step[name]) end
  end
  for _, name in ipairs(COMMANDS) do
    if step[name] then
      ask(name, "run", step[name], step.user, step.cwd, agent.map(step.env))
    end
  end
end

-- By the facts: do they let it run? on_change is the engine's.
function conditions.met(step, facts)
  return not (step.creates and facts.creates.type ~= "absent"
    or step.removes and facts.removes.type == "absent"
    or step.unless and facts.unless.code == "0"
    or step.only_if and facts.only_if.code ~= "0")
end

function conditions.apply(step, act)
  for _, name in ipairs(PATHS) do
    if step[name] then act(name, step[name]) end
  end
  for _, name in ipairs(COMMANDS) do
    if step[name] then
      act(name, step[name], step.user, step.cwd, agent.map(step.env))
    end
  end
end

function conditions.reads(step)
  if step.unless or step.only_if then return { "*" } end
  local list = { step.creates }
  list[#list + 1] = step.removes
  return list
end

return conditions
