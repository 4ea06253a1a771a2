-- What runs in the box for its jobs, by perl-base alone. ~/.boxd/jobs/NAME has:
--
--   command   the command line, for `sh -c`
--   process   "pid PID START" of the command, "supervisor PID START" of what
--             waits for it, "boot ID", "started SECONDS", "mark HEX"; START is
--             field 22 of /proc/PID/stat, ID the boot_id and the START of pid 1
--   out, err  all that it wrote
--   end       "exited CODE SECONDS" or "killed SIGNAL SECONDS"; padded, as its
--             room was taken before the command ran: a full disk has it, too
--   timers    the idle timers that keep_awake set to 0: "SUSPEND HIBERNATE"
--   user      the user it runs as, where that is another one
--
-- A folder without `process` is what a start left that was cut short: no job.
-- ~/.boxd/jobs.lock is held while jobs start and go.

return [=[
use Fcntl qw(:flock O_WRONLY O_CREAT O_EXCL);
use POSIX ();
my $home = $ENV{HOME} || (getpwuid $<)[7];
my $root = "$home/.boxd/jobs";

sub slurp {
  open my $f, '<', $_[0] or return undef;
  binmode $f;
  local $/;
  my $text = <$f>;
  return defined $text ? $text : '';
}
sub spill {
  my ($path, $text) = @_;
  open my $f, '>', "$path.new" or return 0;
  binmode $f;
  return print($f $text) && close($f) && rename("$path.new", $path);
}
# (state, parent, session, start) of a process
sub stat_of {
  my $text = slurp("/proc/$_[0]/stat");
  return unless defined $text && $text =~ /^.*\) (.*)/s;
  return (split ' ', $1)[0, 1, 3, 19];
}
sub alive {
  my ($pid, $start) = @_;
  my @s = stat_of($pid);
  return @s && $s[3] eq $start && $s[0] ne 'Z' && $s[0] ne 'X';
}
sub boot {
  my $id = slurp('/proc/sys/kernel/random/boot_id') || '';
  chomp $id;
  return "$id:" . ((stat_of(1))[3] || '');
}
sub lock_jobs {
  -d $_ or mkdir $_, 0700 or -d $_ or refuse('disk', "$_: $!")
    for "$home/.boxd", $root;
  open my $f, '>>', "$home/.boxd/jobs.lock" or refuse('disk', "jobs.lock: $!");
  flock $f, LOCK_EX or refuse('disk', "jobs.lock: $!");
  return $f;
}

# ---- a job as its folder has it ----

sub status {
  my ($dir, $j) = @_;
  my $read = sub {
    my $end = slurp("$dir/end");
    return 0 unless defined $end;
    @$j{qw(status code ended)} = split ' ', $end;
    return 1;
  };
  return if $read->();
  my $here = $j->{boot} eq boot();
  return $j->{status} = 'running'
    if $here && (alive(@{$j->{supervisor}}) || alive(@{$j->{pid}}));
  $read->() or $j->{status} = 'lost';
}
sub load {
  my $name = shift;
  my $dir = "$root/$name";
  my $process = slurp("$dir/process");
  return undef unless defined $process;
  my $j = {name => $name};
  for (split /\n/, $process) {
    my ($key, @v) = split ' ';
    $j->{$key} = @v > 1 ? [@v] : $v[0];
  }
  return undef unless $j->{mark};
  for my $key (qw(command timers user)) {
    my $text = slurp("$dir/$key");
    $j->{$key} = $text if defined $text;
  }
  status($dir, $j);
  return $j;
}
sub record {
  my $j = shift;
  my $text = '';
  for my $key (qw(name command status code ended started mark timers user)) {
    $text .= field($key, $j->{$key}) if defined $j->{$key};
  }
  return $text . field('pid', $j->{pid}[0]);
}
sub names {
  opendir my $d, $root or return ();
  return grep { !/^\.\.?$/ } sort readdir $d;
}

# ---- the processes of a job ----

# Those with its mark, those of its session, and what came of either: of each
# its id, its start, and whether its parent is one of them.
sub look {
  my $j = shift;
  my (%parent, %in);
  my $main = alive(@{$j->{pid}}) ? $j->{pid}[0] : -1;
  for my $pid (map { m{(\d+)$} } glob '/proc/[0-9]*') {
    my ($state, $parent, $session, $start) = stat_of($pid);
    next unless defined $start;
    next if $state eq 'Z' || $pid == $$ || $pid == $j->{supervisor}[0];
    $parent{$pid} = [$parent, $start];
    my $env = slurp("/proc/$pid/environ");
    $in{$pid} = 1 if $session == $main
      || defined $env && "\0$env" =~ /\0BOXD_JOB=\Q$j->{mark}\E\0/;
  }
  for (my $more = 1; $more;) {
    $more = 0;
    for my $pid (grep { !$in{$_} } keys %parent) {
      $in{$pid} = $more = 1 if $in{$parent{$pid}[0]};
    }
  }
  # The command first: its end is to be by the signal, not by that of a child.
  return map { [$_, $parent{$_}[1], $in{$parent{$_}[0]}] }
    sort { ($b == $main) - ($a == $main) || $a <=> $b } keys %in;
}
# A second look sees what was being made at the first, while its parent went.
sub tree {
  my @all = look(@_);
  return @all ? @all : look(@_);
}
sub nap { select undef, undef, undef, $_[0] }
# Until none is left: the signal, to each process once, and KILL 5 s later. What
# a process runs as it ends is left to it.
sub end_tree {
  my ($j, $signal) = @_;
  my ($until, %done) = (time + 6);
  while (my @all = tree($j)) {
    my $late = $signal eq 'KILL' || time >= $until;
    my $all = $late || !%done;
    for my $p (@all) {
      my $key = "@$p[0, 1]";
      next unless $all || !$done{$key} && !$p->[2];
      kill $late ? 'KILL' : $signal, $p->[0];
      $done{$key} = 1;
    }
    last if time >= $until + 10;
    nap(0.02);
  }
}
# In a process of its own, which outlives a lost connection.
sub stop {
  my ($j, $signal) = @_;
  my $pid = fork;
  defined $pid or refuse('disk', "fork: $!");
  if (!$pid) {
    POSIX::setsid();
    open STDOUT, '>', '/dev/null';
    open STDERR, '>', '/dev/null';
    end_tree($j, $signal);
    POSIX::_exit(0);
  }
  waitpid $pid, 0;
  for (1 .. 100) {
    last unless -e "$root/$j->{name}" && alive(@{$j->{supervisor}});
    nap(0.02);
  }
}

# ---- starting one ----

sub become {
  my $user = shift;
  my ($name, undef, $uid, $gid, undef, undef, undef, $dir, $shell) = getpwnam $user;
  @ENV{qw(HOME USER LOGNAME SHELL)} = ($dir, $name, $name, $shell);
  delete @ENV{grep { /^SUDO_/ } keys %ENV};
  return if $> == $uid;
  return ('setpriv', "--reuid=$uid", "--regid=$gid", '--init-groups', '--');
}
sub pairs_of { map { split /=/, $_, 2 } split /\0/, $_[0] }
# The command itself; $go is readable when its record is written.
sub command {
  my ($dir, $go) = @_;
  POSIX::setsid();
  open STDIN, '<', '/dev/null';
  open STDOUT, '>>', "$dir/out" or POSIX::_exit(126);
  open STDERR, '>>', "$dir/err" or POSIX::_exit(126);
  sysread $go, my $byte, 1 or POSIX::_exit(126);
  $SIG{$_} = 'DEFAULT' for qw(HUP INT QUIT TERM PIPE CHLD USR1 USR2);
  delete $ENV{BOXD_JOB};
  my @as = exists $a{user} ? become($a{user}) : ();
  chdir(exists $a{cwd} ? $a{cwd} : $ENV{HOME}) or chdir '/';
  %ENV = (%ENV, pairs_of($a{env}), pairs_of($a{secret_env}), BOXD_JOB => $a{mark});
  exec @as, 'sh', '-c', $a{command} or POSIX::_exit(127);
}
sub process_text {
  my ($pid) = @_;
  return "pid $pid " . (stat_of($pid))[3] . "\nsupervisor $$ "
    . (stat_of($$))[3] . "\nboot " . boot() . "\nstarted " . time
    . "\nmark $a{mark}\n";
}
sub give {
  return if $> != 0;
  my ($uid, $gid) = (stat $home)[4, 5];
  chown $uid, $gid, "$home/.boxd", "$home/.boxd/jobs.lock", $root, @_;
}
# Waits for the command, whatever happens to the connection.
sub supervise {
  my ($dir, $told, $lock) = @_;
  POSIX::setsid();
  $SIG{$_} = 'IGNORE' for qw(HUP INT QUIT TERM PIPE);
  $0 = "boxd job $a{name}";
  open STDIN, '<', '/dev/null';
  open $_, '>', '/dev/null' for *STDOUT, *STDERR;
  pipe my $wait, my $go;
  my $pid = fork;
  defined $pid or syswrite($told, "fork: $!"), POSIX::_exit(1);
  if (!$pid) { close $go; close $told; command($dir, $wait) }
  spill("$dir/process", process_text($pid))
    or syswrite($told, "process: $!"), POSIX::_exit(1);
  give($dir, glob "\Q$dir\E/*");
  syswrite $go, 'g';
  syswrite $told, 'ok';
  close $_ for $told, $wait, $go, $lock;
  delete @a{qw(secret_env env)};
  chdir '/';
  waitpid $pid, 0;
  my @end = $? & 127 ? ('killed', $? & 127) : ('exited', $? >> 8);
  if (open my $f, '+<', "$dir/end.new") {
    syswrite $f, sprintf("%-47s\n", "@end " . time);
    rename "$dir/end.new", "$dir/end";
  }
  POSIX::_exit(0);
}
# An empty folder with all that is known before.
sub prepare {
  my ($dir, $timers) = @_;
  system 'rm', '-rf', '--', $dir if -e $dir;
  mkdir $dir, 0700 or refuse('disk', "$dir: $!");
  umask 077;
  my %files = (command => $a{command}, out => '', err => '', 'end.new' => ' ' x 48);
  $files{user} = $a{user} if exists $a{user};
  $files{timers} = $timers if defined $timers;
  for (keys %files) {
    spill("$dir/$_", $files{$_}) or refuse('disk', "$dir/$_: $!");
  }
}
sub launch {
  my ($dir, $lock) = @_;
  my $mask = umask;
  prepare($dir, $_[2]);
  umask $mask;
  pipe my $heard, my $told;
  my $pid = fork;
  defined $pid or refuse('disk', "fork: $!");
  if (!$pid) { close $heard; supervise($dir, $told, $lock) }
  close $told;
  local $/;
  my $answer = <$heard>;
  refuse('disk', $answer || 'its supervisor was killed') if $answer ne 'ok';
}
# The timers before any keep_awake: those that another running job has kept.
sub timers_before {
  for my $name (grep { $_ ne $a{name} } names()) {
    my $j = load($name);
    return $j->{timers} if $j && $j->{status} eq 'running' && defined $j->{timers};
  }
  return $a{timers};
}
sub check {
  refuse('cwd', "$a{cwd}: " . (-e $a{cwd} ? 'not a folder' : "$!"))
    if exists $a{cwd} && !-d $a{cwd};
  refuse('user', $a{user}) if exists $a{user} && !defined getpwnam $a{user};
}
sub op_start {
  my $lock = lock_jobs();
  my $dir = "$root/$a{name}";
  my $j = load($a{name});
  if ($j && $j->{mark} eq $a{mark}) {
    return reply('fresh', 1), put(record($j));
  }
  if ($j && !$a{restart}) {
    my $same = $j->{command} eq $a{command};
    refuse('conflict', $j->{command}) if !$same && $j->{status} eq 'running';
    if ($same) {
      if ($j->{status} eq 'running' && exists $a{timers} && !exists $j->{timers}) {
        spill("$dir/timers", $j->{timers} = timers_before());
      }
      return put(record($j));
    }
  }
  check();
  stop($j, 'TERM') if $j && $j->{status} eq 'running';
  my $timers = $j && exists $j->{timers} ? $j->{timers}
    : exists $a{timers} ? timers_before() : undef;
  launch($dir, $lock, $timers);
  reply('fresh', 1);
  put(record(load($a{name})));
}

# ---- the other calls ----

sub found {
  my $j = load($a{name});
  refuse('gone', 'removed') unless $j;
  refuse('gone', 'started anew') if exists $a{mark} && $j->{mark} ne $a{mark};
  return $j;
}
sub op_get { my $j = load($a{name}); put(record($j)) if $j }
sub op_list {
  for (names()) { my $j = load($_); put(field('job', record($j))) if $j }
}
sub op_kill {
  my $j = found();
  if ($a{ends}) { stop($j, $a{signal}) }
  else { kill $a{signal}, $_->[0] for tree($j) }
  put(record(load($a{name}) || $j));
}
sub op_remove {
  my $lock = lock_jobs();
  my $j = load($a{name}) or return;
  return if $j->{mark} ne $a{mark};
  refuse('running', '') if $j->{status} eq 'running';
  rename "$root/$a{name}", "$root/.gone.$a{mark}" or refuse('disk', "$!");
  system 'rm', '-rf', '--', "$root/.gone.$a{mark}";
}
# What the idle timers are to be, now that the job has ended.
sub op_asleep {
  my $lock = lock_jobs();
  my $j = found();
  return unless exists $j->{timers};
  if ($a{done}) { unlink "$root/$a{name}/timers"; return }
  delete $a{timers};
  if (defined timers_before()) { unlink "$root/$a{name}/timers" }
  else { reply('timers', $j->{timers}) }
}

# ---- output, in frames: a letter, the size, the bytes ----

sub pump {
  my ($letter, $f, $left) = @_;
  my $moved = 0;
  while ($f && (!defined $$left || $$left > 0)) {
    my $size = !defined $$left || $$left > 262144 ? 262144 : $$left;
    my $n = sysread($f, my $data, $size);
    last unless $n;
    $$left -= $n if defined $$left;
    put("$letter $n\n$data");
    $moved = 1;
  }
  return $moved;
}
sub open_at {
  my ($file, $from) = @_;
  open my $f, '<', "$root/$a{name}/$file" or refuse('gone', 'removed');
  my $size = -s $f;
  $from = $size + $from < 0 ? 0 : $size + $from if $from < 0;
  sysseek $f, $from, 0;
  $size = $size > $from ? $size - $from : 0;
  return ($f, $from, $size);
}
sub op_follow {
  found();
  my ($out, $err, $at, $left, $rest);
  if (exists $a{out}) {
    ($out, $at, $left) = open_at($a{file} || 'out', $a{out});
    put('a ' . length($at) . "\n$at");
  }
  ($err, undef, $rest) = open_at('err', $a{err}) if exists $a{err};
  $left = $rest = undef if $a{follow};
  $left = $a{limit} if exists $a{limit} && $a{limit} < $left;
  my ($pause, $beat, $end) = (0.005, time, time + $a{life});
  alarm $a{life} + 2; # where nothing reads what it writes
  while (time < $end) {
    my $j = load($a{name});
    return put("g 0\n") unless $j && $j->{mark} eq $a{mark};
    my $over = $j->{status} ne 'running' || !$a{follow};
    my $moved = pump('o', $out, \$left) | pump('e', $err, \$rest);
    if ($over) {
      my $record = record($j);
      return put('z ' . length($record) . "\n$record");
    }
    if (time >= $beat + 10) { put("h 0\n"); $beat = time }
    $pause = $moved ? 0.005 : $pause < 0.1 ? $pause * 1.5 : $pause;
    nap($pause);
  }
}
{ no strict 'refs'; &{"op_$a{op}"}(); }
exit 0;
]=]
