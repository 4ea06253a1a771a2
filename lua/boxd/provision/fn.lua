-- on.fn(function(box) … end, { name=, on_change= }): anything else. A function that
-- returns false has changed nothing; any other has.

local core = require "boxd.core"
local check = require "boxd.internal.check"
local want = require "boxd.internal.provision.want"
core.internal()

local fn = { name = "fn" }

function fn.declare(f, opts)
  if type(f) ~= "function" then check.fail(1, "on.fn", "function", f) end
  opts = want.options("on.fn", opts, { "name", "on_change" })
  local where = check.where():gsub(":$", "")
  local name = opts.name ~= nil and want.text("on.fn", "name", opts.name) or where
  return { name = name, identity = name, run = f, on_change = opts.on_change }
end

function fn.facts(step, ask)
  if step.mark then ask("mark", "mark", step.mark) end
end

function fn.plan() return { "run" } end

-- Runs here, when all before it is applied: true when it has changed something.
function fn.here(step, box) return step.run(box) ~= false end

function fn.reads() return {} end
function fn.writes() return { "*" } end

return fn
