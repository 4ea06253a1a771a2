-- on.package(names, { state="present"|"absent"|"latest", update=3600 })

local core = require "boxd.core"
local check = require "boxd.internal.check"
local want = require "boxd.internal.provision.want"
core.internal()

local package = { name = "package", blind = true }

-- Of dpkg: name, architecture, version.
local PATTERN = "^[%l%d][%l%d+.-]+:?[%l%d-]*=?[%w.+:~-]*$"

function package.declare(names, opts)
  names = want.names("on.package", "the list", names, PATTERN)
  if not names or #names == 0 then
    check.invalid "on.package: there is no package in the list"
  end
  opts = want.options("on.package", opts, { "state", "update" })
  local step = { name = table.concat(names, ", "), names = names, claims = {},
    update = want.integer("on.package", opts, "update", 0) or 3600,
    state = want.one_of("on.package", "state", opts.state,
      { "present", "absent", "latest" }) }
  for i, name in ipairs(names) do
    if name:find "=" and step.state ~= "present" then
      check.invalid("on.package: %s is a version, which can only be present", name)
    end
    step.claims[i] = "package " .. name:gsub("=.*", "")
  end
  return step
end

function package.facts(step, ask)
  for _, name in ipairs(step.names) do
    ask(name, "package", name:match "^[^=]*", step.state == "latest")
  end
end

local function differs(step, name, is)
  local installed = is.state == "installed"
  if step.state == "absent" then
    return is.state ~= "" and is.state ~= "not-installed"
      and is.state ~= "config-files" and "remove " .. name
  end
  if not installed then return "install " .. name end
  local exact = name:match "=(.*)"
  if step.state == "latest" then exact = is.candidate end
  return exact and exact ~= is.version
    and ("%s: %s -> %s"):format(name, is.version, exact)
end

function package.plan(step, facts)
  if not facts then return { step.state } end
  local changes, age = {}, nil
  for _, name in ipairs(step.names) do
    local is = facts[name]
    age = tonumber(is.updated)
    local change = differs(step, name, is)
    if change then changes[#changes + 1] = change end
  end
  -- Old lists may lack the latest version.
  if step.state == "latest" and (not age or age > step.update) and not changes[1] then
    return { "look for later versions", maybe = true }
  end
  return changes[1] and changes
end

function package.apply(step, _, act)
  act("package", step.state, step.update, table.unpack(step.names))
end

function package.reads() return { "package/" } end
function package.writes()
  return { "package/", "user/", "group/", "service/", "/etc/", "/usr/", "/var/",
    "/lib/", "/opt/", "/srv/", "/bin/", "/sbin/" }
end

return package
