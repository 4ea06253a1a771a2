#!/bin/sh
# The same 200 resources by pyinfra on its local connector, in a folder of its own:
# pyinfra.sh VENV. Without PyPI: a line that says so.
set -e
venv=$1
if ! [ -x "$venv/bin/pyinfra" ]; then
  { python3 -m venv "$venv" && "$venv/bin/pip" -q install pyinfra 2> /dev/null; } || {
    rm -rf "$venv"
    echo "pyinfra: skipped, PyPI is out of reach"
    exit 0
  }
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/deploy.py" <<END
from pyinfra.operations import files
for i in range(1, 101):
    files.directory(path="$work/bench/%d" % i, mode="750")
    files.line(path="$work/bench.conf", line="line %d" % i)
END
touch "$work/bench.conf"
measure() {
  start=$(date +%s%N)
  (cd "$work" && "$venv/bin/pyinfra" -y @local deploy.py) > "$work/log" 2>&1 || {
    cat "$work/log"
    exit 1
  }
  echo "| pyinfra: $1 | $((($(date +%s%N) - start) / 1000000)) ms | | |"
}
venv=$(cd "$venv" && pwd)
measure "200 to be made"
measure "200 with nothing to do"
