-- Ending what a command has started. The command has a variable of its own in
-- its environment, which all of its children inherit: sessions, parents and
-- terminals that they leave don't hide them. A second command, the killer, finds
-- them by it. LC_ is for sudo, which passes such variables on; those that lose
-- it even so are found as children of others.

local core = require "boxd.core"
local boxd = require "boxd"
local temporary = require "boxd.temporary"
local check = require "boxd.internal.check"
core.internal()

local killable = {}

local GRACE = 1 -- seconds between TERM and KILL, where nothing waits any more
local KILL_GRACE = 5 -- ... for p:kill
local SECONDS = 5 -- that the end of a command may wait for its killer,
local SIGN = 0.75 -- ... and for its first sign, where the watchdog is there, too
local OVERTIME = 3 -- seconds that the client has to end it before the box does

-- $1: the variable, $2: the signal, $3: tenths of a second until KILL, or "" to
-- send the signal once only, $4: the command's user, or "", $5: "wait" for a
-- command that begins later than this, "leave" that to a process that stays, or "".
-- Root can't read every environment in a box, nor can another user, so that each
-- that has processes of the command looks. The first line of output is its sign of
-- life. The loss of its own call does not end it.
local KILLER = [=[trap '' HUP PIPE TERM
echo
m=$1 s=$2 g=$3 u=$4 late=$5 seen= new= sent= root= user=
if [ "$(id -u)" = 0 ]; then
  [ -z "$u" ] || user="runuser -u $u --"
elif sudo -n true 2>/dev/null; then
  root="sudo -n"
  [ -z "$u" ] || user="sudo -n -u $u"
fi
look() { "$@" grep -lsz "^$m=" /proc/[0-9]*/environ; }
# seen: all of them; new: those without the signal whose parents have gone.
find_all() {
  eval "$({ look
    [ -z "$root" ] || look $root
    [ -z "$user" ] || look $user
    for p in $seen; do echo /proc/$p/environ; done
    grep -Hs ^PPid: /proc/[0-9]*/status; } | awk -F '[/:]' -v sent="$sent" '
    BEGIN { n = split(sent, list, " "); while (n) old[list[n--]] = 1 }
    /environ$/ { found[$3] = 1; next }
    { parent[$3] = $6 + 0 }
    END {
      for (p in parent) if (p in found) all[p] = 1
      do {
        more = 0
        for (p in parent)
          if (!(p in all) && parent[p] in all) { all[p] = 1; more = 1 }
      } while (more)
      for (p in all) {
        seen = seen " " p
        if (!(p in old) && !(parent[p] in all)) fresh = fresh " " p
      }
      print "seen=\"" seen "\" new=\"" fresh "\""
    }')"
}
alive() { # a zombie is not
  for p in $seen; do
    grep -qs '^State:.[^ZX]' /proc/$p/status && return
  done
  false
}
# A second look sees what was being made at the first, while its parent went.
left() {
  find_all
  alive && return
  find_all
  alive
}
begins() {
  for pause in 0.2 0.8 3.2; do
    sleep $pause
    left && return
  done
  false
}
send() { # $1: the signal, the others: to whom
  signal=$1
  shift
  sent="$sent $*"
  for p do
    kill -$signal $p 2>/dev/null ||
      [ -z "$root" ] || $root kill -$signal $p 2>/dev/null
  done
}
clock() { # now: in hundredths of a second
  read -r now idle </proc/uptime
  now=${now%.*}${now#*.}
}
end_all() {
  send $s $seen
  [ -n "$g" ] || return 0
  send CONT $seen
  clock
  ends=$((now + g * 10))
  while left; do
    clock
    [ $now -lt $ends ] || new=$seen s=KILL
    send $s $new
    send CONT $new
    [ $now -lt $((ends + 400)) ] || return
    sleep 0.1
  done
}
if left; then end_all
elif [ "$late" = wait ]; then ! begins || end_all
elif [ "$late" = leave ]; then
  { ! begins || end_all; } </dev/null >/dev/null 2>&1 &
fi]=]

local SIGNALS = {}
for name in ([[HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM
  TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO
  PWR SYS]]):gmatch "%u+%d?" do
  SIGNALS[name] = true
end

