-- Servers in a box, and clients of this machine for the ports that box:forward
-- opens to them. BOXD_EVERYDAY=1 (make everyday): they have longer.

local service = require "spec.support.service"

local forwarded = {}

-- perl servers: each answers its clients in a process of its own.
local SERVER = [[perl -MSocket -e 'use strict; $SIG{CHLD} = "IGNORE";
  socket my $s, PF_INET, SOCK_STREAM, 0; setsockopt $s, SOL_SOCKET, SO_REUSEADDR, 1;
  bind $s, pack_sockaddr_in($ARGV[0], INADDR_LOOPBACK) or die; listen $s, 300;
  open my $up, ">", "/tmp/up$ARGV[0]";
  while (accept my $c, $s) { next if fork; %s exit 0 }' %d]]
-- All that was sent, with its size, after the client's end of it.
forwarded.COUNTS = [[my $n = 0; while (my $m = sysread $c, my $b, 262144) { $n += $m }
  syswrite $c, "got $n";]]
forwarded.ECHOES = [[while (my $m = sysread $c, my $b, 262144) { syswrite $c, $b }]]
-- It closes its sending side first, and reads on.
forwarded.ENDS_FIRST = [[syswrite $c, "bye"; shutdown $c, 1; my $n = 0;
  while (my $m = sysread $c, my $b, 65536) { $n += $m }
  open my $f, ">", "/tmp/first.new"; print $f $n; close $f;
  rename "/tmp/first.new", "/tmp/first";]]

-- Sends as many MiB as it was asked for.
forwarded.SENDS = [[sysread $c, my $n, 16; my $b = "x" x 1048576;
  syswrite $c, $b for 1 .. $n;]]

local SECONDS = os.getenv "BOXD_EVERYDAY" and 600 or 60

--- Starts such a server on `port` of the box; it listens then.
function forwarded.serve(box, port, kind)
  box:job("server" .. port, SERVER:format(kind, port))
  service.eventually(function()
    return box:exec("test", "-e", "/tmp/up" .. port).success
  end)
end

--- A client: `lines` of python on the socket s; its output.
function forwarded.client(port, lines)
  local path = os.tmpname()
  local command = ("timeout %d python3 -c '%s' > %s 2>&1; echo done >> %s")
    :format(SECONDS, "import socket, threading, time\ns = socket.create_connection((\"127.0.0.1\", "
      .. port .. "))\n" .. lines, path, path)
  assert(os.execute("(" .. command .. ") &"))
  local text
  service.eventually(function()
    local f <close> = assert(io.open(path))
    text = f:read "a"
    return text:find "done\n$"
  end, SECONDS + 5)
  os.remove(path)
  return (text:gsub("done\n$", ""))
end

return forwarded
