-- box:forward: a port of this machine that leads to one of a box, by a command
-- a connection. perl connects there: of what every box has, nothing else tells
-- the ends of both directions apart.

local core = require "boxd.core"
local boxd = require "boxd"
local check = require "boxd.internal.check"
core.internal()

local Forward = core.class "Forward"
local methods = {}
local state = setmetatable({}, { __mode = "k" }) -- by the forward

-- Joins the port to stdin and stdout. The end of what the port sends comes as
-- "eof BYTES" by stderr, as stdout ends with the command alone.
local PROGRAM = [=[
use strict; use Socket;
my ($port, $s) = @ARGV;
$SIG{PIPE} = "IGNORE";
sub try {
  my ($family, $address) = @_;
  socket $s, $family, SOCK_STREAM, 0 and connect $s, $address;
}
try(PF_INET, pack_sockaddr_in($port, inet_aton("127.0.0.1")))
  or try(PF_INET6, pack_sockaddr_in6($port, Socket::inet_pton(AF_INET6, "::1")))
  or do { print STDERR "refused $!\n"; exit 1 };
sub copy {
  my ($from, $to, $all) = (@_, 0);
  for (;;) {
    my $n = sysread $from, my $data, 262144;
    defined $n or $!{EINTR} ? next : return -1;
    $n or return $all;
    $all += $n;
    for (my $at = 0; $at < $n;) {
      my $m = syswrite $to, $data, $n - $at, $at;
      defined $m ? ($at += $m) : $!{EINTR} || return -1;
    }
  }
}
my $main = $$;
my $pid = fork;
defined $pid or exit 1;
if (!$pid) {
  close STDOUT; close STDERR;
  my $n = copy(*STDIN, $s);
  shutdown $s, 1;
  $n < 0 and shutdown $s, 2;
  exit 0;
}
close STDIN;
my $n = copy($s, *STDOUT);
$n < 0 and kill("KILL", $pid), exit 1;
print STDERR "eof $n\n";
close STDERR;
waitpid $pid, 0;
]=]

function Forward:__index(name)
  if methods[name] then return methods[name] end
  if name == "port" then return state[self].port end
  if type(name) ~= "string" or name:sub(1, 1) == "_" then return nil end
  error(("Forward has no field or method '%s': it has port and close"):format(
    name), 2)
end

function Forward.__newindex(_, name)
  error(("Forward.%s is read-only"):format(tostring(name)), 2)
end

function Forward:__tostring()
  local s = state[self]
  return ("Forward(port=%d, remote_port=%d%s)"):format(s.port, s.remote,
    s.closed and ", closed" or "")
end

-- ---- a connection ----

-- What the client sends goes to the command, then the end of it.
local function upward(client, process)
  for data in function() return client:read() end do process:write(data) end
  process:write_eof()
end

-- What the command sends goes to the client; the end once all before it has.
-- Returns why the command has not reached the port, or nil.
local function downward(client, process)
  local done, notes, all = 0, "", nil
  for data, stream in process:chunks() do
    if stream == "stdout" then
      if not client:write(data) then return end
      done = done + #data
    else
      notes = notes .. data
      all = math.tointeger(notes:match "eof (%d+)\n")
    end
    if all == done then client:shutdown() end
  end
  return not all and notes:match "refused ([^\n]*)" or nil
end

-- One of the two that fails ends both: the client sees its connection end.
local function serve(s, client)
  local process <close> = core.exec(s.box, "perl", "-e", PROGRAM,
    tostring(s.remote), { stream = true, killable = true })
  local up = boxd.spawn(function()
    if not pcall(upward, client, process) then process:close() end
  end)
  local _up <close> = setmetatable({}, { __close = function() up:cancel() end })
  return downward(client, process)
end

-- Warns why a connection failed, unless the one before failed in the same way.
local function say(s, ok, why)
  if not ok then
    if boxd.is_error(why, boxd.CancelledError) then return end
    why = boxd.is_error(why) and why.message or tostring(why)
  end
  if why and why ~= s.said then
    warn(("boxd: port %d of box %s is not reached: %s"):format(s.remote,
      s.box.name or s.box.id, why))
  end
  s.said = why
end

local function accept(s)
  for client in function() return s.gate:accept() end do
    local task
    task = boxd.spawn(function()
      local _client <close> = client
      boxd.sleep(0)
      say(s, pcall(serve, s, client))
      s.tasks[task] = nil
    end)
    s.tasks[task] = true
  end
end

-- ---- the forward ----

--- forward:close(): ends the port and its connections. Idempotent.
function methods:close()
  local s = state[self] or check.fail(1, "close", "boxd.Forward", self)
  if s.closed then return end
  s.closed = true
  s.gate:close()
  for task in pairs(s.tasks) do task:cancel() end
end
Forward.__close = methods.close
Forward.__gc = methods.close -- nothing else could end it then

local function read_listen(opts)
  local text = check.field("forward", opts, "listen", "string") or "127.0.0.1:0"
  local host, port = text:match "^%[(.*)%]:(%d+)$"
  if not host then host, port = text:match "^([^:]*):(%d+)$" end
  port = math.tointeger(port)
  if host == "localhost" then host = "127.0.0.1" end
  if not host or not port or port > 65535 then
    check.invalid("forward: listen is an address and a port, such as "
      .. "\"127.0.0.1:0\" or \"[::1]:8080\", not %s", check.show(text))
  end
  return host, port
end

local of_box = {}

-- box:forward(remote_port, { listen="127.0.0.1:0" }) -> Forward
function of_box:forward(port, opts)
  if math.type(port) ~= "integer" then check.fail(1, "forward", "integer", port) end
  opts = check.options(2, "forward", opts, { "listen" })
  if port < 1 or port > 65535 then
    check.invalid("forward: a port is 1 to 65535, not %d", port)
  end
  local host, wanted = read_listen(opts)
  core.check_open(self)
  local gate, why = core.gate(wanted, host)
  if not gate then
    core.raise("ConnectionError", ("forward: %s:%d: %s"):format(host, wanted, why))
  end
  local s = { box = self, remote = port, gate = gate, port = gate:port(),
    tasks = {} }
  boxd.spawn(accept, s)
  local forward = setmetatable({}, Forward)
  state[forward] = s
  return forward
end

return of_box
