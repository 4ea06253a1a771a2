-- What lies under a path of a box: its kind, size, mode, owner.

local core = require "boxd.core"
local check = require "boxd.internal.check"
local failed = require "boxd.internal.failed"
local path = require "boxd.path"
core.internal()

local methods = {}

-- The kinds by the high bits of a mode (S_IFMT).
local TYPES = { [4] = "directory", [8] = "file", [10] = "link", [1] = "fifo",
  [2] = "char", [6] = "block", [12] = "socket" }

-- A line a field, but where the link leads, which may be of any text. Where the
-- path is not to be looked at by the box's user, root looks.
local STAT = [[
export LC_ALL=C
look() { $as stat --printf '%f\n%s\n%Y\n%U\n%G\n' -- "$1" &&
  { $as readlink -n -- "$1" || :; }; }
as=
case $(look "$1" 2>&1 >/dev/null) in
*": Permission denied") as='sudo -n';;
esac
look "$1"]]

local function parse(text)
  local mode, size, mtime, owner, group, target =
    text:match "^(%x+)\n(%d+)\n(-?%d+)\n(.-)\n(.-)\n(.*)$"
  if not mode then return nil end
  mode = tonumber(mode, 16)
  local kind = TYPES[mode >> 12] or "other"
  return { type = kind, size = tonumber(size), mode = mode & 4095,
    mtime = tonumber(mtime), owner = owner, group = group,
    target = kind == "link" and target or nil }
end

local function stat(box, name, at, opts)
  path.check(1, name, at)
  opts = check.options(2, name, opts, { "timeout" })
  local result = core.exec(box, "sh", "-c", STAT, "sh", at,
    { timeout = opts.timeout, killable = false })
  local found = result.success and parse(result.stdout)
  if found then return found end
  if result.stderr:find "No such file or directory%s*$"
    or result.stderr:find "Not a directory%s*$" then
    return nil
  end
  failed(("%s: can't look at %s"):format(name, at), result)
end

-- box:stat(path) -> { type, size, mode, mtime, owner, group, target }, or nil:
-- nothing is there. A link is not followed.
function methods:stat(at, opts) return stat(self, "stat", at, opts) end

-- box:exists(path) -> is anything there, if only a link that leads nowhere?
function methods:exists(at, opts)
  return stat(self, "exists", at, opts) ~= nil
end

return { methods = methods }
