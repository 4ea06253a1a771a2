/*
** sudo, as local boxes have it: without a password, for root, boxd and members
** of the group sudo. Not part of boxdlua but carried in it: the spawner mounts
** it in each box, the one program there that gains rights by its mode.
*/
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define BOXD_UID 1000
#define SECURE_PATH \
  "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define ENV_MAX 4096

extern char **environ;

typedef struct request {
  const char *user, *group, *dir, *keep; /* keep: NAME,NAME; "" for all */
  bool login, shell, home, background, only_check, list;
  char **command; /* NULL-terminated; assignments come first */
} request;

static _Noreturn void __attribute__((format(printf, 1, 2)))
die(const char *fmt, ...) {
  va_list ap;
  fputs("sudo: ", stderr);
  va_start(ap, fmt);
  vfprintf(stderr, fmt, ap);
  va_end(ap);
  fputc('\n', stderr);
  exit(1);
}

static _Noreturn void usage(FILE *to, int code) {
  fputs("usage: sudo [-EHiknsvlVb] [-u user] [-g group] [-D dir] "
        "[VAR=value ...] [command [argument ...]]\n", to);
  exit(code);
}

static void *need(void *p) {
  if (!p) die("out of memory");
  return p;
}

/* ---- who may ------------------------------------------------------------- */

static bool one_id(void) {
  unsigned long first = 0, outside = 0, n = 0;
  FILE *f = fopen("/proc/self/uid_map", "re");
  int got = f ? fscanf(f, "%lu %lu %lu", &first, &outside, &n) : 0;
  if (f) fclose(f);
  return got == 3 && n == 1;
}

static bool in_group(gid_t wanted) {
  gid_t list[256];
  int n = getgroups(256, list);
  for (int i = 0; i < n; i++)
    if (list[i] == wanted) return true;
  return getgid() == wanted;
}

static bool may(uid_t uid) {
  if (uid == 0 || uid == BOXD_UID) return true;
  struct group *g = getgrnam("sudo");
  return g && in_group(g->gr_gid);
}

static void check_caller(void) {
  uid_t uid = getuid();
  if (geteuid() != 0 && one_id())
    die("this box has a single user id, boxd's, so it has no root: the machine "
        "that runs it maps one id only (install its package uidmap, and give "
        "the user a range in /etc/subuid and /etc/subgid)");
  if (geteuid() != 0) die("must be owned by uid 0 and have the setuid bit set");
  if (may(uid)) return;
  struct passwd *pw = getpwuid(uid);
  die("%s is not in the sudoers file", pw ? pw->pw_name : "this user");
}

/* ---- options ------------------------------------------------------------- */

/* The value of an option: after it, or the next argument. */
static const char *value(char ***at, const char *rest, const char *name) {
  if (*rest) return rest;
  if (!(*at)[1]) die("option %s needs a value", name);
  return *++*at;
}

/* Letters that take a value. Those that are not used here are read over. */
static bool with_value(request *r, char ***at, char letter, const char *rest) {
  char name[] = {'-', letter, '\0'};
  if (!strchr("ugDpCrtTRUh", letter)) return false;
  if (letter == 'h' && !*rest && !(*at)[1]) usage(stdout, 0);
  const char *text = value(at, rest, name);
  if (letter == 'u') r->user = text;
  if (letter == 'g') r->group = text;
  if (letter == 'D') r->dir = text;
  return true;
}

static void flag(request *r, char letter) {
  switch (letter) {
    case 'E': r->keep = ""; break;
    case 'H': r->home = true; break;
    case 'i': r->login = true; break;
    case 's': r->shell = true; break;
    case 'b': r->background = true; break;
    case 'l': r->list = true; break;
    case 'v': case 'k': case 'K': r->only_check = true; break;
    case 'V': puts("Sudo of a local box"); exit(0);
    case 'n': case 'S': case 'A': case 'P': case 'B': case 'N': break;
    default:
      fprintf(stderr, "sudo: invalid option -- '%c'\n", letter);
      usage(stderr, 1);
  }
}

