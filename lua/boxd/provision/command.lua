-- on.command(cmd, { creates=, removes=, unless=, only_if=, on_change=, cwd=,
-- env=, user=, secret= })

local core = require "boxd.core"
local agent = require "boxd.internal.provision.agent"
local conditions = require "boxd.internal.provision.conditions"
local want = require "boxd.internal.provision.want"
core.internal()

local command = { name = "command", blind = true, facts = conditions.facts,
  reads = conditions.reads }

function command.declare(cmd, opts)
  want.text("on.command", "the command", cmd)
  opts = want.options("on.command", opts, { "cwd", "env", "user", "secret",
    table.unpack(conditions.names) })
  local step = { name = cmd, command = cmd,
    env = want.env("on.command", opts.env),
    cwd = opts.cwd ~= nil and want.path("on.command", opts.cwd) or nil,
    user = opts.user ~= nil and want.name("on.command", "user", opts.user) or nil,
    secret = want.boolean("on.command", opts, "secret") }
  conditions.declare("on.command", opts, step)
  step.identity = cmd
  if step.secret then step.name = ("a command of %d bytes"):format(#cmd) end
  return step
end

function command.plan(step, facts)
  if facts and not conditions.met(step, facts) then return nil end
  return { "run" }
end

function command.apply(step, _, act)
  conditions.apply(step, act)
  act("run", step.command, step.user, step.cwd, agent.map(step.env), step.secret)
end

function command.writes() return { "*" } end

return command
