-- Files of other users of a box. They arrive in a folder that only the box's own
-- user may enter; root, by sudo where that is needed, puts them in their place,
-- where they have their owner before their mode: others read them at no time.

local core = require "boxd.core"
local check = require "boxd.internal.check"
local failed = require "boxd.internal.failed"
local modes = require "boxd.internal.modes"
core.internal()

local owners = {}

local NAME = "^[%w_][%w_.-]*$"

--- opts.owner is nil, "user" or "user:group".
function owners.check(method, opts)
  local owner = check.field(method, opts, "owner", "string")
  if owner == nil then return end
  local user, group = owner:match "^([^:]*):(.*)$"
  user = user or owner
  if not user:find(NAME) or group and not group:find(NAME) then
    check.invalid("%s: owner is \"user\" or \"user:group\", not %s", method,
      check.show(owner))
  end
end

-- As chown takes it: without a group, the user's own.
local function chown_word(opts)
  return opts.owner:find(":", 1, true) and opts.owner or opts.owner .. ":"
end

-- Each script begins with it: $as is nothing, or sudo.
local AS = "export LC_ALL=C; as=; [ \"$(id -u)\" = 0 ] || as='sudo -n'\n"

-- Runs a script in the box with such arguments; `what` failed otherwise.
local function run(self, what, opts, script, ...)
  local words = { "sh", "-c", AS .. script, "sh", ... }
  words[#words + 1] = { timeout = opts.timeout, killable = false }
  local result = core.exec(self, table.unpack(words))
  if result.success then return result.stdout end
  failed(what, result)
end

local STAGE = [[
for d in "$HOME" /var/tmp /tmp; do
  mktemp -d -- "$d/.boxd-XXXXXX" 2>/dev/null && exit
done
echo "no folder can be made in the home folder or /tmp" >&2; exit 1]]

--- Sends by send(path) to a path in a folder of ours, then calls place(path);
--- the folder is removed. Returns what send returns.
function owners.send(self, dest, opts, send, place)
  local folder = run(self, ("can't make a private place for %s"):format(dest),
    opts, STAGE):gsub("\n$", "")
  local _stage <close> = setmetatable({}, { __close = function()
    pcall(core.exec, self, "rm", "-rf", "--", folder,
      { timeout = opts.timeout, killable = false })
  end })
  local bytes = send(folder .. "/f")
  place(folder .. "/f")
  return bytes
end

-- $1 the file, $2 its place, $3 owner, $4 mode. A link leads to its place. The
-- new file is nobody's but root's until it is whole.
local PLACE = [[
p=$($as readlink -f -- "$2") && [ -n "$p" ] || p=$2
if $as test -d "$p"; then echo "$p: Is a directory" >&2; exit 1; fi
d=$(dirname -- "$p"); $as mkdir -p -- "$d" || exit
t=$($as mktemp -- "$d/.boxd-XXXXXX") || exit
$as cp -- "$1" "$t" && $as chown -- "$3" "$t" && $as chmod -- "$4" "$t" &&
  $as mv -fT -- "$t" "$p" || { s=$?; $as rm -f -- "$t"; exit $s; }]]

local WHAT = "the bytes are in the box, but can't be put in their place"

function owners.place(self, staged, dest, mode, opts)
  run(self, WHAT, opts, PLACE, staged, dest, chown_word(opts), modes.octal(mode))
end

-- $1 the folder, $2 its place, $3 owner, $4 user, $5 group. A folder
-- that exists already keeps its owner and mode.
local PLACE_FOLDER = [[
g=${5:-$(id -g -- "$4")} || exit
if ! $as test -d "$2"; then
  m=$(stat -c %a -- "$1") && $as mkdir -p -m 700 -- "$2" &&
    $as chown -- "$3" "$2" && $as chmod -- "$m" "$2" || exit
fi
tar -C "$1" --owner="$4" --group="$g" -cf - . |
  $as tar -C "$2" --no-overwrite-dir --same-owner -xpf -]]

function owners.place_folder(self, staged, dest, opts)
  local user, group = opts.owner:match "^([^:]*):?(.*)$"
  run(self, WHAT, opts, PLACE_FOLDER, staged, dest, chown_word(opts), user, group)
end

-- $1 the folder, $2 mode or "", $3 owner or "".
local MKDIR = [[
[ -n "$3" ] || as=
$as mkdir -m "${2:-755}" -- "$1" || exit
[ -z "$3" ] || $as chown -- "$3" "$1" || { s=$?; $as rmdir -- "$1"; exit $s; }]]

--- One folder, in a folder that is there.
function owners.mkdir(self, at, mode, opts)
  run(self, ("can't make the folder %s"):format(at), opts, MKDIR, at,
    mode and modes.octal(mode) or "", opts.owner and chown_word(opts) or "")
end

return owners
