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
#define CHUNK (64 << 10)
#define CHUNKS 16 /* copied one way before others get a turn */

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
