-- For specs of provision: what boxes lack. A repository of tiny packages for apt,
-- and a systemctl that records.

local boxd = require "boxd"

local world = {}

--- Runs a script as root, whatever the user of boxes is: its output; an error
--- when it fails.
function world.sh(box, script)
  local r = box:sh('[ "$(/usr/bin/id -u)" = 0 ] && exec sh -s; exec /usr/bin/sudo -n sh -s',
    { stdin = "exec 0</dev/null\n" .. script .. "\n" })
  if not r.success then error(r.stderr .. r.stdout, 2) end
  return r.stdout
end

-- luacheck: ignore 122 (io.stdout)

--- What fn() prints to stdout by its file, and its result.
function world.printed(fn)
  local stdout, parts = io.stdout, {}
  io.stdout = { write = function(_, ...) parts[#parts + 1] = table.concat { ... } end }
  local ok, result = pcall(fn)
  io.stdout = stdout
  if not ok then error(result, 0) end
  return table.concat(parts), result
end

function world.statuses(report)
  local list = {}
  for i, step in ipairs(report.steps) do list[i] = step.status end
  return table.concat(list, " ")
end

--- The statuses that a dry run foretells, and its output.
function world.dry(box, fn)
  local out, report = world.printed(function()
    return boxd.provision(box, fn, { dry_run = true })
  end)
  return world.statuses(report), out
end

local PACKAGES = [==[
set -e
rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/* /srv/repo
mkdir -p /srv/repo
build() { # name version
  d=$(mktemp -d)
  mkdir -p $d/DEBIAN $d/etc/$1
  echo "setting of $2" > $d/etc/$1/conf
  echo /etc/$1/conf > $d/DEBIAN/conffiles
  printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: nobody\nDescription: tiny\n' \
    $1 $2 > $d/DEBIAN/control
  f=$1_$2_all.deb
  dpkg-deb -b --root-owner-group $d /srv/repo/$f > /dev/null
  { dpkg-deb -f /srv/repo/$f
    printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' $f $(stat -c %s /srv/repo/$f) \
      $(sha256sum < /srv/repo/$f | cut -d' ' -f1)
  } >> /srv/repo/Packages
  rm -r $d
}
echo 'deb [trusted=yes] file:/srv/repo ./' > /etc/apt/sources.list
]==]

--- Gives a box a repository of the packages, { "name version", … }, and no other.
function world.packages(box, list)
  local script = { PACKAGES }
  for _, each in ipairs(list) do script[#script + 1] = "build " .. each .. "\n" end
  world.sh(box, "set -e\n" .. table.concat(script))
end

local SYSTEMCTL = [==[#!/bin/sh
s=/srv/systemd; mkdir -p $s
case $1 in
show)
  shift 4; n=
  for u; do
    [ "$n" ] && echo; n=1
    load=not-found; active=inactive; file=
    [ -e /etc/systemd/system/$u ] && load=loaded file=disabled
    [ -e $s/$u.active ] && active=active
    [ -e $s/$u.enabled ] && file=enabled
    printf 'LoadState=%s\nActiveState=%s\nUnitFileState=%s\nNeedDaemonReload=no\n' \
      $load $active $file
  done; exit;;
esac
echo "$@" >> $s/log
[ "$2" = -- ] && u=$3
[ -e $s/$u.broken ] && [ $1 != daemon-reload ] && { echo "$u is broken" >&2; exit 3; }
case $1 in
start|restart|reload-or-restart) : > $s/$u.active;;
stop) rm -f $s/$u.active;;
enable) : > $s/$u.enabled;;
disable) rm -f $s/$u.enabled;;
esac
exit 0
]==]

--- Gives a box a systemctl that records its work in /srv/systemd.
function world.systemd(box)
  world.sh(box, "cat > /usr/local/bin/systemctl <<'END_OF_FILE'\n" .. SYSTEMCTL
    .. "END_OF_FILE\nchmod 755 /usr/local/bin/systemctl; mkdir -p /run/systemd/system")
end

return world
