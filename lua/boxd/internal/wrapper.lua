-- What a command line is put under where it is to be more than run: to be
-- killable, another user's, in a login shell, with secrets in its environment.

local core = require "boxd.core"
local check = require "boxd.internal.check"
local killable = require "boxd.internal.killable"
core.internal()

local wrapper = {}

local function quote(...) return core.text.quote { ... } end

-- A secret as printf's %b takes it: one line, whatever is in it.
local function encode(value)
  return (value:gsub("[^%w]", function(c) return ("\\0%03o"):format(c:byte()) end))
end

-- The names of the variables, sorted; their values are checked.
local function secret_names(secrets)
  local names = {}
  for name, value in pairs(secrets) do
    if type(name) ~= "string" or not name:find "^[%a_][%w_]*$" then
      check.invalid("secret_env: %s is not a name for an environment variable: "
        .. "use letters, digits and '_', not beginning with a digit",
        check.show(name))
    end
    if type(value) ~= "string" then
      check.invalid("secret_env: the value of %s is text, not a %s", name,
        type(value))
    end
    if value:find("\0", 1, true) then
      check.invalid("secret_env: the value of %s holds a NUL, which no variable "
        .. "can", name)
    end
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

-- Reads them from descriptor `from`, a line each.
local function reader(names, from)
  local parts = {}
  for i, name in ipairs(names) do
    parts[i] = ("IFS= read -r _s%s; %s=$(printf '%%b.' \"$_s\"); "
      .. "%s=${%s%%.}; export %s; "):format(from, name, name, name, name)
  end
  return table.concat(parts) .. "unset _s; "
end

local function lines_of(names, secrets)
  local lines = {}
  for i, name in ipairs(names) do lines[i] = encode(secrets[name]) .. "\n" end
  return table.concat(lines)
end

-- Runs `line` by sh as another user: as that one already, as root, or by sudo.
-- Their HOME is the user's.
local AS_USER = [[
u=$1 m=$2 c=$3
h=$(getent passwd "$u" | cut -d: -f6)
[ -n "$h" ] || { echo "boxd: there is no user $u" >&2; exit 125; }
if [ "$(id -un)" = "$u" ]; then exec sh -c "$c"; fi
if [ "$(id -u)" = 0 ] && command -v runuser >/dev/null; then
  HOME=$h USER=$u LOGNAME=$u exec runuser -u "$u" -- sh -c "$c"
fi
exec sudo -n -u "$u" -- env "$m" HOME="$h" USER="$u" LOGNAME="$u" sh -c "$c"]]

local function check_user(user)
  if not user:find "^[%w_][%w_.-]*%$?$" then
    check.invalid("user: %s is not a name of a user", check.show(user))
  end
end

-- A terminal echoes its input, so that secrets come by a file that only
-- its owner reads, in memory, and that is gone before the command begins.
local function file_reader(names, file)
  local from = quote(file)
  return ("exec 3<%s || exit 125; rm -f %s; %sexec 3<&-; "):format(from, from,
    reader(names, " <&3"))
end

-- Puts the file there. Should the command never begin, it goes in a minute: what
-- removes it is there first, in a session of its own once it has closed its stdout;
-- without the variable by which the end of this command would find it, too.
local PUT = [[umask 077; set -C
: "$(setsid env -i PATH="$PATH" \
  sh -c 'exec >/dev/null; sleep 60; rm -f "$1"' sh "$1" </dev/null 2>/dev/null &)"
cat >"$1"]]

local function put_secrets(box, file, lines, o)
  local result = core.exec(box, "sh", "-c", PUT, "sh", file, { stdin = lines,
    user = o.user, killable = true, timeout = o.timeout })
  if not result.success then
    core.raise("BoxdError", "secret_env: the values can't be put into /dev/shm "
      .. "of the box: " .. (result.stderr:match "[^\n]+" or "it does not say why"))
  end
end

-- The command with what sets its secrets in front; what its stdin begins with.
local function with_secrets(box, line, o, pty)
  if not o.secret_env or not next(o.secret_env) then return line end
  check.apart("secret_env", o.env, o.secret_env)
  local names = secret_names(o.secret_env)
  local lines = lines_of(names, o.secret_env)
  if not pty then return reader(names, "") .. line, lines end
  local file = "/dev/shm/." .. killable.mark()
  put_secrets(box, file, lines, o)
  return file_reader(names, file) .. line
end

-- line: the command line. o: the options of exec. Returns the line to send,
-- what its stdin begins with or nil, and its mark or nil.
function wrapper.wrap(box, line, o, is_killable, pty)
  if o.user then check_user(o.user) end
  local run = ("exec %s %s"):format(o.login and "bash -lc" or "sh -c",
    quote(line))
  local lead
  run, lead = with_secrets(box, run, o, pty)
  local mark = is_killable and killable.mark() or nil
  if o.user then
    run = "exec sh -c " .. quote(AS_USER, "sh", o.user, (mark or "LC_BOXD") .. "=1",
      run)
  end
  if not mark then return run, lead end
  return killable.command(mark, run, o.timeout, o.user), lead, mark
end

return wrapper
