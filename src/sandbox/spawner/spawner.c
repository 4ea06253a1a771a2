#include "spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tree.h"

#define LINK_FD 3
#define ENDING_SECONDS 5
#define REMOVING_SECONDS 50 /* the parent of --local waits 60 in all */
#define UNWATCHED_MS 50

void bx_hub_say(bx_hub *hub, bx_msg *m) {
  bx_link_send(&hub->service, m);
  m->nfd = 0;
}

void bx_hub_refuse(bx_hub *hub, uint64_t id, int err, const char *what) {
  bx_msg reply = {.type = BX_M_REPLY, .id = id};
  bx_msg_fail(&reply, err, what);
  bx_hub_say(hub, &reply);
}

/* Environment and arguments of the service stay out of reach of boxes' first
   processes, whose memory is a copy of this one's. */
static void forget_service(void) {
  unsigned long start[2], end[2];
  char text[2048];
  int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  ssize_t n = read(fd, text, sizeof text - 1);
  close(fd);
  if (n <= 0) return;
  text[n] = '\0';
  const char *p = strrchr(text, ')');
  /* fields 48 to 51: arg_start arg_end env_start env_end; ')' ends field 2 */
  for (int field = 2; p && field < 48; field++) p = strchr(p + 1, ' ');
  if (!p || sscanf(p, "%lu %lu %lu %lu", &start[0], &end[0], &start[1],
                   &end[1]) != 4)
    return;
  for (int i = 0; i < 2; i++)
    if (start[i] && end[i] > start[i])
      memset((void *)(uintptr_t)start[i], 0, end[i] - start[i]);
}

static void raise_files(void) {
  struct rlimit r;
  if (getrlimit(RLIMIT_NOFILE, &r) < 0) return;
  r.rlim_cur = r.rlim_max;
  setrlimit(RLIMIT_NOFILE, &r);
}

/* Alone with its link: no descriptor, terminal or signal of the service. */
static void settle(bx_hub *h, int sock, pid_t service) {
  sigset_t none;
  prctl(PR_SET_NAME, "boxd-spawner");
  int high = fcntl(sock, F_DUPFD_CLOEXEC, 16);
  int null = open("/dev/null", O_RDWR);
  for (int fd = 0; fd < 3; fd++) dup2(null, fd);
  dup3(high, LINK_FD, O_CLOEXEC);
  close_range(LINK_FD + 1, ~0u, 0);
  bx_link_open(&h->service, LINK_FD);
  setsid();
  struct sigaction normal = {.sa_handler = SIG_DFL};
  for (int s = 1; s < 65; s++)
    if (s != SIGKILL && s != SIGSTOP) sigaction(s, &normal, NULL);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != service || chdir("/") < 0) _exit(1);
}

/* Until here SIGTERM ends the process at once: there is nothing to end yet. */
static void watch_signals(bx_hub *h) {
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGCHLD);
  sigaddset(&mask, SIGTERM);
  sigprocmask(SIG_SETMASK, &mask, NULL);
  h->signals = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
  if (h->signals < 0) _exit(1);
}

/* ---- the loop ------------------------------------------------------------ */

static void handle(bx_hub *hub, bx_msg *m) {
  if (hub->setup_err) {
    bx_msg reply = {.type = BX_M_REPLY, .id = m->id};
    bx_msg_fail_with(&reply, hub->setup_err, &hub->setup);
    bx_hub_say(hub, &reply);
    return;
  }
  if (m->lost) {
    bx_hub_refuse(hub, m->id, m->lost, "cannot read the request");
    return;
  }
  switch (m->type) {
    case BX_M_START: bx_hub_start(hub, m); break;
    case BX_M_KILL: bx_hub_kill(hub, m); break;
    case BX_M_COPY:
    case BX_M_REMOVE: bx_hub_job(hub, m, NULL); break;
    default: bx_hub_forward(hub, m);
  }
}

static void reap(bx_hub *hub) {
  pid_t pid;
  int status;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    bx_job *job = hub->jobs;
    while (job && job->pid != pid) job = job->next;
    if (job) {
      bx_hub_job_end(hub, job);
      continue;
    }
    if (bx_hub_net_ended(hub, pid, status)) continue;
    for (bx_box *b = hub->boxes; b; b = b->next)
      if (b->init == pid) {
        bx_hub_bury(hub, b);
        break;
      }
  }
}

static void hear_all(bx_hub *hub) {
  for (bx_job *j = hub->jobs; j; j = j->next) bx_hub_job_hear(hub, j);
  for (bx_box *b = hub->boxes; b; b = b->next) {
    if (b->link.fd < 0) continue;
    if (bx_hub_hear(hub, b) < 0 || bx_link_flush(&b->link) != 0)
      bx_link_close(&b->link);
  }
}

