#!/bin/sh
# network_world.sh OUTSIDE FOLDER USER COMMAND...: runs COMMAND as USER on a
# pretended machine, in network and mount namespaces that the caller has made and
# that are not OUTSIDE, "NET MNT" of the caller's own. The machine has addresses
# of its own and a way to a pretended internet: another namespace, with servers.
# FOLDER gets their log; a file "add" in it is answered by a further address of
# the machine and a file "added". Everything ends with COMMAND.
# shellcheck disable=SC2086,SC2046 # words are meant
set -eu
outside=$1 folder=$2 user=$3
shift 3
here="$(readlink /proc/self/ns/net) $(readlink /proc/self/ns/mnt)"
for ns in $here; do
  case " $outside " in *" $ns "*) echo "not in a world of its own" >&2; exit 9 ;; esac
done
python=/usr/bin/python3
own="setpriv --pdeathsig KILL"

$own unshare -n $own sleep 300 &
internet=$!
while [ "$(readlink /proc/$internet/ns/net)" = "${here%% *}" ] ||
  [ "$(cat /proc/$internet/comm)" != sleep ]; do sleep 0.01; done
there() { nsenter -t $internet -n "$@"; }

ip link set lo up
there ip link set lo up
ip link add eth0 type veth peer name wan netns $internet
ip addr add 198.51.100.2/24 broadcast + dev eth0
ip addr add 172.17.0.1/32 dev lo
ip -6 addr add 2001:db8:1::2/64 dev eth0 nodad
ip link set eth0 up
there ip addr add 198.51.100.1/24 dev wan
there ip -6 addr add 2001:db8:1::1/64 dev wan nodad
there ip link set wan up
there ip addr add 203.0.113.9/32 dev lo
there ip addr add 169.254.169.254/32 dev lo
there ip -6 addr add 2001:db8:9::9/128 dev lo
ip route add default via 198.51.100.1
ip -6 route add default via 2001:db8:1::1

# The machine's resolver, of its loopback, and a tun as distributions have it.
echo "nameserver 127.0.0.1" >"$folder/resolv.conf"
mount --bind "$folder/resolv.conf" "$(readlink -f /etc/resolv.conf)"
if [ "$(tr -s ' ' </proc/self/uid_map)" = " 0 0 4294967295" ]; then
  mount -t tmpfs none /dev/net
  mknod -m 666 /dev/net/tun c 10 200
fi

$own $python spec/support/network_servers.py "$folder/log" machine &
$own nsenter -t $internet -n $python spec/support/network_servers.py "$folder/log" \
  internet 203.0.113.9 169.254.169.254 2001:db8:9::9 &
while [ "$(grep -c ready "$folder/log" 2>/dev/null)" != 2 ]; do sleep 0.01; done

(while [ ! -e "$folder/add" ]; do sleep 0.05; done
  ip addr add 198.51.100.77/24 dev eth0
  touch "$folder/added") &
adder=$!
as=
[ "$user" = - ] || as="setpriv --reuid $user --regid $(id -g "$user") \
--clear-groups --bounding-set -all --no-new-privs"
status=0
$own $as "$@" || status=$?
kill $internet $adder $(jobs -p) 2>/dev/null || true
exit $status
