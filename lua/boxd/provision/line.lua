-- on.line(path, line, { match=, state=, secret= })

local core = require "boxd.core"
local check = require "boxd.internal.check"
local content = require "boxd.internal.provision.content"
local want = require "boxd.internal.provision.want"
core.internal()

local line = { name = "line", content = true, quiet = true,
  facts = content.facts, apply = content.apply }

local function check_match(match)
  if match == nil then return nil end
  want.text("on.line", "match", match)
  local ok, why = pcall(string.find, "", match)
  if not ok then
    check.invalid("on.line: match is not a Lua pattern: %s", why)
  end
  return match
end

local function check_line(v)
  if type(v) ~= "string" or v:find "\n" then
    check.invalid("on.line: the line is text without a newline, not %s",
      check.show(v))
  end
  return v
end

function line.declare(path, text, opts)
  path = want.path("on.line", path)
  check_line(text)
  opts = want.options("on.line", opts, { "match", "state", "secret" })
  local step = { name = path .. ": " .. text, path = path, line = text,
    match = check_match(opts.match),
    secret = want.boolean("on.line", opts, "secret"),
    state = want.one_of("on.line", "state", opts.state, { "present", "absent" }) }
  local absent = step.state == "absent"
  step.lines = absent and {} or { text }
  if absent or step.match then
    step.removes = function(other)
      return absent and other == text
        or step.match ~= nil and other:find(step.match) ~= nil
    end
  end
  if step.secret then step.name = ("%s: a line of %d bytes"):format(path, #text) end
  return step
end

function line.check(step, plan) content.check("on.line", step, plan) end

local function has(lines, text)
  for i, each in ipairs(lines) do
    if each == text then return i end
  end
end

-- Removes the lines that `removes` is true of, but for the one at `keep`.
local function remove(lines, removes, keep)
  local n, changed = 0, false
  for i, each in ipairs(lines) do
    if i ~= keep and each ~= (keep and lines[keep]) and removes(each) then
      changed = true
    else
      n = n + 1
      lines[n] = each
      if i == keep then keep = n end
    end
  end
  for i = #lines, n + 1, -1 do lines[i] = nil end
  return changed
end

local function first_match(lines, removes)
  for i, each in ipairs(lines) do
    if removes(each) then return i end
  end
end

function line.plan(step, facts)
  return content.plan(step, facts, function(lines)
    if step.state == "absent" then return remove(lines, step.removes) end
    local at = has(lines, step.line)
    if at then return step.removes ~= nil and remove(lines, step.removes, at) end
    at = step.removes and first_match(lines, step.removes) or #lines + 1
    lines[at] = step.line
    if step.removes then remove(lines, step.removes, at) end
    return true
  end)
end

function line.reads(step) return { step.path } end
function line.writes(step) return { step.path } end

return line
