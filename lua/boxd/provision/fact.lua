-- on.fact(name, cmd, { cwd=, env=, user=, secret= }): what a command prints, as
-- step.value, for functions of on.fn and in the report.

local core = require "boxd.core"
local agent = require "boxd.internal.provision.agent"
local want = require "boxd.internal.provision.want"
core.internal()

local fact = { name = "fact" }

function fact.declare(name, cmd, opts)
  name = want.name("on.fact", "the name", name)
  want.text("on.fact", "the command", cmd)
  opts = want.options("on.fact", opts, { "cwd", "env", "user", "secret" })
  return { name = name, command = cmd, env = want.env("on.fact", opts.env),
    cwd = opts.cwd ~= nil and want.path("on.fact", opts.cwd) or nil,
    user = opts.user ~= nil and want.name("on.fact", "user", opts.user) or nil,
    secret = want.boolean("on.fact", opts, "secret"),
    claims = { "fact " .. name } }
end

function fact.facts(step, ask)
  ask("is", "run", step.command, step.user, step.cwd, agent.map(step.env))
end

function fact.plan(step, facts)
  if facts.is.code ~= "0" then
    error({ message = "exit code " .. facts.is.code,
      command = not step.secret and step.command or nil, code = facts.is.code,
      output = not step.secret and facts.is.stderr or nil }, 0)
  end
  step.value = facts.is.stdout:gsub("\n+$", "")
end

function fact.apply() end

function fact.reads() return { "*" } end
function fact.writes() return {} end

return fact
