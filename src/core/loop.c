#include "loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "alarm.h"
#include "curl.h"
#include "grpc_compat.h"
#include "io.h"
#include "lease.h"
#include "loop_private.h"
#include "relay.h"
#include "runtime.h"

/* Events handled before the caller gets a turn, however many there are. */
#define BURST 64
#define DRAIN_SECONDS 10
#define DESCRIPTORS 8 /* that gRPC needs to start, and some */

double bx_now(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

gpr_timespec bx_timespec(double at) {
  if (!(at < BX_FAR)) return gpr_inf_future(GPR_CLOCK_MONOTONIC);
  if (at < 0) at = 0;
  gpr_timespec ts = {.clock_type = GPR_CLOCK_MONOTONIC};
  ts.tv_sec = (int64_t)at;
  ts.tv_nsec = (int32_t)((at - (double)ts.tv_sec) * 1e9);
  ts.tv_sec += bx_grpc_clock_ahead();
  return ts;
}

bx_loop *bx_loop_new(void) { return calloc(1, sizeof(bx_loop)); }

void bx_open_add(bx_loop *loop, bx_open *o) {
  o->prev = NULL;
  o->next = loop->open;
  if (o->next) o->next->prev = o;
  loop->open = o;
}

void bx_open_remove(bx_loop *loop, bx_open *o) {
  if (o->next) o->next->prev = o->prev;
  if (o->prev)
    o->prev->next = o->next;
  else
    loop->open = o->next;
}

grpc_call_error bx_loop_start(bx_loop *loop, grpc_call *call,
                              const grpc_op *op, bx_tag *tag) {
  void *done;
  int ok;
  if (loop->kept) return grpc_call_start_batch(call, op, 1, tag, NULL);
  grpc_completion_queue_thread_local_cache_init(loop->queue);
  grpc_call_error rc = grpc_call_start_batch(call, op, 1, tag, NULL);
  if (grpc_completion_queue_thread_local_cache_flush(loop->queue, &done, &ok)) {
    loop->kept = done;
    loop->kept_ok = ok != 0;
    loop->more = true;
    bx_loop_notice(loop);
  }
  return rc;
}

static bx_tag *take_kept(bx_loop *loop, bool *ok) {
  bx_tag *tag = loop->kept;
  loop->kept = NULL;
  *ok = loop->kept_ok;
  return tag;
}

/* False: a batch does not end. */
static bool drain(bx_loop *loop) {
  double until = bx_now() + DRAIN_SECONDS;
  grpc_completion_queue *queue = loop->queue;
  bool ok;
  for (bx_tag *tag; (tag = take_kept(loop, &ok));) tag->fire(tag, false);
  grpc_event ev;
  grpc_completion_queue_shutdown(queue);
  for (;;) {
    ev = grpc_completion_queue_next(queue, bx_timespec(until), NULL);
    if (ev.type == GRPC_QUEUE_TIMEOUT) return false;
    if (ev.type == GRPC_QUEUE_SHUTDOWN) break;
    bx_tag *tag = ev.tag;
    tag->fire(tag, false);
  }
  grpc_completion_queue_destroy(queue);
  return true;
}

void bx_loop_free(bx_loop *loop) {
  bx_error e;
  if (!loop) return;
  /* In a forked child gRPC's threads are not there: freeing would wait for
  ** them for ever. */
  bool ours = bx_runtime_check(&e) == BX_OK;
  bool ended = !ours || bx_leases_end(loop);
  for (bx_open *o = loop->open; ours && o; o = o->next) o->close(o);
  if (ours && loop->relay) bx_relay_free(loop->relay);
  loop->relay = NULL;
  if (ours && loop->curl) bx_curl_free(loop->curl);
  if (ours && loop->io) bx_io_free(loop->io);
  bx_alarm_free(loop);
  if (ours && loop->queue) {
    if (!ended || !drain(loop)) return;
    bx_runtime_stop();
  }
  free(loop->heap);
  free(loop);
}

/* gRPC ends the process when it can't open those that it starts with. */
static bool has_descriptors(bx_error *e) {
  int fds[DESCRIPTORS], n = 0;
  while (n < DESCRIPTORS && (fds[n] = eventfd(0, EFD_CLOEXEC)) >= 0) n++;
  int err = errno;
  bool enough = n == DESCRIPTORS;
  while (n > 0) close(fds[--n]);
  if (!enough)
    bx_error_errno(e, BX_BOXD, err, "too few free descriptors: close some, or "
                   "raise the limit (ulimit -n)");
  return enough;
}

grpc_completion_queue *bx_loop_queue(bx_loop *loop, bx_error *e) {
  if (loop->queue) {
    if (bx_runtime_check(e)) return NULL;
    return loop->queue;
  }
  if (!has_descriptors(e) || bx_runtime_start(e)) return NULL;
  loop->queue = grpc_completion_queue_create_for_next(NULL);
  return loop->queue;
}

bx_io *bx_loop_io(bx_loop *loop, bx_error *e) {
  if (!bx_loop_queue(loop, e)) return NULL;
  if (!loop->io) loop->io = bx_io_new(loop, e);
  return loop->io;
}

bx_waiter *bx_loop_ready(bx_loop *loop) {
  bx_waiter *w = loop->ready.first;
  if (w) bx_waiter_drop(w);
  return w;
}

bool bx_loop_has_ready(const bx_loop *loop) {
  return loop->ready.first && loop->held == 0;
}

void bx_loop_hold(bx_loop *loop, bool hold) {
  if (hold)
    loop->held++;
  else
    loop->held--;
}

/* Its relay, unless that is the one of the process that we were forked from. */
static bx_relay *relay_of(const bx_loop *loop) {
  bx_error e;
  return loop->relay && bx_runtime_check(&e) == BX_OK ? loop->relay : NULL;
}

static double next_time(const bx_loop *loop) {
  return loop->timers > 0 ? loop->heap[0]->at : BX_FOREVER;
}

/* A host has to know of the first timer. In a turn it learns at its end. */
static void set_alarm(bx_loop *loop) {
  bx_relay *r = loop->turns == 0 ? relay_of(loop) : NULL;
  if (r) bx_relay_alarm(r, next_time(loop));
}

/* Timers: a binary heap whose entries know their place. */

static void place(bx_loop *loop, bx_timer *t, size_t i) {
  loop->heap[i] = t;
  t->index = i + 1;
}

static void sift_up(bx_loop *loop, size_t i) {
  bx_timer *t = loop->heap[i];
  while (i > 0) {
    size_t up = (i - 1) / 2;
    if (loop->heap[up]->at <= t->at) break;
    place(loop, loop->heap[up], i);
    i = up;
  }
  place(loop, t, i);
}

static void sift_down(bx_loop *loop, size_t i) {
  bx_timer *t = loop->heap[i];
  for (;;) {
    size_t down = 2 * i + 1;
    if (down >= loop->timers) break;
    if (down + 1 < loop->timers && loop->heap[down + 1]->at < loop->heap[down]->at)
      down++;
    if (t->at <= loop->heap[down]->at) break;
    place(loop, loop->heap[down], i);
    i = down;
  }
  place(loop, t, i);
}

bool bx_timer_start(bx_loop *loop, bx_timer *t, double at) {
  bx_timer_stop(loop, t);
  if (loop->timers == loop->heap_cap) {
    size_t cap = loop->heap_cap ? loop->heap_cap * 2 : 16;
    bx_timer **heap = realloc(loop->heap, cap * sizeof *heap);
    if (!heap) return false;
    loop->heap = heap;
    loop->heap_cap = cap;
  }
  t->at = at;
  place(loop, t, loop->timers++);
  sift_up(loop, t->index - 1);
  set_alarm(loop);
  return true;
}

void bx_timer_stop(bx_loop *loop, bx_timer *t) {
  if (t->index == 0) return;
  size_t i = t->index - 1;
  t->index = 0;
  bx_timer *last = loop->heap[--loop->timers];
  if (last != t) {
    place(loop, last, i);
    sift_up(loop, i);
    sift_down(loop, last->index - 1);
  }
  set_alarm(loop);
}

static void fire_timers(bx_loop *loop) {
  if (loop->timers == 0) return;
  double now = bx_now();
  while (loop->timers > 0 && loop->heap[0]->at <= now) {
    bx_timer *t = loop->heap[0];
    bx_timer_stop(loop, t);
    t->fire(t);
  }
}

/* One completion out of the queue that is ours; NULL: none until then. */
static bx_tag *take(bx_loop *loop, double until, bool *ok) {
  if (until > 0 && until < BX_FAR) bx_alarm_set(loop, until);
  grpc_event ev =
      grpc_completion_queue_next(loop->queue, bx_timespec(until), NULL);
  *ok = ev.success != 0;
  return ev.type == GRPC_OP_COMPLETE ? ev.tag : NULL;
}

static bx_tag *next(bx_loop *loop, double until, bool *ok) {
  if (loop->kept) return take_kept(loop, ok);
  if (!loop->relay) return take(loop, until, ok);
  if (!bx_relay_get(loop->relay, until)) return NULL;
  bx_tag *tag = bx_relay_take(loop->relay, ok);
  return tag ? tag : take(loop, until, ok);
}

bx_class bx_loop_poll(bx_loop *loop, double until, bx_error *e) {
  if (!bx_loop_queue(loop, e)) return e->class_;
  loop->woken = false;
  loop->more = true;
  /* Not once more when there is a taker: looking costs a system call. */
  for (int i = 0; i < BURST && (!loop->woken || loop->kept); i++) {
    bool ok;
    double limit = i > 0 || bx_loop_has_ready(loop) ? 0 : until;
    if (next_time(loop) < limit) limit = next_time(loop);
    bx_tag *tag = next(loop, limit, &ok);
    if (!tag) {
      loop->more = false;
      break;
    }
    tag->fire(tag, ok);
  }
  fire_timers(loop);
  return BX_OK;
}

/* In another program's event loop. */

int bx_loop_pollfd(bx_loop *loop, bx_error *e) {
  grpc_completion_queue *queue = bx_loop_queue(loop, e);
  if (!queue) return -1;
  if (!loop->relay) {
    loop->relay = bx_relay_new(queue, e);
    if (!loop->relay) return -1;
    bx_loop_begin_turn(loop);
    bx_loop_end_turn(loop);
  }
  return bx_relay_fd(loop->relay);
}

void bx_loop_begin_turn(bx_loop *loop) { loop->turns++; }

/* The last poll may have left nothing: the descriptor must not say otherwise. */
void bx_loop_end_turn(bx_loop *loop) {
  bx_error e;
  if (--loop->turns > 0) return;
  bx_relay *r = relay_of(loop);
  if (!r) return;
  if (loop->more) bx_loop_poll(loop, 0, &e);
  bx_relay_rest(r, next_time(loop), loop->more || bx_loop_has_ready(loop));
}

double bx_loop_timeout(const bx_loop *loop) {
  if (bx_loop_has_ready(loop) || loop->kept) return 0;
  double left = next_time(loop) - bx_now();
  return left > 0 ? left : 0;
}

void bx_loop_notice(bx_loop *loop) {
  bx_relay *r = loop->turns == 0 ? relay_of(loop) : NULL;
  if (r) bx_relay_nudge(r);
}
