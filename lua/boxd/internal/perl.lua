-- Programs in a box, of perl-base: the text and its arguments travel by stdin,
-- so that neither is in an argument list or in a file of the box.

local core = require "boxd.core"
local boxd = require "boxd"
core.internal()

local perl = {}

-- Before every program: %a has its arguments, reply() answers.
local HEAD = [=[
use strict; use warnings;
my %a;
binmode $_ for *DATA, *STDIN, *STDOUT;
while (defined(my $head = <DATA>)) {
  my ($key, $size) = split ' ', $head;
  my $value = '';
  read(DATA, $value, $size) == $size or exit 3;
  <DATA>;
  $a{$key} = $value;
}
exists $a{whole} or exit 3;
alarm 0;
sub field { "$_[0] " . length($_[1]) . "\n$_[1]\n" }
sub put {
  my $data = shift;
  for (my $at = 0; $at < length $data;) {
    my $n = syswrite(STDOUT, $data, length($data) - $at, $at);
    defined $n ? ($at += $n) : ($!{EINTR} or exit 4);
  }
}
sub reply { my $text = ''; $text .= field(splice @_, 0, 2) while @_; put($text) }
sub refuse { reply('error', $_[0], 'message', $_[1]); exit 0 }
]=]

local function field(name, value)
  value = tostring(value)
  return ("%s %d\n%s\n"):format(name, #value, value)
end

--- What perl reads: a program and its arguments, texts by name.
function perl.input(program, arguments)
  local parts = { HEAD, program, "\n__END__\n" }
  for name, value in pairs(arguments) do
    parts[#parts + 1] = field(name, value)
  end
  parts[#parts + 1] = field("whole", "")
  return table.concat(parts)
end

--- An iterator of the fields of a reply: name, value.
function perl.fields(reply)
  local at = 1
  return function()
    local name, size, start = reply:match("^(%S+) (%d+)\n()", at)
    if not name then return nil end
    at = start + size + 1
    return name, reply:sub(start, start + size - 1)
  end
end

--- seconds: that the input may take to come. A service may let perl live where the
--- call is lost, with an input that never ends.
perl.limits = { input = 300 }

-- perl does not read its program before it has all of it: the alarm is there first.
local START = "perl -e 'alarm %d; exec qw(perl -)'"
local AS_ROOT = "if [ \"$(id -u)\" = 0 ]; then exec %s; "
  .. "else exec sudo -n -E HOME=\"$HOME\" %s; fi"

--- The command line whose input is what perl.input returns.
function perl.command(root)
  local start = START:format(perl.limits.input)
  return root and AS_ROOT:format(start, start) or "exec " .. start
end

--- Starts a program in the box: an ExecProcess. opts: timeout; as: another user;
--- killable: closing the process ends it, on any service.
function perl.start(box, program, arguments, opts)
  return box:sh(perl.command(), { stdin = perl.input(program, arguments),
    stream = true, killable = opts.killable or false, timeout = opts.timeout,
    user = opts.as })
end

--- Runs a program to its end and returns its output. what: for errors; opts:
--- timeout; as: another user; lasting: what it starts outlives its call.
function perl.run(box, what, program, arguments, root, opts)
  local result = box:sh(perl.command(root), { timeout = opts.timeout,
    stdin = perl.input(program, arguments), killable = not opts.lasting,
    user = opts.as })
  if result.success then return result.stdout end
  core.raise("BoxdError", ("%s: perl in the box ended with exit code %d: %s")
    :format(what, result.exit_code, (result.stderr:gsub("%s+$", ""))))
end

--- May the error be gone at the next try, as a lost connection is?
local PASSING = { ConnectionError = true, InternalError = true }

function perl.passes(e)
  return boxd.is_error(e) and e.method ~= nil and (PASSING[e.class] or false)
end

return perl
