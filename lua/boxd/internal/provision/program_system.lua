-- The box's program: packages, users, groups and services.

local core = require "boxd.core"
core.internal()

return [==[
# Packages.

my @APT = ('apt-get', '-y', '-q', '-o', 'DPkg::Lock::Timeout=300',
  '-o', 'Dpkg::Options::=--force-confdef', '-o', 'Dpkg::Options::=--force-confold');

sub apt {
  local @ENV{qw(DEBIAN_FRONTEND NEEDRESTART_SUSPEND)} = ('noninteractive', 1);
  eval { must(@APT, @_); 1 } and return;
  my $e = $@;
  die $e if !ref $e || $e->{output} !~ /dpkg --configure -a/;
  must('dpkg', '--force-confdef', '--force-confold', '--configure', '-a');
  must(@APT, @_); # what a run that was killed had begun
}

sub apt_update {
  my ($age) = @_;
  my $since = updated();
  return if length $since && $since <= $age;
  apt('update');
  op_mark('apt-update');
  utime undef, undef, "$MARKS/apt-update";
}

sub op_package {
  my ($want, $age, @names) = @_;
  my ($state, $version) = installed(map { s/=.*//sr } @names);
  my @missing = grep {
    my ($name, $exact) = split /=/, $_, 2;
    ($state->{$name} // '') ne 'installed'
      || defined $exact && $version->{$name} ne $exact;
  } @names;
  if ($want eq 'absent') {
    my @there = grep { ($state->{$_} // '') =~ /^(?!not-installed|config-files)./ } @names;
    return if !@there;
    apt('remove', '--', @there);
    return $acted = 1;
  }
  return if $want eq 'present' && !@missing;
  apt_update($age);
  if ($want eq 'latest') {
    my $newest = candidates(@names);
    @missing = grep { ($version->{$_} // '') ne ($newest->{$_} // '')
      || ($state->{$_} // '') ne 'installed' } @names;
    return if !@missing;
  }
  my @before = (stat '/var/lib/dpkg/status')[1, 7, 9];
  apt('install', '--', @missing); # which others may provide already
  $acted = 1 if "@before" ne join ' ', (stat '/var/lib/dpkg/status')[1, 7, 9];
}

# Users and groups.

sub op_group {
  my ($name, $state, $gid, $system) = @_;
  my @g = getgrnam $name;
  if ($state eq 'absent') {
    return if !@g;
    must('groupdel', '--', $name);
  } elsif (!@g) {
    must('groupadd', $system ? '-r' : (), length $gid ? ('-g', $gid) : (), '--', $name);
  } elsif (length $gid && $gid != $g[2]) {
    must('groupmod', '-g', $gid, '--', $name);
  } else { return }
  %groups = ();
  $acted = 1;
}

sub add_user {
  my ($name, $groups, %want) = @_;
  must('useradd', $want{system} ? '-r' : (), '-m',
    length $want{uid} ? ('-u', $want{uid}) : (),
    getgrnam($name) ? ('-g', $name) : ('-U'),
    length $want{shell} ? ('-s', $want{shell}) : (),
    length $want{home} ? ('-d', $want{home}) : (),
    @$groups ? ('-G', join ',', @$groups) : (), '--', $name);
}

sub change_user {
  my ($name, $groups, %want) = @_;
  my @p = getpwnam $name;
  my %has = map { $_ => 1 } groups_of($name), group_name($p[3]);
  my @more = grep { !$has{$_} } @$groups;
  my @words = (
    length $want{uid} && $want{uid} != $p[2] ? ('-u', $want{uid}) : (),
    length $want{shell} && $want{shell} ne $p[8] ? ('-s', $want{shell}) : (),
    length $want{home} && $want{home} ne $p[7] ? ('-m', '-d', $want{home}) : (),
    @more ? ('-a', '-G', join ',', @more) : ());
  return 0 if !@words;
  must('usermod', @words, '--', $name);
  return 1;
}

sub op_user {
  my ($name, $state, $uid, $shell, $home, $system, @groups) = @_;
  my $there = defined getpwnam $name;
  my %want = (uid => $uid, shell => $shell, home => $home, system => $system);
  if ($state eq 'absent') {
    return if !$there;
    must('userdel', '--', $name);
  } elsif (!$there) { add_user($name, \@groups, %want) }
  else { change_user($name, \@groups, %want) or return }
  %users = %groups = ();
  $acted = 1;
}

# Services.

sub systemctl {
  my ($what, $name) = @_;
  eval { must('systemctl', $what, '--', $name); 1 } and return;
  my $e = $@;
  my ($code, $log) = eval { program('journalctl', '-u', $name, '-n', 20, '--no-pager',
    '-o', 'cat') };
  $e->{output} .= $log if defined $log && !$code;
  die $e;
}

sub op_service {
  my ($name, $running, $enabled, $mark, $restart, $reload) = @_;
  my $is = services($name)->{$name} or die "the box does not run systemd\n";
  die "the box has no service $name\n" if ($is->{LoadState} // '') eq 'not-found'
    && ($running . $enabled) =~ /1/;
  my ($again, $anew) = map { scalar grep { $changed{$_} } split / /, $_ } $restart, $reload;
  (length $restart ? $again : $anew) ||= length $mark && -e "$MARKS/$mark";
  must('systemctl', 'daemon-reload') if ($is->{NeedDaemonReload} // '') eq 'yes';
  my $on = ($is->{UnitFileState} // '') =~ /^(enabled|alias|static)/;
  my $active = ($is->{ActiveState} // '') =~ /^(active|reloading|activating)\z/;
  my @do = ($enabled eq '1' && !$on ? 'enable' : (),
    $enabled eq '0' && $on ? 'disable' : (),
    $running eq '0' && $active ? 'stop' : (),
    $running eq '1' && !$active ? 'start' : (),
    $active && $running ne '0' ? ($again ? 'restart' : $anew ? 'reload-or-restart' : ()) : ());
  for (@do) { systemctl($_, $name); $acted = 1 }
}

# Repositories.

sub git {
  my ($user, @words) = @_;
  local $ENV{GIT_TERMINAL_PROMPT} = 0;
  my ($code, $out) = spawn(0, undef, $user, '', '', 'git', '-c', 'safe.directory=*',
    @words);
  my $text = tail($out);
  chomp $text;
  return ($code, $text);
}

sub must_git {
  my ($code, $text) = git(@_);
  return $text if !$code;
  shift;
  die { message => "exit code $code", command => "git @_", code => $code,
    output => $text };
}

# The commit that a repository has for a ref; '' when it has none.
sub remote_commit {
  my ($user, $repo, $ref) = @_;
  return $ref if $ref =~ /^[0-9a-f]{40}\z/;
  my ($code, $text) = git($user, 'ls-remote', '--', $repo, $ref, "$ref^{}");
  die "git ls-remote $repo: $text\n" if $code;
  my %at = map { /^([0-9a-f]{40})\t(\S+)$/ ? ($2, $1) : () } split /\n/, $text;
  for ("refs/tags/$ref^{}", "refs/tags/$ref", "refs/heads/$ref", $ref) {
    return $at{$_} if $at{$_};
  }
  return '';
}

sub fact_git {
  my ($all, $dir, $repo, $ref, $user) = @_;
  my ($code, $head) = -d "$dir/.git" ? git($user, '-C', $dir, 'rev-parse', 'HEAD') : 1;
  return { head => '' } if $code;
  my (undef, $origin) = git($user, '-C', $dir, 'config', 'remote.origin.url');
  my (undef, $dirty) = git($user, '-C', $dir, 'status', '--porcelain', '-uno');
  return { head => $head, repo => $origin, dirty => $dirty,
    wanted => remote_commit($user, $repo, $ref) };
}

sub op_git {
  my ($dir, $repo, $ref, $user) = @_;
  my $is = fact_git({}, $dir, $repo, $ref, $user);
  my @in = ('-C', $dir);
  if (!length $is->{head}) {
    if (!-e "$dir/.git") {
      my $made = !-d $dir;
      op_mkdir($dir, '', $made ? $user : '', '');
    }
    must_git($user, 'init', '-q', '--', $dir);
  }
  my ($code) = git($user, @in, 'remote', 'set-url', 'origin', $repo);
  must_git($user, @in, 'remote', 'add', 'origin', $repo) if $code;
  return if length $is->{head} && $is->{wanted} eq $is->{head} && !length $is->{dirty}
    && $is->{repo} eq $repo;
  $acted = 1;
  unlink "$dir/.git/index.lock"; # of a run that was killed
  my $wanted = $is->{wanted} || remote_commit($user, $repo, $ref);
  die "$repo has no branch, tag or commit $ref\n" if !length $wanted;
  my ($missing) = git($user, @in, 'cat-file', '-e', "$wanted^{commit}");
  must_git($user, @in, 'fetch', '-q', '--tags', 'origin',
    '+refs/heads/*:refs/remotes/origin/*') if $missing;
  must_git($user, @in, 'checkout', '-q', '-f', '--detach', $wanted);
}

sub op_download {
  my ($path, $url, $hash, $mode, $owner, $group) = @_;
  my $is = look($path, 0);
  die "$path is a directory\n" if $is->{type} eq 'directory';
  my $right = $is->{type} eq 'file' && (!length $hash || hashes($path)->{$path} eq $hash);
  return op_attr($path, $mode, $owner, $group, 0) if $right;
  my $new = beside($path);
  sysopen my $f, $new, O_RDWR | O_CREAT | O_EXCL, 0600 or die "$new: $!\n";
  eval {
    fetch($url, $new);
    my $has = length $hash ? hashes($new)->{$new} : '';
    die "$url: its sha256 is $has, not $hash\n" if $has ne $hash;
    adjust($f, $path, length $mode ? $mode : '644', $owner, $group);
    rename $new, $path or die "$path: $!\n";
    1;
  } or do { my $e = $@; unlink $new; die $e };
  $acted = 1;
}

sub has_program { my ($name) = @_; grep { -x "$_/$name" } split /:/, $ENV{PATH} }

sub fetch {
  my ($url, $to) = @_;
  return must('curl', '-fsSL', '--retry', 2, '-o', $to, '--', $url) if has_program('curl');
  return must('wget', '-q', '-O', $to, '--', $url) if has_program('wget');
  die "a download needs curl or wget: on.package{\"curl\"} before it installs one\n";
}

# Also when a run before was cut short between the unit's file and this.
sub op_daemon_reload {
  my ($name) = @_;
  return if !$acted && (services($name)->{$name}{NeedDaemonReload} // '') ne 'yes';
  must('systemctl', 'daemon-reload');
  $acted = 1;
}
]==]
