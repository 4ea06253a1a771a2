#include "stranger.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
/* The C library's own struct tcp_info ends before the count of bytes. */
#include <linux/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define OWNER(type, member, pointer) \
  ((type *)((char *)(pointer) - offsetof(type, member)))

typedef struct stranger stranger;
struct stranger {
  bx_strangers *all;
  stranger *prev, *next; /* the longest silent first */
  bx_watch watch;        /* of the duplicate */
  bx_timer timer;
  uint64_t connection;   /* its number in peers.h */
  bx_server_call *bound; /* whose request is weighed, or NULL */
  uint64_t most;         /* bytes received of all, for it */
  void (*over)(bx_server_call *c);
};

struct bx_strangers {
  bx_loop *loop;
  double seconds;
  stranger *first, *last;
  unsigned count, max;
};

static void on_socket(bx_watch *w, uint32_t events);

static void link_last(stranger *s) {
  bx_strangers *all = s->all;
  s->next = NULL;
  s->prev = all->last;
  if (s->prev)
    s->prev->next = s;
  else
    all->first = s;
  all->last = s;
}

static void unlink_stranger(stranger *s) {
  bx_strangers *all = s->all;
  if (s->prev)
    s->prev->next = s->next;
  else
    all->first = s->next;
  if (s->next)
    s->next->prev = s->prev;
  else
    all->last = s->prev;
}

static void forget(stranger *s) {
  bx_timer_stop(s->all->loop, &s->timer);
  bx_io_forget(s->all->loop, &s->watch);
  close(s->watch.fd);
  unlink_stranger(s);
  s->all->count--;
  free(s);
}

static void end(stranger *s) {
  shutdown(s->watch.fd, SHUT_RDWR);
  forget(s);
}

static void on_silence(bx_timer *t) { end(OWNER(stranger, timer, t)); }

/* Until its end; for a call that is weighed, also while bytes come. */
static bool watch(stranger *s) {
  bx_error e;
  uint32_t bytes = s->bound ? EPOLLIN : 0;
  return bx_io_arm(s->all->loop, &s->watch, EPOLLRDHUP | bytes, &e) == BX_OK;
}

static uint64_t received(const stranger *s) {
  struct tcp_info info = {0};
  socklen_t len = sizeof info;
  if (getsockopt(s->watch.fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0) return 0;
  return info.tcpi_bytes_received;
}

static void on_socket(bx_watch *w, uint32_t events) {
  stranger *s = OWNER(stranger, watch, w);
  if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
    forget(s);
    return;
  }
  bx_server_call *c = s->bound;
  if (c && received(s) > s->most) {
    s->bound = NULL;
    s->over(c);
  }
  if (!watch(s)) end(s);
}

static stranger *find(bx_strangers *all, uint64_t connection) {
  for (stranger *s = all->last; s; s = s->prev)
    if (s->connection == connection) return s;
  return NULL;
}

bx_strangers *bx_strangers_new(bx_loop *loop, double seconds) {
  bx_strangers *all = calloc(1, sizeof *all);
  if (!all) return NULL;
  all->loop = loop;
  all->seconds = seconds;
  all->max = bx_io_share(BX_STRANGERS_MAX, 8);
  return all;
}

void bx_strangers_free(bx_strangers *all) {
  if (!all) return;
  for (stranger *s = all->first, *next; s; s = next) {
    next = s->next;
    forget(s);
  }
  free(all);
}

bool bx_strangers_add(bx_strangers *all, int fd, uint64_t connection) {
  stranger *s = calloc(1, sizeof *s);
  if (!s) return false;
  s->all = all;
  s->connection = connection;
  s->watch.fire = on_socket;
  s->timer.fire = on_silence;
  s->watch.fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (s->watch.fd < 0) {
    free(s);
    return false;
  }
  if (all->count >= all->max) end(all->first);
  link_last(s);
  all->count++;
  if (bx_timer_start(all->loop, &s->timer, bx_now() + all->seconds) && watch(s))
    return true;
  forget(s);
  errno = ENOMEM;
  return false;
}

void bx_strangers_called(bx_strangers *all, uint64_t connection) {
  stranger *s = find(all, connection);
  if (!s) return;
  unlink_stranger(s);
  link_last(s);
  bx_timer_start(all->loop, &s->timer, bx_now() + all->seconds);
}

void bx_strangers_admit(bx_strangers *all, uint64_t connection) {
  stranger *s = find(all, connection);
  if (s) forget(s);
}

void bx_strangers_bind(bx_strangers *all, bx_server_call *c, size_t bytes,
                       void (*over)(bx_server_call *c)) {
  stranger *s = find(all, c->connection);
  if (!s) return;
  s->bound = c;
  s->most = received(s) + bytes;
  s->over = over;
  if (!watch(s)) end(s);
}

void bx_strangers_unbind(bx_strangers *all, const bx_server_call *c) {
  stranger *s = find(all, c->connection);
  if (s && s->bound == c) s->bound = NULL;
}
