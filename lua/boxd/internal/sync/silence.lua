-- The end of a sync's program in a box where its client was killed: a service may
-- let it live on then, with an input that never ends and an output that nothing
-- reads.

local core = require "boxd.core"
core.internal()

--- seconds: without a byte read or written, after which it ends.
local silence = { seconds = 300 }

-- The child looks what its parent, which becomes the command, has moved.
local WATCH = [[my ($left, @words) = @ARGV;
my ($main, $seconds, $before) = ($$, $left, "");
my $pid = fork;
defined $pid or die "fork: $!\n";
exec { $words[0] } @words or die "$words[0]: $!\n" if $pid;
open $_, "+<", "/dev/null" for *STDIN, *STDOUT, *STDERR;
while (getppid == $main && $left-- > 0) {
  open my $f, "<", "/proc/$main/io" or exit;
  my $now = join "", <$f>;
  ($before, $left) = ($now, $seconds) if $now ne $before;
  sleep 1;
}
kill "TERM", $main if getppid == $main;]]

--- The command line of a program, which ends when it is silent.
function silence.watched(program)
  return ("perl -e %s %s"):format(
    core.text.quote { WATCH, ("%d"):format(silence.seconds) }, program)
end

return silence
