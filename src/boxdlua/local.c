/*
** The child of --local: `boxdlua --serve` in a session of its own. It dies with
** this process (PDEATHSIG) and takes its boxes and its state with it; after an
** orderly end we wait for it and make sure that the state is gone.
*/
#include "boxdlua.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define START_SECONDS 60 /* an ordinary user's first start copies files */
#define STOP_SECONDS 60 /* its spawner removes the files of boxes */

static struct {
  pid_t owner; /* it started it: a forked copy of us must not end it */
  pid_t pid;   /* 0: none */
  int pidfd;
  int status; /* of its end, as wait(2) has it */
  char state[256];
} child = {.pidfd = -1};

/* ---- in the child, between fork and exec ---- */

static _Noreturn void give_up(const char *what) {
  fprintf(stderr, "boxdlua: %s: %s\n", what, strerror(errno));
  _exit(1);
}

/* Runs --serve with what --local was given for it. */
static _Noreturn void run_service(const host_options *o, const char *announce) {
  const char *argv[14] = {"boxdlua", "--serve", "--listen", "127.0.0.1:0",
                          "--state", child.state, "--announce", announce};
  int n = 8;
  if (o->exec_survives) argv[n++] = "--exec-survives";
  if (o->limits) {
    argv[n++] = "--limits";
    argv[n++] = o->limits;
  }
  if (o->init) {
    argv[n++] = "--init";
    argv[n++] = o->init;
  }
  execv("/proc/self/exe", (char *const *)argv);
  give_up("cannot run /proc/self/exe");
}