static void letters(request *r, char ***at) {
  for (const char *p = **at + 1; *p; p++) {
    if (with_value(r, at, *p, p + 1)) return;
    flag(r, *p);
  }
}

static const struct {
  const char *name;
  char letter;
} long_options[] = {
    {"user", 'u'}, {"group", 'g'}, {"chdir", 'D'}, {"prompt", 'p'},
    {"close-from", 'C'}, {"role", 'r'}, {"type", 't'},
    {"command-timeout", 'T'}, {"chroot", 'R'}, {"other-user", 'U'},
    {"host", 'h'}, {"preserve-env", 'E'}, {"set-home", 'H'}, {"login", 'i'},
    {"shell", 's'}, {"background", 'b'}, {"list", 'l'}, {"validate", 'v'},
    {"reset-timestamp", 'k'}, {"remove-timestamp", 'K'}, {"version", 'V'},
    {"non-interactive", 'n'}, {"stdin", 'S'}, {"askpass", 'A'},
    {"preserve-groups", 'P'}, {"bell", 'B'}, {"no-update", 'N'}};

static void long_option(request *r, char ***at) {
  const char *name = **at + 2;
  size_t n = strcspn(name, "=");
  if (strcmp(name, "help") == 0) usage(stdout, 0);
  for (size_t i = 0; i < sizeof long_options / sizeof *long_options; i++) {
    if (strlen(long_options[i].name) != n ||
        strncmp(long_options[i].name, name, n) != 0)
      continue;
    char letter = long_options[i].letter;
    if (letter == 'E' && name[n] == '=')
      r->keep = name + n + 1;
    else if (!with_value(r, at, letter, name[n] ? name + n + 1 : ""))
      flag(r, letter);
    return;
  }
  fprintf(stderr, "sudo: unrecognized option '%s'\n", **at);
  usage(stderr, 1);
}

static void parse(request *r, char **argv) {
  char **at = argv + (*argv != NULL);
  for (; *at && **at == '-'; at++) {
    if (strcmp(*at, "--") == 0) {
      at++;
      break;
    }
    if ((*at)[1] == '-')
      long_option(r, &at);
    else
      letters(r, &at);
  }
  r->command = at;
}

/* ---- users --------------------------------------------------------------- */

static bool number(const char *text, unsigned *n) {
  char *end;
  errno = 0;
  unsigned long got = strtoul(text, &end, 10);
  *n = (unsigned)got;
  return *text && !*end && !errno && got < 0xffffffffu;
}

/* A user by name or #number, in memory of its own. */
static struct passwd find_user(const char *name) {
  unsigned uid = 0;
  bool numeric = *name == '#' && number(name + 1, &uid);
  struct passwd *pw = numeric ? getpwuid(uid) : getpwnam(name);
  if (!pw && numeric)
    return (struct passwd){.pw_name = (char *)(uintptr_t)name, .pw_uid = uid,
                           .pw_gid = uid, .pw_dir = "/", .pw_shell = "/bin/sh"};
  if (!pw) die("unknown user %s", name);
  struct passwd copy = *pw;
  copy.pw_name = need(strdup(pw->pw_name));
  copy.pw_dir = need(strdup(*pw->pw_dir ? pw->pw_dir : "/"));
  copy.pw_shell = need(strdup(*pw->pw_shell ? pw->pw_shell : "/bin/sh"));
  return copy;
}

static gid_t find_group(const char *name) {
  unsigned gid;
  if (*name == '#' && number(name + 1, &gid)) return gid;
  struct group *g = getgrnam(name);
  if (!g) die("unknown group %s", name);
  return g->gr_gid;
}

/* ---- environment --------------------------------------------------------- */

static char *new_env[ENV_MAX + 1];

static bool same_name(const char *a, const char *b, size_t n) {
  return strncmp(a, b, n) == 0 && a[n] == '=';
}

