#include "forward.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define OWNER(type, member, pointer) \
  ((type *)((char *)(pointer) - offsetof(type, member)))
#define RETRY_SECONDS 0.1 /* when descriptors or memory have run out */
#define CHUNK (64 << 10)
#define CHUNKS 16 /* copied one way before others get a turn */

/* ---- gate ---------------------------------------------------------------- */

static void on_knock(bx_watch *w, uint32_t events) {
  bx_gate *g = OWNER(bx_gate, watch, w);
  (void)events; /* accept finds out */
  bx_event_set(g->loop, &g->knocked);
}

static void on_retry(bx_timer *t) {
  bx_gate *g = OWNER(bx_gate, retry, t);
  bx_event_set(g->loop, &g->knocked);
}

static int listen_on(uint16_t port) {
  struct sockaddr_in a = {.sin_family = AF_INET,
                          .sin_port = htons(port),
                          .sin_addr = {htonl(INADDR_LOOPBACK)}};
  int one = 1;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd >= 0 &&
      setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
      bind(fd, (struct sockaddr *)&a, sizeof a) == 0 &&
      listen(fd, SOMAXCONN) == 0)
    return fd;
  int err = errno;
  if (fd >= 0) close(fd);
  errno = err;
  return -1;
}

bx_class bx_gate_open(bx_gate *g, bx_loop *loop, uint16_t port, bx_error *e) {
  struct sockaddr_in a;
  socklen_t len = sizeof a;
  g->watch.fd = listen_on(port);
  g->watch.fire = on_knock;
  g->retry.fire = on_retry;
  if (g->watch.fd < 0 ||
      getsockname(g->watch.fd, (struct sockaddr *)&a, &len) < 0) {
    int err = errno;
    if (g->watch.fd >= 0) close(g->watch.fd);
    return bx_error_errno(e, BX_CONNECTION, err, "can't listen for a proxy");
  }
  g->port = ntohs(a.sin_port);
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

/* ---- relay --------------------------------------------------------------- */

/* The result of a copy one way. */
typedef enum progress {
  MORE,    /* its turn is over */
  THIRSTY, /* nothing to read */
  FULL,    /* the other side takes no more */
  ENDED,
  FAILED
} progress;

static bool give_way(int err) { return err == EAGAIN || err == EINTR; }

/* Gives held bytes to the other side. */
static progress empty(bx_relay_side *from, int to) {
  while (from->at < from->len) {
    ssize_t n = send(to, from->held + from->at, from->len - from->at,
                     MSG_NOSIGNAL);
    if (n < 0) return give_way(errno) ? FULL : FAILED;
    from->at += (size_t)n;
  }
  free(from->held);
  from->held = NULL;
  return MORE;
}

/* Keeps what the other side did not take; only then there is a buffer. */
static progress hold(bx_relay_side *from, const char *data, size_t len) {
  from->held = malloc(len);
  if (!from->held) return FAILED;
  memcpy(from->held, data, len);
  from->at = 0;
  from->len = len;
  return FULL;
}

static progress copy_chunk(bx_relay_side *from, int to) {
  char buffer[CHUNK];
  ssize_t n = recv(from->watch.fd, buffer, sizeof buffer, 0);
  if (n == 0) {
    from->ended = true;
    shutdown(to, SHUT_WR); /* fails only where it is shut already */
    return ENDED;
  }
  if (n < 0) return give_way(errno) ? THIRSTY : FAILED;
  ssize_t sent = send(to, buffer, (size_t)n, MSG_NOSIGNAL);
  if (sent == n) return MORE;
  if (sent < 0 && !give_way(errno)) return FAILED;
  if (sent < 0) sent = 0;
  return hold(from, buffer + sent, (size_t)(n - sent));
}

static progress copy(bx_relay_side *from, int to) {
  progress p = MORE;
  if (from->ended) return ENDED;
  if (from->held) p = empty(from, to);
  for (int i = 0; i < CHUNKS && p == MORE; i++) p = copy_chunk(from, to);
  return p;
}

/* Copies what can be copied and asks for the rest. */
static void turn(bx_relay *r) {
  uint32_t wanted[2] = {0, 0};
  bx_error e;
  bool ok = true;
  for (int i = 0; i < 2 && ok; i++) {
    progress p = copy(&r->side[i], r->side[!i].watch.fd);
    if (p == MORE || p == THIRSTY) wanted[i] |= EPOLLIN;
    if (p == FULL) wanted[!i] |= EPOLLOUT;
    ok = p != FAILED;
  }
  for (int i = 0; i < 2 && ok; i++)
    if (wanted[i])
      ok = bx_io_arm(r->loop, &r->side[i].watch, wanted[i], &e) == BX_OK;
  if (!ok || (r->side[0].ended && (r->side[1].ended || r->for_first)))
    bx_relay_close(r);
}

static void on_first(bx_watch *w, uint32_t events) {
  (void)events; /* reading and writing find out */
  turn(OWNER(bx_relay, side[0].watch, w));
}

static void on_second(bx_watch *w, uint32_t events) {
  (void)events;
  turn(OWNER(bx_relay, side[1].watch, w));
}

bx_class bx_relay_start(bx_relay *r, bx_loop *loop, int a, int b, bx_error *e) {
  int one = 1;
  r->loop = loop;
  r->side[0].watch = (bx_watch){.fd = a, .fire = on_first};
  r->side[1].watch = (bx_watch){.fd = b, .fire = on_second};
  for (int i = 0; i < 2; i++) /* only a delay is lost if it fails */
    setsockopt(r->side[i].watch.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (!bx_loop_io(loop, e)) {
    bx_relay_close(r);
    return e->class_;
  }
  turn(r);
  return BX_OK;
}

void bx_relay_close(bx_relay *r) {
  if (!r->loop || r->done.set) return;
  for (int i = 0; i < 2; i++) {
    bx_io_forget(r->loop, &r->side[i].watch);
    close(r->side[i].watch.fd);
    free(r->side[i].held);
    r->side[i].held = NULL;
  }
  bx_event_set(r->loop, &r->done);
}
