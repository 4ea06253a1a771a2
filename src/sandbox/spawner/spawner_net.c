/*
** The way out of boxes: one process for all of them, slirp4netns. It turns the
** packets that leave their router (router.h) into connections of its own, and
** is their resolver. It runs under a user id of boxes, in their router's user
** namespace, and sees the machine's /etc and /run only. When it ends, it is
** started again.
*/
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "spawner.h"

#define TUN "/dev/net/tun"
#define STEADY_MS 5000 /* one that lasted so long is started again at once */
#define DELAY_MS 100   /* else after this, doubled each time */
#define DELAY_MAX_MS 30000

enum { NET_FD = 7, ALIVE_FD = 8 };

static int64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void report(bx_hub *hub, uint64_t box, const char *event,
                   const char *why) {
  char text[500];
  snprintf(text, sizeof text, "%s: %s", event, why);
  bx_msg m = {.type = BX_M_NOTE, .id = box};
  m.s[1] = bx_bytes_of(text, strlen(text));
  bx_hub_say(hub, &m);
}

/* ---- the process --------------------------------------------------------- */

/* Root's /dev/net/tun may be closed to others, and the process is another user:
   it gets one of its own, open to it. */
static int open_tun(const bx_host *h) {
  if (!h->privileged) return 0;
  if (unshare(CLONE_NEWNS) < 0 ||
      mount("tmpfs", "/dev/net", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755") <
          0 ||
      mknod(TUN, S_IFCHR | 0666, makedev(10, 200)) < 0 || chmod(TUN, 0666) < 0)
    return errno;
  return 0;
}

/* Root of the router's user namespace, which is a user without rights here. */
static int become_own(const bx_host *h, const bx_router *r) {
  if (setns(r->user, CLONE_NEWUSER) < 0) return errno;
  if (h->id_count > 1 && setgroups(0, NULL) < 0) return errno;
  if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0) return errno;
  return prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? errno : 0;
}

static _Noreturn void run(const bx_host *h, const bx_router *r) {
  char cidr[48] = "--cidr=", exit_fd[24], mtu[24];
  char netns[] = "/proc/self/fd/7";
  char *env[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
  char *argv[] = {"slirp4netns", "--configure", mtu, cidr,
                  "--disable-host-loopback", "--enable-sandbox",
                  "--enable-seccomp", exit_fd, "--netns-type=path", netns,
                  "wan0", NULL};
  bx_router_dotted(r->network + 0xFF00, cidr + strlen(cidr));
  strcat(cidr, "/24");
  snprintf(mtu, sizeof mtu, "--mtu=%d", BX_ROUTER_MTU);
  snprintf(exit_fd, sizeof exit_fd, "--exit-fd=%d", ALIVE_FD);
  execve(h->slirp, argv, env);
  fprintf(stderr, "cannot run %s: %s\n", h->slirp, strerror(errno));
  _exit(127);
}

static _Noreturn void child(const bx_host *h, const bx_router *r, int alive,
                            int said) {
  sigset_t none;
  int err = open_tun(h);
  if (!err) err = become_own(h, r);
  if (err) {
    dprintf(said, "cannot drop privileges: %s\n", strerror(err));
    _exit(1);
  }
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  int high[3] = {fcntl(r->net, F_DUPFD, 16), fcntl(alive, F_DUPFD, 16),
                 fcntl(said, F_DUPFD, 16)};
  if (dup2(high[0], NET_FD) < 0 || dup2(high[1], ALIVE_FD) < 0 ||
      dup2(high[2], 2) < 0)
    _exit(1);
  close_range(3, NET_FD - 1, 0);
  close_range(ALIVE_FD + 1, ~0u, 0);
  run(h, r);
}

/* The write end of `alive` stays here: the process ends when it closes. */
static int start(bx_hub *hub) {
  bx_net *net = &hub->net;
  int alive[2], said[2], err = 0;
  if (pipe2(alive, O_CLOEXEC) < 0) return errno;
  if (pipe2(said, O_CLOEXEC | O_NONBLOCK) < 0) {
    err = errno;
    close(alive[0]);
    close(alive[1]);
    return err;
  }
  net->started = now_ms();
  net->pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL,
                            NULL, 0);
  if (net->pid == 0) child(&hub->host, &net->router, alive[0], said[1]);
  if (net->pid < 0) err = errno;
  close(alive[0]);
  close(said[1]);
  net->alive = alive[1];
  net->said = said[0];
  return err;
}

