/* Running a command: the part of the agent that forks one. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init.h"
#include "user.h"
#include "../spawner/cgroup_tree.h"
#include "../spawn_private.h"

/* A single argument can be 128 KiB long, with its NUL. */
#define ARGUMENT_MAX (128 * 1024 - 1)
#define SCRIPT_FD 9
#define START_MS 3000

typedef struct run {
  const bx_agent *agent;
  int in, out, err; /* the command's ends */
  int script;       /* a command too long for an argument, or -1 */
  bool pty;
  bool root; /* stays the box's root */
  const char *cwd;
  char *argv[5];
  char **envp;
  int report; /* where a failure is reported; closed by the exec */
} run;

/* ---- environment --------------------------------------------------------- */

static bool same_name(const char *a, const char *b) {
  size_t n = strcspn(a, "=");
  return strncmp(a, b, n) == 0 && (b[n] == '=' || b[n] == '\0');
}

/* The defaults, and over them the pairs of the request; the last wins. */
static char **make_env(const bx_msg *m, bool root) {
  static char *const defaults[] = {
      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      "SHELL=/bin/bash", "LANG=C.UTF-8", "HOME=" BX_HOME,
      "USER=" BX_USER_NAME, "LOGNAME=" BX_USER_NAME};
  static char *const of_root[] = {"HOME=/root", "USER=root", "LOGNAME=root"};
  enum { DEFAULTS = sizeof defaults / sizeof *defaults };
  size_t n = 0, max = DEFAULTS + 2;
  const char *end = m->s[1].p + m->s[1].n;
  for (const char *p = m->s[1].p; p < end; p += strlen(p) + 1) max++;
  char **env = calloc(max, sizeof *env);
  if (!env) return NULL;
  for (; n < DEFAULTS; n++) env[n] = defaults[n];
  for (size_t i = 0; root && i < 3; i++) env[DEFAULTS - 3 + i] = of_root[i];
  if (m->n[0]) env[n++] = "TERM=xterm-256color";
  for (char *p = (char *)(uintptr_t)m->s[1].p; p < end; p += strlen(p) + 1) {
    size_t i = 0;
    while (i < n && !same_name(env[i], p)) i++;
    env[i] = p;
    if (i == n) n++;
  }
  return env;
}

/* ---- descriptors --------------------------------------------------------- */

static void close_pair(int *fd) {
  for (int i = 0; i < 2; i++) {
    if (fd[i] >= 0) close(fd[i]);
    fd[i] = -1;
  }
}

/* ours[i] non-blocking, theirs[i] blocking; 0 stdin, 1 stdout, 2 stderr. */
static int open_pipes(int ours[3], int theirs[3]) {
  for (int i = 0; i < 3; i++) {
    int p[2];
    if (pipe2(p, O_CLOEXEC) < 0) return errno;
    ours[i] = i == 0 ? p[1] : p[0];
    theirs[i] = i == 0 ? p[0] : p[1];
    if (fcntl(ours[i], F_SETFL, O_NONBLOCK) < 0) return errno;
  }
  return 0;
}

static int open_pty(const bx_msg *m, int ours[3], int theirs[3]) {
  struct winsize size = {.ws_col = (unsigned short)m->n[1],
                         .ws_row = (unsigned short)m->n[2]};
  int unlock = 0;
  int master = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  if (master < 0) return errno;
  ours[0] = master;
  if (ioctl(master, TIOCSPTLCK, &unlock) < 0) return errno;
  int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (slave < 0) return errno;
  theirs[0] = theirs[1] = theirs[2] = slave;
  return ioctl(slave, TIOCSWINSZ, &size) < 0 ? errno : 0;
}

static int script_file(const bx_bytes *command) {
  static const char head[] = "exec 9<&-; ";
  int fd = memfd_create("command", MFD_CLOEXEC);
  if (fd < 0) return -1;
  const char *p = head;
  for (size_t n = sizeof head - 1, part = 0; part < 2;) {
    ssize_t w = n ? write(fd, p, n) : 0;
    if (w < 0) {
      close(fd);
      return -1;
    }
    p += w;
    n -= (size_t)w;
    if (n == 0 && ++part == 1) {
      p = command->p;
      n = command->n;
    }
  }
  lseek(fd, 0, SEEK_SET);
  return fd;
}

/* ---- the child ----------------------------------------------------------- */

