#include "init.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../spawn_private.h"

#define CONNECT_MS 20

/* Inside a box a connection is made or refused at once; only where the queue of
   the listener is full it goes on, and the first write shows how it ends. */
static int connected(int fd) {
  struct pollfd p = {fd, POLLOUT, 0};
  int err = 0;
  socklen_t len = sizeof err;
  if (poll(&p, 1, CONNECT_MS) == 0) return 0;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0 ? errno : err;
}

/* The address of the box's interface. The machine's network, where the box shares
   that, has others. */
static struct in_addr own_address(const bx_agent *a, int fd) {
  static const char *const names[] = {"eth0", BX_ALONE_INTERFACE};
  for (size_t i = 0; i < sizeof names / sizeof *names && !a->net_host; i++) {
    struct ifreq r = {0};
    struct sockaddr_in own;
    strcpy(r.ifr_name, names[i]);
    if (ioctl(fd, SIOCGIFADDR, &r) < 0) continue;
    memcpy(&own, &r.ifr_addr, sizeof own);
    return own.sin_addr;
  }
  return (struct in_addr){htonl(INADDR_LOOPBACK)};
}

void bx_agent_connect(const bx_agent *a, const bx_msg *m, bx_msg *reply) {
  struct sockaddr_in to = {.sin_family = AF_INET,
                           .sin_port = htons((uint16_t)m->n[0])};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int err = fd < 0 ? errno : 0;
  if (!err) to.sin_addr = own_address(a, fd);
  if (!err && connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
    err = errno == EINPROGRESS ? connected(fd) : errno;
  if (!err) {
    reply->fd[reply->nfd++] = fd;
    return;
  }
  if (fd >= 0) close(fd);
  bx_msg_fail(reply, err, "cannot connect to the port in the box");
}

void bx_agent_sockets(bx_msg *reply) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
                  NETLINK_SOCK_DIAG);
  if (fd >= 0)
    reply->fd[reply->nfd++] = fd;
  else
    bx_msg_fail(reply, errno, "cannot ask for the sockets of the box");
}

/* ---- file calls, in children --------------------------------------------- */

static void file_child(const bx_agent *a, const bx_msg *m, int sock) {
  bx_link answer;
  bx_msg reply = {.type = BX_M_REPLY, .id = m->id, .box = m->box};
  bx_link_open(&answer, sock);
  bx_file_call(a->host, m, &reply);
  bx_link_send(&answer, &reply);
  _exit(0);
}

static int start_worker(bx_agent *a, const bx_msg *m) {
  int pair[2];
  bx_worker *w = calloc(1, sizeof *w);
  if (!w) return ENOMEM;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
    free(w);
    return errno;
  }
  pid_t pid = fork();
  if (pid == 0) file_child(a, m, pair[1]);
  int err = pid < 0 ? errno : 0;
  close(pair[1]);
  if (err) {
    close(pair[0]);
    free(w);
    return err;
  }
  *w = (bx_worker){a->workers, m->id, pid, pair[0]};
  a->workers = w;
  return 0;
}

/* Passes on what a worker said, or that it died without a word. */
static void end_worker(bx_agent *a, bx_worker **at) {
  bx_worker *w = *at;
  bx_link answer;
  bx_msg reply;
  bx_link_open(&answer, w->answer);
  if (bx_link_recv(&answer, &reply) != 1) {
    reply = (bx_msg){.type = BX_M_REPLY, .id = w->id, .box = a->box};
    bx_msg_fail(&reply, ECONNABORTED, "the file call was killed in the box");
  }
  bx_msg_check(&reply);
  bx_link_send(&a->link, &reply);
  reply.nfd = 0; /* the link has them */
  bx_msg_clear(&reply);
  bx_link_close(&answer);
  *at = w->next;
  free(w);
}

/* ---- children ------------------------------------------------------------ */

static bool lives(const bx_agent *a, const bx_command *c) {
  if (kill(-c->pid, 0) == 0 || errno != ESRCH) return true;
  return c->pty && bx_session_signal(a, c->pid, 0) == 0;
}

static void tell_exit(bx_agent *a, bx_command *c, int status) {
  c->exited = true;
  bx_msg m = {.type = BX_M_EXIT, .id = c->id, .box = a->box, .n = {status}};
  bx_link_send(&a->link, &m);
}

