-- on.file(path, { content= or source=, mode=, owner=, state=, secret= })

local core = require "boxd.core"
local boxd = require "boxd"
local check = require "boxd.internal.check"
local text = require "boxd.internal.provision.text"
local want = require "boxd.internal.provision.want"
core.internal()

local file = { name = "file", blind = true, quiet = true }

local function read_source(source)
  want.text("on.file", "source", source)
  local f <close>, why = io.open(source, "rb")
  local content = f and f:read "a"
  if not content then
    check.invalid("on.file: can't read source %s: %s", check.show(source),
      why or "it is not a file")
  end
  return content
end

local function content_of(opts)
  if opts.content ~= nil and opts.source ~= nil then
    check.invalid "on.file: content and source exclude each other"
  end
  if opts.source ~= nil then return read_source(opts.source) end
  if opts.content ~= nil and type(opts.content) ~= "string" then
    check.invalid("on.file: content is text, not %s", check.show(opts.content))
  end
  return opts.content
end

function file.declare(path, opts)
  path = want.path("on.file", path)
  opts = want.options("on.file", opts, { "content", "source", "mode", "owner",
    "state", "secret" })
  local step = { name = path, path = path, content = content_of(opts),
    mode = want.mode("on.file", opts.mode),
    secret = want.boolean("on.file", opts, "secret"),
    state = want.one_of("on.file", "state", opts.state, { "present", "absent" }) }
  step.owner, step.group = want.owner("on.file", opts.owner)
  if step.state == "absent" and (step.content or step.mode or opts.owner) then
    check.invalid "on.file: a file that is absent has no content, mode or owner"
  end
  if step.secret and not step.mode then step.mode = "600" end
  step.claims = { path }
  return step
end

-- Lines and blocks are of files whose content nothing else decides.
function file.check(step, plan)
  local other = plan.lines[step.path]
  if other and (step.content or step.state == "absent") then
    check.invalid("on.file: the content of %s is decided already, by %s at %s",
      step.path, tostring(other[1]), other[1].where)
  end
  if step.content or step.state == "absent" then plan.contents[step.path] = step end
end

function file.facts(step, ask)
  ask("is", "stat", step.path, false, step.content and #step.content)
end

local function content_change(step, is)
  if not step.content or is.sha256 == boxd.sha256(step.content) then return end
  if step.secret then
    return ("content: %s -> %d bytes"):format(is.size and is.size .. " bytes"
      or "none", #step.content)
  end
  return "content"
end

function file.plan(step, facts)
  local is = facts and facts.is
  if is and is.type == "directory" then
    error(step.path .. " is a directory: on.directory removes those", 0)
  end
  if step.state == "absent" then
    if is and is.type == "absent" then return nil end
    return { "remove" }
  end
  if not is or is.type ~= "file" then
    return { "create", step.secret and step.content and #step.content .. " bytes"
      or nil, content = step.content ~= nil }
  end
  local changes = text.attributes(step, is)
  local content = content_change(step, is)
  if content then
    table.insert(changes, 1, content)
    changes.content = true
  end
  return changes[1] and changes
end

function file.apply(step, changes, act)
  if step.state == "absent" then return act("unlink", step.path) end
  if not step.content then
    return act("touch", step.path, step.mode, step.owner, step.group)
  end
  act("write", step.path, step.content, step.mode, step.owner, step.group, false,
    changes.want_old)
end

function file.reads(step) return { step.path } end
function file.writes(step)
  return { step.state == "absent" and step.path .. "/" or step.path }
end

return file