static _Noreturn void end(bx_hub *hub) {
  alarm(ENDING_SECONDS); /* whatever hangs: by then this process is gone, and
                            with it, by its death signal, all it started */
  for (bx_box *b = hub->boxes; b; b = b->next)
    if (b->init) kill(b->init, SIGKILL);
  bx_hub_net_stop(hub);
  for (bx_job *j = hub->jobs; j; j = j->next) kill(j->pid, SIGKILL);
  while (waitpid(-1, NULL, 0) > 0 || errno == EINTR) continue;
  for (bx_box *b = hub->boxes; b; b = b->next)
    bx_cgroup_remove(&hub->host.cgroups, getpid(), b->id);
  bx_host_leave(&hub->host);
  alarm(REMOVING_SECONDS);
  if (hub->host.passing) bx_tree_remove(hub->host.state);
  _exit(0);
}

/* The descriptors to wait on, in an array that grows with the boxes. */
typedef struct watched {
  struct pollfd *p;
  nfds_t n, max;
} watched;

static void add_watched(watched *w, const bx_link *l) {
  if (w->n == w->max) return;
  short out = bx_link_pending(l) ? POLLOUT : 0;
  w->p[w->n++] = (struct pollfd){l->fd, (short)(POLLIN | out), 0};
}

/* How long to wait, in milliseconds: where there is no memory for all of them,
   those left out are heard every now and then. */
static int watch(bx_hub *hub, watched *w) {
  static struct pollfd first[3]; /* those three always */
  nfds_t all = 3;
  int ms = bx_hub_net_wait(hub);
  for (bx_box *b = hub->boxes; b; b = b->next) all++;
  for (bx_job *j = hub->jobs; j; j = j->next) all++;
  if (!w->p) *w = (watched){first, 0, 3};
  if (all > w->max) {
    struct pollfd *grown = malloc(2 * all * sizeof *grown);
    if (grown && w->p != first) free(w->p);
    if (grown) *w = (watched){grown, 0, 2 * all};
  }
  w->p[0] = (struct pollfd){hub->signals, POLLIN, 0};
  w->p[1] = (struct pollfd){hub->net.router.watch, POLLIN, 0};
  w->n = 2;
  add_watched(w, &hub->service);
  for (bx_box *b = hub->boxes; b; b = b->next) add_watched(w, &b->link);
  for (bx_job *j = hub->jobs; j; j = j->next) add_watched(w, &j->link);
  return w->n < all && (ms < 0 || ms > UNWATCHED_MS) ? UNWATCHED_MS : ms;
}

static void take_signals(bx_hub *hub) {
  struct signalfd_siginfo info;
  while (read(hub->signals, &info, sizeof info) == (ssize_t)sizeof info)
    if (info.ssi_signo == SIGTERM) end(hub);
  reap(hub);
}

static void loop(bx_hub *hub) {
  watched w = {0};
  for (;;) {
    bx_msg m;
    int got;
    int ms = watch(hub, &w);
    if (poll(w.p, w.n, ms) < 0 && errno != EINTR) end(hub);
    hear_all(hub);
    if (w.p[0].revents) take_signals(hub);
    bx_hub_net_tend(hub, w.p[1].revents != 0);
    bx_hub_free_buried(hub);
    while ((got = bx_link_recv(&hub->service, &m)) > 0) {
      handle(hub, &m);
      bx_msg_clear(&m);
    }
    if (got < 0 || bx_link_flush(&hub->service) != 0) end(hub);
  }
}

static const char *limits(const bx_host *h) {
  static char text[400];
  snprintf(text, sizeof text, "processes: %s\nmemory: %s\ndisk: not limited\n",
           *h->cgroups.pids ? "limited for each box (control group)"
                            : "limited for each user id of a box (rlimit)",
           *h->cgroups.memory
               ? "limited for each box (control group)"
               : "not limited (needs root and control groups)");
  return text;
}

static bx_hub hub = {/* for note */
                     .net = {.alive = -1, .said = -1,
                             .router = {BX_NO_ROUTER}}};

static void note(const char *text) {
  bx_msg m = {.type = BX_M_NOTE};
  m.s[1] = bx_bytes_of(text, strlen(text));
  bx_hub_say(&hub, &m);
}

_Noreturn void bx_spawner_main(int sock, const bx_spawner_options *o) {
  pid_t service = getppid();
  struct rlimit nofile;
  getrlimit(RLIMIT_NOFILE, &nofile);
  settle(&hub, sock, service);
  bx_msg ready = {.type = BX_M_READY};
  hub.setup_err = bx_host_setup(&hub.host, o, note, &hub.setup);
  watch_signals(&hub);
  hub.host.nofile = nofile;
  prctl(PR_SET_PDEATHSIG, SIGTERM); /* new credentials cleared it */
  if (getppid() != service) end(&hub);
  raise_files();
  forget_service();
  if (hub.setup_err) bx_msg_fail_with(&ready, hub.setup_err, &hub.setup);
  const char *text = hub.setup_err ? "" : limits(&hub.host);
  ready.s[1] = bx_bytes_of(text, strlen(text));
  bx_hub_say(&hub, &ready);
  if (!hub.setup_err) bx_hub_net_open(&hub);
  loop(&hub);
  _exit(0);
}
