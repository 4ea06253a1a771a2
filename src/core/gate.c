#include "gate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#define OWNER(type, member, pointer) \
  ((type *)((char *)(pointer) - offsetof(type, member)))
#define RETRY_SECONDS 0.1 /* when descriptors or memory have run out */

static void on_knock(bx_watch *w, uint32_t events) {
  bx_gate *g = OWNER(bx_gate, watch, w);
  (void)events; /* accept finds out */
  bx_event_set(g->loop, &g->knocked);
}

static void on_retry(bx_timer *t) {
  bx_gate *g = OWNER(bx_gate, retry, t);
  bx_event_set(g->loop, &g->knocked);
}

typedef union address {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
} address;

/* The address in numbers; its length, 0: it is none. */
static socklen_t read_address(address *a, const char *host, uint16_t port) {
  *a = (address){0};
  if (inet_pton(AF_INET, host, &a->v4.sin_addr) == 1) {
    a->v4.sin_family = AF_INET;
    a->v4.sin_port = htons(port);
    return sizeof a->v4;
  }
  if (inet_pton(AF_INET6, host, &a->v6.sin6_addr) != 1) return 0;
  a->v6.sin6_family = AF_INET6;
  a->v6.sin6_port = htons(port);
  return sizeof a->v6;
}

static int listen_on(const char *host, uint16_t port) {
  address a;
  int one = 1;
  socklen_t len = read_address(&a, host, port);
  int fd = len == 0 ? -1
                    : socket(a.any.sa_family,
                             SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (len == 0) errno = EADDRNOTAVAIL;
  if (fd >= 0 &&
      setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
      bind(fd, &a.any, len) == 0 &&
      listen(fd, SOMAXCONN) == 0)
    return fd;
  int err = errno;
  if (fd >= 0) close(fd);
  errno = err;
  return -1;
}

bx_class bx_gate_open(bx_gate *g, bx_loop *loop, const char *host,
                      uint16_t port, bx_error *e) {
  address a = {0};
  socklen_t len = sizeof a;
  g->watch.fd = listen_on(host, port);
  g->watch.fire = on_knock;
  g->retry.fire = on_retry;
  if (g->watch.fd < 0 ||
      getsockname(g->watch.fd, &a.any, &len) < 0) {
    int err = errno;
    if (g->watch.fd >= 0) close(g->watch.fd);
    return bx_error_errno(e, BX_CONNECTION, err, "can't listen for connections");
  }
  g->port = ntohs(a.any.sa_family == AF_INET ? a.v4.sin_port
                                            : a.v6.sin6_port);
  g->loop = loop;
  bx_event_set(loop, &g->knocked);
  return BX_OK;
}

/* No client is there, or can be let in: `knocked` is set when to look again. */
static void wait_for_knock(bx_gate *g, bool full) {
  bx_error e;
  bx_event_reset(&g->knocked);
  if (!full && bx_io_arm(g->loop, &g->watch, EPOLLIN, &e) == BX_OK) return;
  if (!bx_timer_start(g->loop, &g->retry, bx_now() + RETRY_SECONDS))
    bx_event_set(g->loop, &g->knocked);
}

int bx_gate_accept(bx_gate *g) {
  while (!g->closed) {
    int fd = accept4(g->watch.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) return fd;
    bool full = errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
                errno == ENOMEM;
    /* Others are of one connection that has failed already. */
    if (!full && errno != EAGAIN) continue;
    wait_for_knock(g, full);
    break;
  }
  return -1;
}

void bx_gate_close(bx_gate *g) {
  if (!g->loop || g->closed) return;
  g->closed = true;
  bx_timer_stop(g->loop, &g->retry);
  bx_io_forget(g->loop, &g->watch);
  close(g->watch.fd);
  bx_event_set(g->loop, &g->knocked);
}
