#include "io.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "runtime.h"
#include "wake.h"

#define BATCH 64

/* A place that the kernel's events name; the generation distinguishes events of
** a watch that has gone from those of its successor in the place. */
typedef struct place {
  bx_watch *watch;
  unsigned generation;
  uint32_t events; /* seen, not fired yet */
  bool queued;     /* in `list` */
} place;

struct bx_io {
  bx_loop *loop;
  int epoll, stop;
  pthread_t thread;
  unsigned count, cap, *unused, unused_count;

  bx_wake wake;

  pthread_mutex_t lock; /* guards the rest */
  place *places;        /* index 0 is unused */
  unsigned *list, len;  /* places with something seen; each at most once */
  unsigned *turn;       /* those of them that the loop fires now */
  bool waking;
};

unsigned bx_io_share(unsigned most, unsigned parts) {
  struct rlimit r;
  if (getrlimit(RLIMIT_NOFILE, &r) < 0 || r.rlim_cur / parts >= most) return most;
  return r.rlim_cur < parts ? 1 : (unsigned)(r.rlim_cur / parts);
}

/* Under the lock, on the helper thread. */
static void note(bx_io *io, uint64_t key, uint32_t events) {
  unsigned slot = (unsigned)key;
  place *p = &io->places[slot];
  if (p->generation != (unsigned)(key >> 32)) return;
  p->events |= events;
  if (!p->queued) io->list[io->len++] = slot;
  p->queued = true;
}

static void *run(void *arg) {
  bx_io *io = arg;
  struct epoll_event events[BATCH];
  for (;;) {
    int n = epoll_wait(io->epoll, events, BATCH, -1);
    bool stop = n < 0 && errno != EINTR;
    pthread_mutex_lock(&io->lock);
    for (int i = 0; i < n; i++) {
      if (events[i].data.u64 == 0)
        stop = true;
      else
        note(io, events[i].data.u64, events[i].events);
    }
    if (io->len > 0 && !io->waking) {
      io->waking = true;
      bx_wake_send(&io->wake);
    }
    pthread_mutex_unlock(&io->lock);
    if (stop) return NULL;
  }
}

/* Takes the events seen so far, all of them and no more: a descriptor that is
** always ready must not keep the loop from the others, or from its timers. */
static unsigned take_turn(bx_io *io) {
  pthread_mutex_lock(&io->lock);
  unsigned n = io->len, *turn = io->list;
  io->list = io->turn;
  io->turn = turn;
  io->len = 0;
  for (unsigned i = 0; i < n; i++) io->places[turn[i]].queued = false;
  io->waking = false;
  pthread_mutex_unlock(&io->lock);
  return n;
}

/* NULL: its watch has gone since. */
static bx_watch *seen(bx_io *io, unsigned slot, uint32_t *events) {
  pthread_mutex_lock(&io->lock);
  place *p = &io->places[slot];
  *events = p->events;
  p->events = 0;
  bx_watch *w = *events ? p->watch : NULL;
  pthread_mutex_unlock(&io->lock);
  return w;
}

/* On the loop's thread: what the helper thread has seen. */
static void woken(bx_tag *tag, bool ok) {
  bx_io *io = (bx_io *)((char *)tag - offsetof(bx_io, wake.tag));
  uint32_t events;
  (void)ok;
  unsigned n = take_turn(io);
  for (unsigned i = 0; i < n; i++) { /* firing may grow, and so move, turn */
    bx_watch *w = seen(io, io->turn[i], &events);
    if (w) w->fire(w, events);
  }
}

bx_io *bx_io_new(bx_loop *loop, bx_error *e) {
  grpc_completion_queue *queue = bx_loop_queue(loop, e);
  bx_io *io = queue ? calloc(1, sizeof *io) : NULL;
  if (!io) {
    if (queue) bx_error_set(e, BX_BOXD, "not enough memory");
    return NULL;
  }
  io->loop = loop;
  io->wake.tag.fire = woken;
  io->count = 1;
  io->epoll = epoll_create1(EPOLL_CLOEXEC);
  io->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  pthread_mutex_init(&io->lock, NULL);
  struct epoll_event ev = {.events = EPOLLIN, .data.u64 = 0};
  if (io->epoll >= 0 && io->stop >= 0 &&
      epoll_ctl(io->epoll, EPOLL_CTL_ADD, io->stop, &ev) == 0 &&
      bx_wake_open(&io->wake, queue) && bx_thread_start(&io->thread, "boxd-io", run, io))
    return io;
  bx_error_errno(e, BX_BOXD, errno, "can't wait for files and signals");
  bx_wake_close(&io->wake);
  if (io->stop >= 0) close(io->stop);
  if (io->epoll >= 0) close(io->epoll);
  pthread_mutex_destroy(&io->lock);
  free(io);
  return NULL;
}

