-- on.download(path, { url=, sha256=, mode=, owner= }): by curl or wget in the box.
-- Without sha256 a file that is there is right.

local core = require "boxd.core"
local check = require "boxd.internal.check"
local text = require "boxd.internal.provision.text"
local want = require "boxd.internal.provision.want"
core.internal()

local download = { name = "download", blind = true }

function download.declare(path, opts)
  path = want.path("on.download", path)
  opts = want.options("on.download", opts, { "url", "sha256", "mode", "owner" })
  local url, hash = opts.url, opts.sha256
  if type(url) ~= "string" or not url:find "^%a[%w+.-]*://[^%s%c]+$" then
    check.invalid("on.download: url is a URL, not %s", check.show(url))
  end
  if hash ~= nil and (type(hash) ~= "string" or #hash ~= 64 or hash:find "%X") then
    check.invalid("on.download: sha256 is 64 hexadecimal digits, not %s",
      check.show(hash))
  end
  local step = { name = path, path = path, url = url, claims = { path },
    sha256 = hash and hash:lower(), mode = want.mode("on.download", opts.mode) }
  step.owner, step.group = want.owner("on.download", opts.owner)
  return step
end

function download.facts(step, ask)
  ask("is", "stat", step.path, false, step.sha256 and "*")
end

function download.plan(step, facts)
  local is = facts and facts.is
  if not is or is.type ~= "file" then return { "fetch" } end
  local changes = text.attributes(step, is)
  if step.sha256 and is.sha256 ~= step.sha256 then
    table.insert(changes, 1, "content")
  end
  return changes[1] and changes
end

function download.apply(step, _, act)
  act("download", step.path, step.url, step.sha256, step.mode, step.owner,
    step.group)
end

function download.reads(step) return { step.path } end
function download.writes(step) return { step.path } end

return download
