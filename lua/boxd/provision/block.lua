-- on.block(path, name, text, { comment="#", state=, secret= })

local core = require "boxd.core"
local check = require "boxd.internal.check"
local content = require "boxd.internal.provision.content"
local text = require "boxd.internal.provision.text"
local want = require "boxd.internal.provision.want"
core.internal()

local block = { name = "block", content = true, quiet = true,
  facts = content.facts, apply = content.apply }

local function markers(comment, name)
  return ("%s BEGIN %s"):format(comment, name), ("%s END %s"):format(comment, name)
end

local function check_text(path, step)
  for _, each in ipairs(step.lines) do
    if each == step.first or each == step.last then
      check.invalid("on.block: %s: the text has the line %s, which marks the "
        .. "block itself", path, check.show(each))
    end
  end
end

function block.declare(path, name, body, opts)
  path = want.path("on.block", path)
  name = want.name("on.block", "the name", name)
  opts = want.options("on.block", opts, { "comment", "state", "secret" })
  local state = want.one_of("on.block", "state", opts.state,
    { "present", "absent" })
  if body == nil and state == "absent" then body = "" end
  if type(body) ~= "string" then
    check.invalid("on.block: the text is text, not %s", check.show(body))
  end
  local comment = opts.comment == nil and "#" or opts.comment
  if type(comment) ~= "string" or comment:find "[\n%z]" then
    check.invalid("on.block: comment is what a line of comment begins with, not %s",
      check.show(comment))
  end
  local step = { name = path .. ": " .. name, path = path, state = state,
    secret = want.boolean("on.block", opts, "secret"),
    claims = { path .. ": block " .. name } }
  step.first, step.last = markers(comment, name)
  step.body = text.lines(body)
  step.lines = table.move(step.body, 1, #step.body, 1, {})
  check_text(path, step)
  if state == "present" then
    step.lines[#step.lines + 1], step.lines[#step.lines + 2] = step.first, step.last
  end
  return step
end

function block.check(step, plan) content.check("on.block", step, plan) end

-- Where it begins and ends; nil without it.
local function find(step, lines)
  local first
  for i, each in ipairs(lines) do
    if each == step.first then first = i end
    if first and each == step.last then return first, i end
  end
  if first then
    error(("%s: line %d begins the block, and nothing ends it: remove it, or add "
      .. "the line %q"):format(step.path, first, step.last), 0)
  end
end

local function same(lines, first, last, body)
  if last - first - 1 ~= #body then return false end
  for i, each in ipairs(body) do
    if lines[first + i] ~= each then return false end
  end
  return true
end

-- Puts `new` in the place of the lines from first to last.
local function replace(lines, first, last, new)
  local rest = table.move(lines, last + 1, #lines, 1, {})
  for i = #lines, first, -1 do lines[i] = nil end
  table.move(new, 1, #new, first, lines)
  table.move(rest, 1, #rest, #lines + 1, lines)
  return true
end

function block.plan(step, facts)
  return content.plan(step, facts, function(lines)
    local first, last = find(step, lines)
    if step.state == "absent" then
      return first ~= nil and replace(lines, first, last, {})
    end
    if first and same(lines, first, last, step.body) then return false end
    local new = { step.first, table.unpack(step.body) }
    new[#new + 1] = step.last
    return replace(lines, first or #lines + 1, last or #lines, new)
  end)
end

function block.reads(step) return { step.path } end
function block.writes(step) return { step.path } end

return block