static void forget(bx_net *net) {
  if (net->said >= 0) close(net->said);
  if (net->alive >= 0) close(net->alive);
  net->said = net->alive = -1;
  net->pid = 0;
}

/* Soon where it had lasted, else later each time. */
static void start_later(bx_net *net) {
  bool steady = now_ms() - net->started >= STEADY_MS;
  int64_t twice = net->delay ? 2 * net->delay : DELAY_MS;
  net->delay = steady ? 0 : twice < DELAY_MAX_MS ? twice : DELAY_MAX_MS;
  net->again = now_ms() + net->delay;
}

static void start_or_say(bx_hub *hub) {
  hub->net.again = 0;
  int err = start(hub);
  if (!err) return;
  forget(&hub->net);
  start_later(&hub->net);
  report(hub, 0, "boxes have no network", strerror(err));
}

/* Its last line, without the end. */
static void last_line(int fd, int status, char *line, size_t size) {
  char text[2048];
  ssize_t n = read(fd, text, sizeof text - 1);
  snprintf(line, size, "slirp4netns ended with %d", status);
  if (WIFSIGNALED(status))
    snprintf(line, size, "slirp4netns was ended by signal %d",
             WTERMSIG(status));
  if (n <= 0 || WIFSIGNALED(status)) return;
  text[n] = '\0';
  while (n > 0 && text[n - 1] == '\n') text[--n] = '\0';
  const char *last = strrchr(text, '\n');
  snprintf(line, size, "slirp4netns: %.250s", last ? last + 1 : text);
}

bool bx_hub_net_ended(bx_hub *hub, pid_t pid, int status) {
  bx_net *net = &hub->net;
  char why[300];
  if (pid != net->pid) return false;
  last_line(net->said, status, why, sizeof why);
  forget(net);
  start_later(net);
  report(hub, 0, "the network of boxes ended, and is started again", why);
  return true;
}

/* ---- the hub ------------------------------------------------------------- */

void bx_hub_net_open(bx_hub *hub) {
  bx_net *net = &hub->net;
  bx_error e;
  bx_error_clear(&e);
  if (!hub->host.network) return;
  const char *why = bx_host_no_network(&hub->host);
  net->router.network = hub->host.network;
  if (!why && bx_router_make(&hub->host, &net->router, &e) != 0) why = e.message;
  snprintf(net->why, sizeof net->why, "%s", why ? why : "");
  if (why)
    bx_router_drop(&net->router);
  else
    start_or_say(hub);
}

static unsigned free_place(bx_hub *hub) {
  bx_net *net = &hub->net;
  for (unsigned i = 0; i < BX_ROUTER_PLACES; i++) {
    net->last = (net->last + 1) % BX_ROUTER_PLACES;
    const bx_box *b = hub->boxes;
    while (b && b->place != net->last + 1) b = b->next;
    if (!b) return net->last + 1;
  }
  return 0;
}

unsigned bx_hub_net_place(bx_hub *hub, uint64_t box) {
  bx_net *net = &hub->net;
  int err = net->router.net < 0 ? 0 : bx_router_refresh(&net->router);
  if (net->router.net >= 0 && !err) return free_place(hub);
  if (err) {
    report(hub, box, "this box has no network", strerror(err));
  } else if (*net->why && !net->reported) {
    report(hub, 0, "boxes have no network", net->why);
    net->reported = true;
  }
  return 0;
}

void bx_hub_net_failed(bx_hub *hub, uint64_t box, const char *why) {
  report(hub, box, "this box has no network", why);
}

int bx_hub_net_wait(const bx_hub *hub) {
  int64_t ms = hub->net.again - now_ms();
  if (!hub->net.again) return -1;
  return ms > 0 ? (int)ms : 0;
}

void bx_hub_net_tend(bx_hub *hub, bool news) {
  int err = news ? bx_router_refresh(&hub->net.router) : 0;
  if (err)
    report(hub, 0, "boxes may reach the machine's new addresses",
           strerror(err));
  if (bx_hub_net_wait(hub) == 0) start_or_say(hub);
}

void bx_hub_net_stop(bx_hub *hub) {
  if (hub->net.pid > 0) kill(hub->net.pid, SIGKILL);
  forget(&hub->net);
  bx_router_drop(&hub->net.router);
}