static _Noreturn void become_service(const host_options *o, pid_t parent,
                                     int announce) {
  char number[16];
  sigset_t none;
  snprintf(number, sizeof number, "%d", announce);
  setsid();
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(1); /* it died before the line above */
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  signal(SIGTERM, SIG_DFL);
  signal(SIGINT, SIG_DFL);
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) give_up("cannot open /dev/null");
  if (dup2(null, STDIN_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
    give_up("cannot redirect the service's input and output");
  close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  fcntl(announce, F_SETFD, 0);
  unsetenv("BOXD_LOCAL");
  unsetenv("BOXD_API_KEY"); /* of another service: no business of this one */
  unsetenv("BOXD_TOKEN");
  run_service(o, number);
}

/* ---- in the parent ---- */

static int fail(char *message, size_t size, const char *what) {
  snprintf(message, size, "--local: %s: %s", what, strerror(errno));
  return -1;
}

static int remove_entry(const char *path, const struct stat *st, int kind,
                        struct FTW *where) {
  (void)st, (void)kind, (void)where;
  /* Not 0 ends the walk, with errno saying why. */
  return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

/* What the spawner has left, or leaves where it still ends. Never across a mount:
   mounted files are not ours to remove. */
static void remove_state(void) {
  if (child.state[0] == '\0' || access(child.state, F_OK) != 0) return;
  if (nftw(child.state, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT)) {
    char message[512];
    snprintf(message, sizeof message,
             "cannot remove the local service's state %s: %s", child.state,
             strerror(errno));
    host_complain(message);
  }
  child.state[0] = '\0';
}

static int make_state(char *message, size_t size) {
  const char *tmp = getenv("TMPDIR");
  if (tmp == NULL || tmp[0] == '\0') tmp = "/tmp";
  int n = snprintf(child.state, sizeof child.state, "%s/boxd-local-XXXXXX",
                   tmp);
  if (n >= (int)sizeof child.state) {
    child.state[0] = '\0';
    errno = ENAMETOOLONG;
    return fail(message, size, "cannot make a folder in TMPDIR");
  }
  if (mkdtemp(child.state) == NULL) {
    int why = errno;
    child.state[0] = '\0';
    errno = why;
    return fail(message, size, "cannot make a folder in TMPDIR (or /tmp)");
  }
  return 0;
}

static int64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Whether fd was ready by the deadline, whatever signals arrive meanwhile. */
static bool ready(int fd, int64_t deadline) {
  struct pollfd p = {.fd = fd, .events = POLLIN};
  for (;;) {
    int64_t left = deadline - now_ms();
    int n = poll(&p, 1, left > 0 ? (int)left : 0);
    if (n > 0) return true;
    if (n == 0 || errno != EINTR) return false;
  }
}

/* "api_url=..." and so on; a line of another kind is for newer versions. */
static void take_line(host_service *s, char *line) {
  const struct {
    const char *name;
    char *field;
  } fields[] = {{"api_url=", s->api_url},
                {"exchange_url=", s->exchange_url},
                {"api_key=", s->api_key}};
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    size_t n = strlen(fields[i].name);
    if (strncmp(line, fields[i].name, n) == 0)
      snprintf(fields[i].field, sizeof s->api_url, "%s", line + n);
  }
}

/* Reads up to the empty line. False: the child ended, or takes too long. */
static bool read_announcement(int fd, host_service *s, bool *late) {
  char text[2048];
  size_t used = 0;
  int64_t deadline = now_ms() + START_SECONDS * 1000;
  *late = false;
  for (;;) {
    if (!ready(fd, deadline)) return *late = true, false;
    ssize_t n = read(fd, text + used, sizeof text - 1 - used);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    used += (size_t)n;
    text[used] = '\0';
    char *end = strstr(text, "\n\n");
    if (end == NULL) continue;
    end[1] = '\0';
    for (char *line = text, *next; (next = strchr(line, '\n')); line = next) {
      *next++ = '\0';
      take_line(s, line);
    }
    return s->api_url[0] && s->exchange_url[0] && s->api_key[0];
  }
}

static int start_child(const host_options *o, int *announce, char *message,
                       size_t size) {
  int ends[2];
  pid_t self = getpid();
  if (pipe2(ends, O_CLOEXEC) < 0)
    return fail(message, size, "cannot make a pipe");
  fflush(NULL);
  pid_t pid = fork();
  if (pid == 0) become_service(o, self, ends[1]);
  int why = errno;
  close(ends[1]);
  if (pid < 0) {
    close(ends[0]);
    errno = why;
    return fail(message, size, "cannot start a process");
  }
  child.owner = self;
  child.pid = pid;
  child.pidfd = pidfd_open(pid, 0);
  *announce = ends[0];
  return 0;
}

int host_local_start(const host_options *o, host_service *s, char *message,
                     size_t size) {
  int announce;
  bool late;
  *s = (host_service){0};
  if (make_state(message, size) < 0) return -1;
  if (start_child(o, &announce, message, size) < 0) {
    remove_state();
    return -1;
  }
  atexit(host_local_stop);
  bool ok = read_announcement(announce, s, &late);
  close(announce);
  if (ok) return 0;
  host_local_stop();
  if (late)
    snprintf(message, size, "--local: the embedded service did not answer "
             "within %d s; try `boxdlua --serve` by itself", START_SECONDS);
  else if (WIFSIGNALED(child.status))
    snprintf(message, size, "--local: the embedded service was ended by signal "
             "%d (%s) while it started", WTERMSIG(child.status),
             strsignal(WTERMSIG(child.status)));
  else
    snprintf(message, size, "--local: the embedded service ended before it "
             "was up (exit status %d); `boxdlua --serve` shows why",
             WEXITSTATUS(child.status));
  return -1;
}

void host_local_stop(void) {
  if (child.pid == 0 || child.owner != getpid()) return;
  kill(child.pid, SIGTERM);
  if (child.pidfd >= 0 &&
      !ready(child.pidfd, now_ms() + STOP_SECONDS * 1000))
    kill(child.pid, SIGKILL);
  while (waitpid(child.pid, &child.status, 0) < 0 && errno == EINTR) {
  }
  if (child.pidfd >= 0) close(child.pidfd);
  child.pidfd = -1;
  child.pid = 0;
  remove_state();
}
