-- The box's program: operations on files, and conditions. Each makes only the
-- missing changes, and sets $acted when it has changed something.

local core = require "boxd.core"
core.internal()

return [==[
my $MARKS = '/var/lib/boxd/provision';

sub parent {
  my ($path) = @_;
  return $path =~ m{^(.*)/[^/]+/*\z}s && length $1 ? $1 : '/';
}

# Where a link leads to in the end: a file there is changed, not the link.
sub behind {
  my ($path) = @_;
  for (1 .. 40) {
    my $to = readlink $path // return $path;
    $path = $to =~ m{^/} ? $to : parent($path) . '/' . $to;
  }
  die "$path: too many links\n";
}

# Owner and mode by a handle, so that nothing can be put in between.
sub adjust {
  my ($f, $path, $mode, $owner, $group) = @_;
  my @s = stat $f or die "$path: $!\n";
  my $uid = length $owner ? user_id($owner) : $s[4];
  my $gid = length $group ? group_id($group) : $s[5];
  my $want = length $mode ? oct $mode : $s[2] & 07777;
  if ($uid != $s[4] || $gid != $s[5]) {
    chown $uid, $gid, $f or die "$path: can't change the owner: $!"
      . ($!{EINVAL} ? ': the box maps no such user (/etc/subuid of its machine)' : '') . "\n";
    $acted = 1;
    @s = stat $f; # chown takes the setuid bits away
  }
  if (($s[2] & 07777) != $want) {
    chmod $want, $f or die "$path: can't change the mode: $!\n";
    $acted = 1;
  }
}

sub op_attr {
  my ($path, $mode, $owner, $group, $follow) = @_;
  sysopen my $f, $path, O_RDONLY | O_NONBLOCK | ($follow ? 0 : O_NOFOLLOW)
    or die "$path: $!\n";
  adjust($f, $path, $mode, $owner, $group);
}

# The temporary file of a path in this run, whose process its name has: another
# run may be writing the same path. Those of runs that were killed go.
sub beside {
  my ($path) = @_;
  my $dir = parent($path);
  my ($name) = $path =~ m{([^/]+)/*\z};
  my $new = '.' . substr($name, 0, 230) . '.boxd-new-';
  opendir my $names, $dir or return "$dir/$new$$";
  for (readdir $names) {
    unlink "$dir/$_" if /^\Q$new\E([0-9]+)\z/ && ($1 == $$ || !kill 0, $1);
  }
  return "$dir/$new$$";
}

sub same_content {
  my ($path, $content, @s) = @_;
  return @s && S_ISREG($s[2]) && $s[7] == length $content
    && slurp($path) eq $content;
}

sub fill {
  my ($f, $path, $content) = @_;
  binmode $f;
  print $f $content and $f->flush or die "$path: $!\n";
  $f->sync or die "$path: $!\n";
}

# The whole of a file. An empty mode or owner: as the file has it.
sub op_write {
  my ($path, $content, $mode, $owner, $group, $follow, $want_old) = @_;
  require IO::Handle;
  $path = behind($path) if $follow;
  my @s = lstat $path;
  die "$path is a directory\n" if @s && S_ISDIR($s[2]);
  my $regular = @s && S_ISREG($s[2]);
  return op_attr($path, $mode, $owner, $group, 0) if same_content($path, $content, @s);
  $extra = slurp($path) if $want_old && $regular && $s[7] <= $CONTENT_MAX;
  my $new = beside($path);
  sysopen my $f, $new, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600
    or die $!{ENOENT} ? "there is no directory " . parent($path) . "\n" : "$new: $!\n";
  eval {
    adjust($f, $path, '', length $owner ? $owner : $regular ? $s[4] : '',
      length $group ? $group : $regular ? $s[5] : '');
    fill($f, $path, $content);
    chmod length $mode ? oct $mode : $regular ? $s[2] & 07777 : 0644, $f
      or die "$path: $!\n";
    rename $new, $path or die "$path: $!\n";
    1;
  } or do { my $e = $@; unlink $new; die $e };
  $acted = 1;
}

# A file that only has to be there.
sub op_touch {
  my ($path, $mode, $owner, $group) = @_;
  my @s = lstat $path;
  return op_write($path, '', $mode, $owner, $group, 0, 0) if !@s;
  die "$path is a " . kind_of($s[2]) . ", not a file\n" if !S_ISREG($s[2]);
  op_attr($path, $mode, $owner, $group, 0);
}

sub op_mkdir {
  my ($path, $mode, $owner, $group) = @_;
  my $built = '';
  for my $part (grep { length } split m{/+}, $path) {
    $built .= "/$part";
    my $last = $built eq $path;
    my $made = mkdir $built, $last && length $mode ? 0700 : 0755;
    my $why = $!;
    die "$built: $why\n" if !$made && !-d $built;
    $acted = 1 if $made;
  }
  op_attr($path, $mode, $owner, $group, 1);
}

sub op_link {
  my ($path, $target) = @_;
  my $to = readlink $path;
  return if defined $to && $to eq $target;
  die "$path is there already, not a link: remove it first, by "
    . "on.file or on.directory with state = \"absent\"\n" if !defined $to && lstat $path;
  my $new = beside($path);
  symlink $target, $new or die $!{ENOENT}
    ? "there is no directory " . parent($path) . "\n" : "$path: $!\n";
  rename $new, $path or die "$path: $!\n";
  $acted = 1;
}

sub op_unlink {
  my ($path) = @_;
  my @s = lstat $path or return;
  die "$path is a directory: on.directory removes those\n" if S_ISDIR($s[2]);
  unlink $path or die "$path: $!\n";
  $acted = 1;
}

sub op_rmdir {
  my ($path) = @_;
  my @s = lstat $path or return;
  die "$path is a " . kind_of($s[2]) . ", not a directory\n" if !S_ISDIR($s[2]);
  must('rm', '-rf', '--one-file-system', '--', $path);
  $acted = 1;
}

# Conditions: they skip what follows of the step.

# One of the steps has changed something, or a run before that was cut short has
# left its mark.
sub op_when {
  my ($mark, @steps) = @_;
  $skip = 1 if !-e "$MARKS/$mark" && !grep { $changed{$_} } @steps;
}
sub op_creates { my ($path) = @_; $skip = 1 if lstat $path }
sub op_removes { my ($path) = @_; $skip = 1 if !lstat $path }
sub op_unless { $skip = 1 if (shell(0, @_))[0] == 0 }
sub op_only_if { $skip = 1 if (shell(0, @_))[0] != 0 }

# A step that others wait for marks them before it changes anything, so that a
# run that is cut short leaves them due. One that changes nothing takes its marks
# back.
my @fresh;
sub op_mark {
  for (@_) {
    next if -e "$MARKS/$_";
    push @fresh, $_;
    for ('/var/lib/boxd', $MARKS) { mkdir $_, 0700 if !-d $_ }
    sysopen my $f, "$MARKS/$_", O_WRONLY | O_CREAT, 0600
      or die "$MARKS/$_: $!\n";
  }
}
sub op_unmark { unlink map { "$MARKS/$_" } @_ }

sub op_changed { $acted = 1 } # by an operation before

sub fact_mark { my ($all, $mark) = @_; return { set => -e "$MARKS/$mark" ? 1 : '' } }

sub op_run {
  my ($command, $user, $cwd, $env, $secret) = @_;
  my ($code, $out) = shell(0, $command, $user, $cwd, $env);
  $acted = 1;
  return if $code == 0;
  die { message => "exit code $code", command => $secret ? '' : $command,
    code => $code, output => $secret ? '' : tail($out) };
}
]==]