-- "TERM", "SIGTERM", "term" or 15, as kill(1) takes it.
local function signal_option(v)
  if v == nil then return "TERM" end
  if math.type(v) == "integer" and v >= 1 and v <= 64 then
    return v == 15 and "TERM" or v == 9 and "KILL" or tostring(v)
  end
  if type(v) ~= "string" and math.type(v) ~= "integer" then
    check.fail(1, "kill", "signal", v)
  end
  local name = tostring(v):upper():gsub("^SIG", "")
  if SIGNALS[name] then return name end
  check.invalid("kill: a signal is a name such as \"TERM\" or a number from 1 to "
    .. "64, not %s", check.show(v))
end

--- A new mark: the variable's name.
function killable.mark()
  local digits = {}
  local f <close> = io.open("/dev/urandom", "rb")
  local bytes = f and f:read(12)
  for i = 1, 12 do
    digits[i] = ("%02x"):format(bytes and bytes:byte(i) or math.random(0, 255))
  end
  return "LC_BOXD_" .. table.concat(digits)
end

-- A session of its own that ends the command when its time is over, and is ended
-- by the command's own end. A shell that waits for the command tells that from
-- what the service does to a command whose call was lost: it dies of that, too.
-- One that has begun to end the command ignores the end that this brings about.
-- Its own stderr is closed: it would name there the signal that ended a command.
local WATCHED = "w=$(setsid sh -c %s sh %s %s %s </dev/null >/dev/null 2>&1 & "
  .. "echo $!); trap : INT QUIT; exec 3>&2 2>/dev/null; %s=1 sh -c %s; "
  .. "s=$?; kill -s TERM -- -$w || kill -s TERM $w; exit $s"

--- The command line that runs `line` with the mark; seconds: after which the box
--- ends it where the client has not; nil: never; user: whose its processes are.
function killable.command(mark, line, seconds, user)
  if not seconds then
    return ("export %s=1; exec sh -c %s"):format(mark, core.text.quote { line })
  end
  local watch = ('sleep %.3f; trap "" TERM; exec sh -c "$1" sh "$2" TERM %d "$3"'):format(
    seconds + OVERTIME, GRACE * 10)
  return WATCHED:format(core.text.quote { watch }, core.text.quote { KILLER }, mark,
    core.text.quote { user or "" }, mark,
    core.text.quote { "exec 2>&3 3>&-; " .. line })
end

local function run_killer(target, signal, grace, late, opts)
  opts.killable = false
  return core.exec(target.box, "sh", "-c", KILLER, "sh", target.mark, signal,
    grace and tostring(grace * 10) or "", target.user or "", late, opts)
end

-- A service that does not even begin it soon is not waited for any longer, but for
-- a command without a watchdog, which nothing else ends. spoke: it has begun.
local function run_last_killer(target, spoke)
  local watched = target.timeout
  local p <close> = run_killer(target, "TERM", GRACE,
    (watched or spoke) and "" or "leave", { timeout = SECONDS, stream = true })
  if not watched or boxd.with_timeout(SIGN, p.read_stdout, p) == "\n" then
    p:wait()
  end
end

--- p:kill(signal): target is what the process was opened with.
function killable.kill(target, signal)
  signal = signal_option(signal)
  if not target then
    check.invalid("kill: only a command that was started with killable = true "
      .. "can be sent a signal: box:exec(..., { stream = true, killable = true })")
  end
  local ends = signal == "TERM" or signal == "KILL"
  local result = run_killer(target, signal, ends and KILL_GRACE, "wait", {})
  if not result.success then
    core.raise("BoxdError", "kill: the command's processes could not all be "
      .. "ended: " .. (result.stderr:match "[^\n]+" or "they do not go away"))
  end
end

--- Ends the rest of a command whose call has ended before it, whatever ends
--- the caller meanwhile. Where the box can't be reached the watchdog does it. spoke:
--- its output has come, so that it has begun.
function killable.finish(target, spoke)
  temporary.begin(core.compute(target.box), function()
    pcall(run_last_killer, target, spoke)
  end):join()
end

--- The same for one that nothing refers to any more: nothing waits for it, but for
--- the end of the script.
function killable.forget(target, spoke)
  temporary.begin(core.compute(target.box), function()
    boxd.sleep(0) -- no more than this in a finalizer
    pcall(run_last_killer, target, spoke)
  end)
end

-- Processes that may still run at the end of a script, which ends them.
local running = setmetatable({}, { __mode = "k" })

function killable.keep(process) running[process] = true end

core.at_exit(function(last)
  if last then return end
  for process in pairs(running) do pcall(process.close, process) end
end)

return killable