/* NAME=VALUE, in place of what NAME had. */
static void put(char *pair) {
  size_t i = 0, n = strcspn(pair, "=");
  while (new_env[i] && !same_name(new_env[i], pair, n)) i++;
  if (i == ENV_MAX) die("the environment is too large");
  new_env[i] = pair;
}

static void set(const char *name, const char *text) {
  char *pair = need(malloc(strlen(name) + strlen(text) + 2));
  sprintf(pair, "%s=%s", name, text);
  put(pair);
}

static void set_number(const char *name, unsigned n) {
  char text[16];
  snprintf(text, sizeof text, "%u", n);
  set(name, text);
}

static bool listed(const char *list, const char *name, size_t n) {
  for (const char *p = list; *p; p += strcspn(p, ","), p += *p == ',')
    if (strcspn(p, ",") == n && strncmp(p, name, n) == 0) return true;
  return false;
}

static bool kept(const request *r, const char *pair) {
  static const char usual[] =
      "TERM,COLORTERM,COLORS,DISPLAY,XAUTHORITY,XAUTHORIZATION,LANG,LANGUAGE,"
      "LS_COLORS,TZ";
  size_t n = strcspn(pair, "=");
  if (r->keep && !*r->keep) return true;
  if (strncmp(pair, "LC_", 3) == 0) return true;
  return listed(usual, pair, n) || (r->keep && listed(r->keep, pair, n));
}

static char *join(char *const *words) {
  size_t n = 1;
  for (char *const *w = words; *w; w++) n += strlen(*w) + 1;
  char *text = need(calloc(1, n));
  for (char *const *w = words; *w; w++) {
    if (w != words) strcat(text, " ");
    strcat(text, *w);
  }
  return text;
}

static bool assignment(const char *word) {
  return word && *word != '=' && strchr(word, '=') &&
         strcspn(word, "/ ") > strcspn(word, "=");
}

/* Also takes the assignments off the command. */
static void make_env(request *r, const struct passwd *to) {
  struct passwd *pw = getpwuid(getuid());
  char *from = need(strdup(pw ? pw->pw_name : "unknown"));
  bool all = r->keep && !*r->keep && !r->login;
  for (char **e = environ; *e; e++)
    if (strchr(*e, '=') && kept(r, *e)) put(*e);
  const char *home = getenv("HOME");
  bool same_home = all && home && !r->home;
  set("PATH", SECURE_PATH);
  set("HOME", same_home ? home : to->pw_dir);
  set("USER", to->pw_name);
  set("LOGNAME", to->pw_name);
  set("SHELL", to->pw_shell);
  for (; assignment(*r->command); r->command++) put(*r->command);
  set("SUDO_USER", from);
  set_number("SUDO_UID", getuid());
  set_number("SUDO_GID", getgid());
  char *command = join(r->command);
  set("SUDO_COMMAND", *r->command ? command : to->pw_shell);
  free(command);
  free(from);
}

/* ---- the command --------------------------------------------------------- */

/* As one line for a shell: all but plain characters are escaped. */
static char *quoted(char *const *words) {
  char *plain = join(words), *text = need(malloc(2 * strlen(plain) + 1)), *to = text;
  for (char *const *w = words; *w; w++) {
    if (w != words) *to++ = ' ';
    for (const char *p = *w; *p; p++) {
      bool safe = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                  (*p >= '0' && *p <= '9') || strchr("_-$", *p) ||
                  (unsigned char)*p >= 0x80;
      if (!safe) *to++ = '\\';
      *to++ = *p;
    }
  }
  *to = '\0';
  free(plain);
  return text;
}

