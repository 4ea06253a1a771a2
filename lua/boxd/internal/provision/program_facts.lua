-- The box's program: facts. All of a kind are read at once.

local core = require "boxd.core"
core.internal()

return [==[
my $CONTENT_MAX = 1 << 20;

sub kind_of {
  my ($mode) = @_;
  return S_ISREG($mode) ? 'file' : S_ISDIR($mode) ? 'directory'
    : S_ISLNK($mode) ? 'link' : 'special';
}

sub slurp {
  my ($path) = @_;
  sysopen my $f, $path, O_RDONLY | O_NONBLOCK or die "$path: $!\n";
  binmode $f;
  local $/;
  return scalar(<$f>) // '';
}

# Hashes of many files by few processes: path -> sha256.
sub hashes {
  my (@paths) = @_;
  my %found;
  while (my @some = splice @paths, 0, 500) {
    my ($code, $out) = program('sha256sum', '-z', '--', @some);
    for (split /\0/, $out) { $found{substr $_, 66} = substr $_, 0, 64 }
  }
  return \%found;
}

# What a path is. `hash` is a size: another one differs anyway.
sub look {
  my ($path, $follow) = @_;
  my @s = $follow ? stat $path : lstat $path;
  @s = lstat $path if $follow && !@s; # a link that leads nowhere
  if (!@s) {
    return { type => 'absent' } if $!{ENOENT} || $!{ENOTDIR};
    die "$path: $!\n";
  }
  my $f = { type => kind_of($s[2]), mode => sprintf('%o', $s[2] & 07777),
    owner => user_name($s[4]), group => group_name($s[5]), uid => $s[4],
    gid => $s[5], size => $s[7], mtime => $s[9] };
  $f->{target} = readlink $path if $f->{type} eq 'link';
  return $f;
}

sub fact_stat {
  my ($all, $path, $follow, $hash, $content) = @_;
  my $f = look($path, $follow);
  return $f if $f->{type} ne 'file';
  $f->{sha256} = $all->{sha256}{$path} if defined $all->{sha256}{$path};
  if ($content) {
    die "$path has $f->{size} bytes: lines and blocks are for files of at most "
      . "1 MiB\n" if $f->{size} > $CONTENT_MAX;
    $f->{content} = slurp($path);
    require Cwd;
    $f->{real} = Cwd::realpath($path); # a file may have several names
  }
  return $f;
}

sub fact_user {
  my ($all, $name) = @_;
  my @p = getpwnam $name or return { missing => 1 };
  return { uid => $p[2], gid => $p[3], group => group_name($p[3]), comment => $p[6],
    home => $p[7], shell => $p[8],
    groups => join ' ', groups_of($name) };
}

sub fact_group {
  my ($all, $name) = @_;
  my @g = getgrnam $name or return { missing => 1 };
  return { gid => $g[2], members => $g[3] };
}

sub fact_run {
  my ($all, $command, $user, $cwd, $env) = @_;
  my ($code, $out, $err) = shell(1, $command, $user, $cwd, $env);
  my $errors = tail($err);
  local $/;
  return { code => $code, stdout => scalar(<$out>) // '', stderr => $errors };
}

sub fact_package {
  my ($all, $name) = @_;
  return { state => $all->{state}{$name}, version => $all->{version}{$name},
    candidate => $all->{candidate}{$name}, updated => updated() };
}

# A box answers before its systemd does: in the first second of its life this waits.
my $up_by; # until then, for all services that are asked for
sub has_systemd {
  my $first = '';
  $up_by ||= time + 30;
  if (open my $f, '<', '/proc/1/comm') { $first = <$f> // '' }
  select undef, undef, undef, 0.05
    while $first eq "systemd\n" && !-S '/run/systemd/private' && time < $up_by;
  return -d '/run/systemd/system';
}

sub fact_service {
  my ($all, $name) = @_;
  return { systemd => has_systemd() ? 1 : '',
    %{ $all->{service}{$name} // {} } };
}

# name -> what dpkg has, of packages that it knows.
sub installed {
  my (@names) = @_;
  my (%state, %version);
  return (\%state, \%version) if !@names;
  my ($code, $out) = program('dpkg-query', '-W', '-f',
    '${Package}\t${Architecture}\t${db:Status-Status}\t${Version}\n', '--', @names);
  for (split /\n/, $out) {
    my ($name, $arch, $status, $version) = split /\t/;
    for ($name, "$name:$arch") {
      next if ($state{$_} // '') eq 'installed';
      ($state{$_}, $version{$_}) = ($status, $version);
    }
  }
  return (\%state, \%version);
}

sub candidates {
  my (@names) = @_;
  my (%found, $name);
  return \%found if !@names;
  my ($code, $out) = program('apt-cache', 'policy', '--', @names);
  for (split /\n/, $out) {
    $name = $1 if /^(\S+):$/;
    $found{$name} = $1 if defined $name && /^  Candidate: (\S+)/;
  }
  return \%found;
}

# When the lists of packages were fetched; 0: never.
sub updated {
  my @s = stat '/var/lib/apt/periodic/update-success-stamp';
  my @l = stat '/var/lib/boxd/provision/apt-update';
  my ($a, $b) = ($s[9] // 0, $l[9] // 0);
  my $newest = $a > $b ? $a : $b;
  return $newest ? time - $newest : '';
}

sub services {
  my (@names) = @_;
  my %found;
  return \%found if !@names || !has_systemd();
  my ($code, $out) = program('systemctl', 'show', '-p',
    'LoadState,ActiveState,UnitFileState,NeedDaemonReload', '--', @names);
  my @parts = split /\n\n/, $out;
  for my $name (@names) {
    my %values = map { /^(\w+)=(.*)$/ ? ($1, $2) : () } split /\n/, shift @parts // '';
    $found{$name} = \%values;
  }
  return \%found;
}

sub unique { my %seen; grep { !$seen{$_}++ } @_ }

# Of facts: [step, key, what, arguments].
sub answer {
  my (@asked) = @_;
  my %all;
  my @hash = grep { $_->[2] eq 'stat' && length $_->[5] } @asked;
  $all{sha256} = hashes(map { $_->[3] } grep {
    my @s = $_->[4] ? stat $_->[3] : lstat $_->[3];
    @s && S_ISREG($s[2]) && ($_->[5] eq '*' || $s[7] == $_->[5]);
  } @hash);
  my @packages = grep { $_->[2] eq 'package' } @asked;
  @all{qw(state version)} = installed(unique(map { $_->[3] } @packages));
  $all{candidate} = candidates(unique(map { $_->[4] ? $_->[3] : () } @packages));
  $all{service} = services(unique(map { $_->[2] eq 'service' ? $_->[3] : () } @asked));
  for (@asked) {
    my ($i, $key, $what, @args) = @$_;
    my $f = main->can("fact_$what") or die "no fact $what\n";
    my $found = eval { $f->(\%all, @args) }
      // { error => $@ };
    reply('fact', $i, $key, %$found);
  }
  $| = 1; $| = 0;
}
]==]