/* Waits until a wake on its way has come out of the queue: its tag is ours.
** The helper thread has ended. */
static void settle(bx_io *io) {
  bx_error e;
  for (unsigned i = 1; i < io->count; i++) io->places[i].events = 0;
  while (io->waking && !bx_loop_poll(io->loop, bx_now() + 0.01, &e)) continue;
}

void bx_io_free(bx_io *io) {
  uint64_t one = 1;
  while (write(io->stop, &one, sizeof one) < 0 && errno == EINTR) continue;
  pthread_join(io->thread, NULL);
  settle(io);
  bx_wake_close(&io->wake);
  close(io->stop);
  close(io->epoll);
  pthread_mutex_destroy(&io->lock);
  free(io->places);
  free(io->unused);
  free(io->list);
  free(io->turn);
  free(io);
}

/* Under the lock: the helper thread reads these. */
static bool grow(bx_io *io) {
  unsigned cap = io->cap ? io->cap * 2 : 64;
  place *places = realloc(io->places, cap * sizeof *places);
  if (places) io->places = places;
  unsigned *list = realloc(io->list, cap * sizeof *list);
  if (list) io->list = list;
  unsigned *turn = realloc(io->turn, cap * sizeof *turn);
  if (turn) io->turn = turn;
  unsigned *unused = realloc(io->unused, cap * sizeof *unused);
  if (unused) io->unused = unused;
  if (!places || !list || !turn || !unused) return false;
  for (unsigned i = io->cap; i < cap; i++) places[i] = (place){0};
  io->cap = cap;
  return true;
}

/* 0: no memory. */
static unsigned take_place(bx_io *io, bx_watch *w) {
  unsigned slot = 0;
  pthread_mutex_lock(&io->lock);
  if (io->unused_count > 0)
    slot = io->unused[--io->unused_count];
  else if (io->count < io->cap || grow(io))
    slot = io->count++;
  if (slot) io->places[slot].watch = w;
  pthread_mutex_unlock(&io->lock);
  return slot;
}

static void give_place(bx_io *io, unsigned slot) {
  pthread_mutex_lock(&io->lock);
  place *p = &io->places[slot];
  p->watch = NULL;
  p->events = 0;
  p->generation++;
  io->unused[io->unused_count++] = slot;
  pthread_mutex_unlock(&io->lock);
}

bx_class bx_io_arm(bx_loop *loop, bx_watch *w, uint32_t events, bx_error *e) {
  bx_io *io = bx_loop_io(loop, e);
  if (!io) return e->class_;
  int op = EPOLL_CTL_MOD;
  if (w->slot == 0) {
    op = EPOLL_CTL_ADD;
    w->slot = take_place(io, w);
    if (w->slot == 0) return bx_error_set(e, BX_BOXD, "not enough memory");
  }
  struct epoll_event ev = {
      .events = events | EPOLLONESHOT,
      .data.u64 = (uint64_t)io->places[w->slot].generation << 32 | w->slot};
  if (epoll_ctl(io->epoll, op, w->fd, &ev) == 0) return BX_OK;
  int err = errno;
  if (op == EPOLL_CTL_ADD) {
    give_place(io, w->slot);
    w->slot = 0;
  }
  return bx_error_errno(e, BX_BOXD, err, "can't wait for a descriptor");
}

void bx_io_forget(bx_loop *loop, bx_watch *w) {
  bx_error e;
  if (w->slot == 0) return;
  bx_io *io = bx_loop_io(loop, &e);
  if (io) {
    epoll_ctl(io->epoll, EPOLL_CTL_DEL, w->fd, NULL);
    give_place(io, w->slot);
  }
  w->slot = 0;
}