static const char *base(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

/* A shell, with the command as its -c: the file to run, and argv. */
static const char *shell_argv(const request *r, const struct passwd *to,
                              char *argv[4]) {
  const char *own = getenv("SHELL");
  const char *shell = r->login || !own ? to->pw_shell : own;
  char *name = need(malloc(strlen(shell) + 2));
  sprintf(name, "%s%s", r->login ? "-" : "", base(shell));
  argv[0] = name;
  argv[1] = *r->command ? "-c" : NULL;
  argv[2] = *r->command ? quoted(r->command) : NULL;
  argv[3] = NULL;
  return shell;
}

static void become(const request *r, const struct passwd *to) {
  gid_t gid = r->group ? find_group(r->group) : to->pw_gid;
  if (r->group && !r->user) {
    if (setgid(gid) < 0) die("cannot take the group: %s", strerror(errno));
  } else if (initgroups(to->pw_name, to->pw_gid) < 0 ||
             setresgid(gid, gid, gid) < 0) {
    die("cannot take the groups of %s: %s", to->pw_name, strerror(errno));
  }
  if (setresuid(to->pw_uid, to->pw_uid, to->pw_uid) < 0)
    die("cannot become %s: %s", to->pw_name, strerror(errno));
  if (r->login && chdir(to->pw_dir) < 0 && chdir("/") < 0)
    die("cannot enter %s: %s", to->pw_dir, strerror(errno));
  if (r->dir && chdir(r->dir) < 0)
    die("cannot enter %s: %s", r->dir, strerror(errno));
}

static _Noreturn void run(const request *r, const struct passwd *to) {
  char *shell[4];
  char **argv = r->command;
  const char *file = *argv;
  become(r, to);
  if (r->login || r->shell) {
    file = shell_argv(r, to, shell);
    argv = shell;
  }
  environ = new_env;
  execvpe(file, argv, new_env);
  if (errno != ENOENT) die("unable to execute %s: %s", file, strerror(errno));
  die("%s: command not found", file);
}

/* ---- beside it ----------------------------------------------------------- */

/* Ends of children are to come as signals, also where the caller ignores them. */
static void forwarded(sigset_t *set_) {
  static const int signals[] = {SIGCHLD, SIGTERM, SIGINT, SIGQUIT, SIGHUP,
                                SIGUSR1, SIGUSR2, SIGALRM, SIGCONT};
  signal(SIGCHLD, SIG_DFL);
  sigemptyset(set_);
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
    sigaddset(set_, signals[i]);
}

static void end_as(int status) {
  if (!WIFSIGNALED(status)) exit(WEXITSTATUS(status));
  signal(WTERMSIG(status), SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  raise(WTERMSIG(status));
  exit(128 + WTERMSIG(status));
}

static void reap(pid_t pid) {
  int status;
  while (waitpid(pid, &status, WNOHANG | WUNTRACED) == pid) {
    if (!WIFSTOPPED(status)) end_as(status);
    kill(getpid(), SIGSTOP); /* as the command is */
    kill(pid, SIGCONT);
  }
}

/* Passes on signals, but for those of the terminal, which the command has, too,
   and its own. */
static _Noreturn void attend(pid_t pid, const sigset_t *set_) {
  siginfo_t info;
  for (;;) {
    int n = sigwaitinfo(set_, &info);
    if (n == SIGCHLD) reap(pid);
    if (n > 0 && n != SIGCHLD && info.si_code <= 0 && info.si_pid != pid)
      kill(pid, n);
  }
}

int main(int argc, char **argv) {
  request r = {0};
  sigset_t set_, old;
  (void)argc;
  check_caller();
  parse(&r, argv);
  if (r.list) return puts("(ALL : ALL) NOPASSWD: ALL") < 0;
  char own[16];
  snprintf(own, sizeof own, "#%u", getuid());
  const char *name = r.user ? r.user : r.group ? own : "root";
  static struct passwd to;
  to = find_user(name);
  make_env(&r, &to);
  if (!*r.command && !r.login && !r.shell) {
    if (r.only_check) return 0;
    usage(stderr, 1);
  }
  forwarded(&set_);
  sigprocmask(SIG_BLOCK, &set_, &old);
  pid_t pid = fork();
  if (pid < 0) die("cannot start a process: %s", strerror(errno));
  if (pid == 0) {
    sigprocmask(SIG_SETMASK, &old, NULL);
    run(&r, &to);
  }
  if (r.background) return 0;
  attend(pid, &set_);
}
