-- The program that runs in a box: Perl, of the package perl-base alone, which
-- is Essential on Debian and Ubuntu. It reads itself from stdin up to __END__,
-- and then frames: a little-endian length of 4 bytes and that many bytes, which
-- are strings of the same form. Its replies are such frames, too. So contents
-- and commands of any bytes reach it without showing in a list of arguments.

local core = require "boxd.core"
core.internal()

local frames = [==[
use strict; use warnings; use Fcntl qw(:DEFAULT :mode);
$SIG{PIPE} = 'DEFAULT';
umask 022;
%ENV = (PATH => '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME => (getpwuid $>)[7] // '/', LC_ALL => 'C', USER => 'root', LOGNAME => 'root');
binmode DATA; binmode STDOUT; select STDOUT;
$| = 1; print pack 'V', 0; $| = 0; # we are here, as root

# Of the step that is applied, and of those before it.
my ($step, $skip, $acted, $extra, %changed) = (0, 0, 0, '');

sub frame {
  my $n = read DATA, my $head, 4;
  return if !$n;
  my $size = unpack 'V', $head;
  my $body = '';
  die "a request was cut short\n"
    if $n != 4 || ($size && (read(DATA, $body, $size) // 0) != $size);
  return unpack '(V/a*)*', $body;
}

sub reply {
  my $body = pack '(V/a*)*', map { $_ // '' } @_;
  print pack('V', length $body), $body or exit 1;
}

# Users and groups by name and number.

my (%users, %groups);
sub user_name { my ($id) = @_; $users{$id} //= getpwuid($id) // $id }
sub group_name { my ($id) = @_; $groups{$id} //= getgrgid($id) // $id }
sub user_id {
  my ($name) = @_;
  return $name =~ /^[0-9]+\z/ ? $name
    : getpwnam($name) // die "the box has no user $name\n";
}
sub group_id {
  my ($name) = @_;
  return $name =~ /^[0-9]+\z/ ? $name
    : getgrnam($name) // die "the box has no group $name\n";
}
sub groups_of {
  my ($name) = @_;
  my @found;
  setgrent;
  while (my @g = getgrent) {
    push @found, $g[0] if grep { $_ eq $name } split ' ', $g[3];
  }
  endgrent;
  return @found;
}

# Commands. Their text comes by a file that has no name, so that no list of
# arguments has it; their output goes to one, so that what they leave running
# holds nothing up.

sub become {
  my ($user) = @_;
  my @p = getpwnam $user or die "the box has no user $user\n";
  my @ids = map { scalar getgrnam $_ } groups_of($user);
  $) = join ' ', $p[3], $p[3], @ids;
  $( = $p[3];
  ($<, $>) = ($p[2], $p[2]);
  die "can't become $user\n" if $> != $p[2] || $< != $p[2];
  @ENV{qw(HOME USER LOGNAME)} = ($p[7], $user, $user);
  chdir $p[7] or chdir '/';
}

# As descriptor 3, over exec.
sub keep_open {
  my ($input) = @_;
  require POSIX;
  return fcntl($input, F_SETFD, 0) || die "fcntl: $!\n" if fileno $input == 3;
  POSIX::dup2(fileno $input, 3) or die "dup2: $!\n";
}

sub child {
  my ($out, $err, $input, $user, $cwd, $env, @words) = @_;
  eval {
    become($user) if length $user;
    if (length $cwd) { chdir $cwd or die "$cwd: $!\n" }
    my %more = unpack '(V/a*)*', $env;
    @ENV{keys %more} = values %more;
    open STDIN, '<', '/dev/null' or die "/dev/null: $!\n";
    open STDOUT, '>&', $out or die "stdout: $!\n";
    open STDERR, '>&', $err or die "stderr: $!\n";
    keep_open($input) if $input;
    exec { $words[0] } @words or die "$words[0]: $!\n";
  };
  syswrite $err, $@;
  require POSIX;
  POSIX::_exit(127);
}

sub temporary {
  open my $f, '+>', undef or die "can't make a temporary file: $!\n";
  binmode $f;
  return $f;
}

# Both outputs as one file unless they are wanted apart: the exit code (128 and
# the signal when killed), and the files.
sub spawn {
  my ($apart, $input, @rest) = @_;
  my $out = temporary();
  my $err = $apart ? temporary() : $out;
  my $pid = fork // die "fork: $!\n";
  child($out, $err, $input, @rest) if !$pid;
  waitpid $pid, 0;
  my $code = $? & 127 ? 128 + ($? & 127) : $? >> 8;
  seek $_, 0, 0 for $out, $err;
  return $code, $out, $err;
}

sub tail {
  my ($f) = @_;
  my $size = -s $f // 0;
  seek $f, $size > 65536 ? $size - 65536 : 0, 0;
  my @lines = <$f>;
  splice @lines, 0, @lines - 20 if @lines > 20;
  return join '', @lines;
}

my $SHELL = 'c=$(cat <&3 && echo .) || exit 126; exec 3<&-; eval "${c%.}"';
sub shell {
  my ($apart, $command, $user, $cwd, $env) = @_;
  my $input = temporary();
  print $input $command;
  seek $input, 0, 0; # which flushes
  return spawn($apart, $input, $user, $cwd, $env, 'sh', '-c', $SHELL);
}

sub program {
  my (@words) = @_;
  my ($code, $out) = spawn(1, undef, '', '', '', @words);
  local $/;
  return ($code, <$out> // '');
}

# A program that must succeed; the command is for the error.
sub must {
  my (@words) = @_;
  my ($code, $out) = spawn(0, undef, '', '', '', @words);
  return if $code == 0;
  die { message => "exit code $code", command => "@words", code => $code,
    output => tail($out) };
}
]==]

local main = [==[
my @facts;

sub act { # an operation of a step, unless a condition has skipped it
  my ($op, @args) = @_;
  return if $skip;
  my $f = main->can("op_$op") or die "no operation $op\n";
  $f->(@args);
}

sub failed {
  my ($e) = @_;
  $e = { message => $e } if !ref $e;
  chomp(my $text = $e->{message});
  reply('fail', $step, $text, $e->{command}, $e->{code}, $e->{output});
  $| = 1;
  1 while read DATA, my $rest, 65536;
  exit 0;
}

while (my ($op, @args) = frame()) {
  if ($op eq 'fact') { push @facts, [@args] }
  elsif ($op eq 'facts') { answer(@facts); @facts = () }
  elsif ($op eq 'begin') { ($step, $skip, $acted, $extra) = ($args[0], 0, 0, '') }
  elsif ($op eq 'unmark') { op_unmark(@args) }
  elsif ($op eq 'flag') { $changed{$args[0]} = 1 }
  elsif ($op eq 'end') {
    $changed{$step} = 1 if $acted;
    op_unmark(@fresh) if !$acted;
    @fresh = ();
    reply('done', $step, $acted ? 'changed' : 'ok', $extra);
    $| = 1; $| = 0;
  }
  else { eval { act($op, @args); 1 } or failed($@) }
}
]==]

return frames .. require "boxd.internal.provision.program_facts"
  .. require "boxd.internal.provision.program_operations"
  .. require "boxd.internal.provision.program_system" .. main .. "__END__\n"