void bx_agent_reset_signals(void) {
  sigset_t none;
  struct sigaction normal = {.sa_handler = SIG_DFL};
  for (int s = 1; s < 65; s++)
    if (s != SIGKILL && s != SIGSTOP) sigaction(s, &normal, NULL);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

void bx_agent_limit(const bx_host *h, uint32_t max) {
  struct rlimit processes = {max, max};
  struct rlimit core = {0, RLIM_INFINITY};
  setrlimit(RLIMIT_NOFILE, &h->nofile);
  setrlimit(RLIMIT_NPROC, &processes);
  getrlimit(RLIMIT_CORE, &core);
  core.rlim_cur = 0; /* the machine's core handler is outside */
  setrlimit(RLIMIT_CORE, &core);
}

static _Noreturn void fail(const run *r, int step) {
  int said[2] = {step, errno};
  ssize_t w = write(r->report, said, sizeof said);
  _exit(w < 0 ? 126 : 127);
}

enum { STEP_FDS = 1, STEP_USER, STEP_CWD, STEP_SH, STEP_START };

/* Moves the descriptors to their places: all are above SCRIPT_FD. */
static int place(const run *r) {
  if (dup2(r->in, 0) < 0 || dup2(r->out, 1) < 0 || dup2(r->err, 2) < 0)
    return -1;
  if (r->script >= 0 && dup2(r->script, SCRIPT_FD) < 0) return -1;
  return 0;
}

/* Where the box's only user is the service's own, a box could put a
   link to /proc/self/exe in place of sh, and write to the service's program
   through the /proc of the process that became. So sh must be a file there,
   and a program, not a script, whose interpreter would be such a link. */
static void exec_checked(const run *r) {
  struct open_how how = {.flags = O_RDONLY | O_CLOEXEC,
                         .resolve = RESOLVE_NO_MAGICLINKS};
  int fd = (int)syscall(SYS_openat2, AT_FDCWD, "/bin/sh", &how, sizeof how);
  if (fd >= 0) syscall(SYS_execveat, fd, "", r->argv, r->envp, AT_EMPTY_PATH);
}

static _Noreturn void child(const run *r) {
  setsid();
  if (place(r) < 0) fail(r, STEP_FDS);
  if (r->pty && ioctl(0, TIOCSCTTY, 0) < 0) fail(r, STEP_FDS);
  bx_agent_reset_signals();
  if (r->agent->group >= 0) bx_cgroup_move(r->agent->group); /* or not */
  bx_agent_limit(r->agent->host, r->agent->processes);
  /* all else is close-on-exec already; this holds whatever comes */
  int low = r->script >= 0 ? SCRIPT_FD + 1 : 3;
  close_range((unsigned)low, ~0u, CLOSE_RANGE_CLOEXEC);
  if (!r->root && (errno = bx_user_become(r->agent->host)) != 0)
    fail(r, STEP_USER);
  /* a box may have removed its home */
  if (chdir(*r->cwd ? r->cwd : BX_HOME) < 0 && (*r->cwd || chdir("/") < 0))
    fail(r, STEP_CWD);
  umask(022);
  if (r->agent->host->id_count == 1)
    exec_checked(r);
  else
    execve("/bin/sh", r->argv, r->envp);
  fail(r, STEP_SH);
}

/* ---- starting it --------------------------------------------------------- */

/* How the child failed, which says the step and the errno. */
static void tell_failure(const run *r, const int said[2], bx_msg *reply) {
  static const char *const what[] = {"", "cannot set up the command",
                                     "cannot become boxd in the box",
                                     "cannot enter the folder ",
                                     "cannot run /bin/sh in the box",
                                     "the command was stopped in the box"};
  char text[200];
  snprintf(text, sizeof text, "%s%.150s", what[said[0]],
           said[0] == STEP_CWD ? r->cwd : "");
  bx_msg_fail(reply, said[1], text);
}

/* The child's word, none when it has become sh. What runs in the box can stop
   it before that: it is not waited for without an end. */
static ssize_t hear(pid_t pid, int report, int said[2]) {
  struct pollfd p = {report, POLLIN, 0};
  ssize_t n;
  int ready;
  while ((ready = poll(&p, 1, START_MS)) < 0 && errno == EINTR) continue;
  if (ready <= 0) {
    kill(pid, SIGKILL);
    said[0] = STEP_START;
    said[1] = ETIMEDOUT;
    return 2 * sizeof *said;
  }
  while ((n = read(report, said, 2 * sizeof *said)) < 0 && errno == EINTR)
    continue;
  return n;
}

/* Where memory runs out, commands are ended before this process, whose end
   would be the box's. They inherit that: by themselves they could leave undone.
   */
#define OOM_OF_COMMANDS "500"

void bx_agent_know_oom(bx_agent *a, int fd) {
  a->oom = fd;
  ssize_t n = a->oom < 0 ? 0 : read(a->oom, a->oom_own, sizeof a->oom_own - 1);
  a->oom_own[n < 0 ? 0 : n] = '\0';
}

static pid_t fork_command(const bx_agent *a) {
  bool set = a->oom >= 0 && atoi(a->oom_own) < atoi(OOM_OF_COMMANDS) &&
             pwrite(a->oom, OOM_OF_COMMANDS, sizeof OOM_OF_COMMANDS - 1, 0) > 0;
  pid_t pid = fork();
  int err = errno;
  if (pid != 0 && set) { /* which it may always have */
    ssize_t n = pwrite(a->oom, a->oom_own, strlen(a->oom_own), 0);
    (void)n;
  }
  errno = err;
  return pid;
}

/* Waits until the child has become sh, or says why not. */
static int start(bx_agent *a, run *r, bx_msg *reply) {
  int said[2] = {0, 0}, report[2];
  if (pipe2(report, O_CLOEXEC) < 0) return errno;
  r->report = fcntl(report[1], F_DUPFD_CLOEXEC, 16);
  close(report[1]);
  bx_command *c = calloc(1, sizeof *c);
  pid_t pid = c && r->report >= 0 ? fork_command(a) : -1;
  if (pid == 0) child(r);
  int err = !c ? ENOMEM : pid < 0 ? errno : 0;
  if (r->report >= 0) close(r->report);
  ssize_t n = err ? 0 : hear(pid, report[0], said);
  close(report[0]);
  if (err || n == (ssize_t)sizeof said) {
    free(c); /* the child's end is reaped like an orphan's */
    if (!err) tell_failure(r, said, reply);
    return err;
  }
  *c = (bx_command){a->commands, reply->id, pid, false, r->pty};
  a->commands = c;
  reply->n[2] = pid;
  return 0;
}

/* Out of the way of the places they will have in the child. */
static int lift(int *fd) {
  if (*fd < 0 || *fd >= 16) return 0;
  int high = fcntl(*fd, F_DUPFD_CLOEXEC, 16);
  if (high < 0) return errno;
  close(*fd);
  *fd = high;
  return 0;
}

/* To boxd: programs open them again, as /dev/stdout or by their name. */
static int give(int fd) {
  return fchown(fd, BX_USER_ID, (gid_t)-1) < 0 ? errno : 0;
}

static int open_ends(const bx_msg *m, run *r, int ours[3], int theirs[3]) {
  int err = r->pty ? open_pty(m, ours, theirs) : open_pipes(ours, theirs);
  if (m->s[0].n > ARGUMENT_MAX && !err) {
    r->script = script_file(&m->s[0]);
    if (r->script < 0) err = errno;
    r->argv[3] = ". /proc/self/fd/9";
  }
  for (int i = 0; i < (r->pty ? 1 : 3) && !err; i++) {
    err = !r->root && r->agent->host->id_count > 1 ? give(theirs[i]) : 0;
    if (!err) err = lift(&theirs[i]);
  }
  if (r->pty) theirs[1] = theirs[2] = theirs[0];
  if (!err) err = lift(&r->script);
  return err;
}

void bx_agent_exec(bx_agent *a, const bx_msg *m, bx_msg *reply) {
  int ours[3] = {-1, -1, -1}, theirs[3] = {-1, -1, -1};
  run r = {.agent = a, .script = -1, .pty = m->n[0] != 0,
           .root = m->n[3] && a->host->id_count > 1, .cwd = m->s[2].p,
           .argv = {"sh", "-c", "--", (char *)(uintptr_t)m->s[0].p, NULL}};
  r.envp = make_env(m, r.root);
  int err = r.envp ? open_ends(m, &r, ours, theirs) : ENOMEM;
  if (!err) {
    r.in = theirs[0];
    r.out = theirs[1];
    r.err = theirs[2];
    if (!r.pty) err = bx_output_keep(a, m->id, ours[1], ours[2]);
    if (!err) err = start(a, &r, reply);
    if (err || reply->n[0]) bx_output_forget(a, m->id);
  }
  if (err) bx_msg_fail(reply, err, "cannot run a command in the box");
  free(r.envp);
  close_pair((int[2]){r.script, theirs[0]});
  if (!r.pty) close_pair(theirs + 1);
  if (reply->n[0]) {
    close_pair(ours);
    close_pair((int[2]){ours[2], -1});
    return;
  }
  for (int i = 0; i < (r.pty ? 1 : 3); i++) reply->fd[reply->nfd++] = ours[i];
}