/* Forgets commands of which nothing lives: their numbers may come again. */
static void drop_commands(bx_agent *a) {
  for (bx_command **at = &a->commands; *at;) {
    bx_command *c = *at;
    if (!c->exited || lives(a, c)) {
      at = &c->next;
      continue;
    }
    bx_msg m = {.type = BX_M_FORGET, .id = c->id, .box = a->box};
    bx_link_send(&a->link, &m);
    *at = c->next;
    free(c);
  }
}

/* What runs in a box can stop a file call, which then would never be answered.
   In a box that is frozen it stands still as all else does. */
static void wake_worker(const bx_agent *a, pid_t pid) {
  for (const bx_worker *w = a->workers; w && !a->frozen; w = w->next)
    if (w->pid == pid) kill(pid, SIGCONT);
}

void bx_agent_wake_workers(const bx_agent *a) {
  for (const bx_worker *w = a->workers; w; w = w->next) kill(w->pid, SIGCONT);
}

/* False: systemd has ended, and with it the box. */
static bool reap(bx_agent *a) {
  int status;
  pid_t pid;
  bool ended = false;
  while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
    if (WIFSTOPPED(status)) {
      wake_worker(a, pid);
      continue;
    }
    if (pid == a->system) return false;
    for (bx_command *c = a->commands; c; c = c->next)
      if (c->pid == pid && !c->exited) tell_exit(a, c, status);
    for (bx_worker **w = &a->workers; *w; w = &(*w)->next)
      if ((*w)->pid == pid) {
        end_worker(a, w);
        break;
      }
    ended = true;
  }
  if (ended) drop_commands(a);
  return true;
}

/* ---- the loop ------------------------------------------------------------ */

static void handle(bx_agent *a, bx_msg *m) {
  bx_msg reply = {.type = BX_M_REPLY, .id = m->id, .box = a->box};
  int err;
  if (m->type == BX_M_DROP) { /* not answered */
    bx_output_drop(a, (uint64_t)m->n[0]);
    return;
  }
  if (m->lost) m->type = 0;
  switch (m->type) {
    case 0: bx_msg_fail(&reply, m->lost, "cannot read the request"); break;
    case BX_M_EXEC: bx_agent_exec(a, m, &reply); break;
    case BX_M_SIGNAL: bx_agent_signal(a, m, &reply); break;
    case BX_M_CONNECT: bx_agent_connect(a, m, &reply); break;
    case BX_M_SOCKETS: bx_agent_sockets(&reply); break;
    case BX_M_SUSPEND: bx_agent_suspend(a, &reply); break;
    case BX_M_RESUME: bx_agent_resume(a, &reply); break;
    case BX_M_FILE:
      err = start_worker(a, m);
      if (err == 0) return;
      bx_msg_fail(&reply, err, "cannot start a file call in the box");
      break;
    default: bx_msg_fail(&reply, EINVAL, "unknown request to a box");
  }
  bx_link_send(&a->link, &reply);
}

static bool take_signals(bx_agent *a) {
  struct signalfd_siginfo info[8];
  while (read(a->signals, info, sizeof info) > 0) continue;
  return reap(a);
}

void bx_agent_run(bx_agent *a) {
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGCHLD);
  a->signals = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
  if (a->signals < 0) return;
  for (;;) {
    struct pollfd first[2], *p = a->watched ? a->watched : first;
    bx_msg m;
    int got;
    short out = bx_link_pending(&a->link) ? POLLOUT : 0;
    p[0] = (struct pollfd){a->link.fd, (short)(POLLIN | out), 0};
    p[1] = (struct pollfd){a->signals, POLLIN, 0};
    int n = poll(p, 2 + bx_output_watch(a, p + 2), -1);
    if (n < 0 && errno != EINTR) return;
    if (n < 0) continue;
    bx_output_turn(a, p + 2);
    if (p[1].revents && !take_signals(a)) return;
    if (bx_link_flush(&a->link) != 0) return;
    while ((got = bx_link_recv(&a->link, &m)) > 0) {
      handle(a, &m);
      bx_msg_clear(&m);
    }
    if (got < 0) return;
  }
}
