#include "relay.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "loop.h"
#include "runtime.h"
#include "wake.h"

struct bx_relay {
  grpc_completion_queue *queue;
  int epoll, event, timer;
  double at; /* the time that the timer is set to */
  pthread_t thread;

  bx_wake stop; /* gets the queue back */
  bool stopped; /* its tag has come out */

  pthread_mutex_t lock; /* guards the rest */
  pthread_cond_t given;
  bool away;      /* the thread has the queue */
  bool ending;
  bx_tag *tag;    /* the completion that came with the queue */
  bool ok;
  bool signalled; /* `event` is readable */
};

/* Under the lock. */
static void signal_event(bx_relay *r) {
  uint64_t one = 1;
  if (r->signalled) return;
  r->signalled = true;
  while (write(r->event, &one, sizeof one) < 0 && errno == EINTR) continue;
}

static void clear_event(bx_relay *r) {
  uint64_t n;
  if (!r->signalled) return;
  r->signalled = false;
  while (read(r->event, &n, sizeof n) < 0 && errno == EINTR) continue;
}

static bool may_wait(bx_relay *r) {
  pthread_mutex_lock(&r->lock);
  while (!r->away && !r->ending) pthread_cond_wait(&r->given, &r->lock);
  bool may = !r->ending;
  pthread_mutex_unlock(&r->lock);
  return may;
}

static void *run(void *arg) {
  bx_relay *r = arg;
  while (may_wait(r)) {
    grpc_event ev = grpc_completion_queue_next(
        r->queue, bx_timespec(BX_FOREVER), NULL);
    pthread_mutex_lock(&r->lock);
    r->tag = ev.type == GRPC_OP_COMPLETE ? ev.tag : NULL;
    r->ok = ev.success != 0;
    r->away = false;
    signal_event(r);
    pthread_mutex_unlock(&r->lock);
  }
  return NULL;
}

static void on_stopped(bx_tag *tag, bool ok) {
  bx_relay *r = (bx_relay *)((char *)tag - offsetof(bx_relay, stop.tag));
  (void)ok;
  r->stopped = true;
}

static bool watch(bx_relay *r, int fd) {
  struct epoll_event ev = {.events = EPOLLIN};
  return epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &ev) == 0;
}

static void release(bx_relay *r) {
  bx_wake_close(&r->stop);
  if (r->epoll >= 0) close(r->epoll);
  if (r->event >= 0) close(r->event);
  if (r->timer >= 0) close(r->timer);
  pthread_cond_destroy(&r->given);
  pthread_mutex_destroy(&r->lock);
  free(r);
}

static bool open_descriptors(bx_relay *r) {
  r->epoll = epoll_create1(EPOLL_CLOEXEC);
  r->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  r->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  return r->epoll >= 0 && r->event >= 0 && r->timer >= 0 &&
         watch(r, r->event) && watch(r, r->timer);
}

bx_relay *bx_relay_new(grpc_completion_queue *queue, bx_error *e) {
  bx_relay *r = calloc(1, sizeof *r);
  if (!r) {
    bx_error_set(e, BX_BOXD, "not enough memory");
    return NULL;
  }
  r->queue = queue;
  r->at = BX_FOREVER;
  r->away = true;
  r->stop.tag.fire = on_stopped;
  pthread_mutex_init(&r->lock, NULL);
  pthread_cond_init(&r->given, NULL);
  if (open_descriptors(r) && bx_wake_open(&r->stop, queue) && bx_thread_start(&r->thread, "boxd-relay", run, r)) return r;
  bx_error_errno(e, BX_BOXD, errno, "can't make a descriptor for a host's loop");
  release(r);
  return NULL;
}

static bool is_ours(bx_relay *r) {
  pthread_mutex_lock(&r->lock);
  bool ours = !r->away;
  pthread_mutex_unlock(&r->lock);
  return ours;
}

static void end_thread(bx_relay *r) {
  pthread_mutex_lock(&r->lock);
  r->ending = true;
  pthread_cond_signal(&r->given);
  pthread_mutex_unlock(&r->lock);
  pthread_join(r->thread, NULL);
}

void bx_relay_free(bx_relay *r) {
  bool ok;
  if (is_ours(r))
    r->stopped = true;
  else
    bx_wake_send(&r->stop);
  while (!bx_relay_get(r, BX_FOREVER)) continue;
  end_thread(r);
  bx_tag *tag = bx_relay_take(r, &ok);
  if (tag) tag->fire(tag, ok);
  while (!r->stopped) {
    grpc_event ev = grpc_completion_queue_next(
        r->queue, bx_timespec(BX_FOREVER), NULL);
    tag = ev.tag;
    tag->fire(tag, ev.success != 0);
  }
  release(r);
}

int bx_relay_fd(const bx_relay *r) { return r->epoll; }

/* The thread rests: no lock. */
bx_tag *bx_relay_take(bx_relay *r, bool *ok) {
  bx_tag *tag = r->tag;
  r->tag = NULL;
  *ok = r->ok;
  return tag;
}

/* True: the queue is ours. Else a signal was for something else, and goes. */
static bool look(bx_relay *r) {
  pthread_mutex_lock(&r->lock);
  bool ours = !r->away;
  if (!ours) clear_event(r);
  pthread_mutex_unlock(&r->lock);
  return ours;
}

bool bx_relay_get(bx_relay *r, double until) {
  struct pollfd p = {.fd = r->event, .events = POLLIN};
  struct timespec ts, *limit = NULL;
  double left = until > 0 ? until - bx_now() : 0;
  if (left <= 0) return is_ours(r);
  if (look(r)) return true;
  if (left < 1e9) {
    ts.tv_sec = (time_t)left;
    ts.tv_nsec = (long)((left - (double)ts.tv_sec) * 1e9);
    limit = &ts;
  }
  ppoll(&p, 1, limit, NULL);
  return is_ours(r);
}

void bx_relay_nudge(bx_relay *r) {
  pthread_mutex_lock(&r->lock);
  signal_event(r);
  pthread_mutex_unlock(&r->lock);
}

void bx_relay_alarm(bx_relay *r, double at) {
  struct itimerspec it = {0};
  if (at == r->at) return;
  r->at = at;
  if (at < BX_FAR) {
    double next = at + 1e-9; /* not before it: a double rounds */
    it.it_value.tv_sec = (time_t)next;
    it.it_value.tv_nsec = (long)((next - (double)it.it_value.tv_sec) * 1e9);
  }
  timerfd_settime(r->timer, TFD_TIMER_ABSTIME, &it, NULL);
}

void bx_relay_rest(bx_relay *r, double at, bool more) {
  bx_relay_alarm(r, at);
  pthread_mutex_lock(&r->lock);
  if (more || r->tag) { /* it came just now */
    signal_event(r);
  } else {
    clear_event(r);
    if (!r->away) {
      r->away = true;
      pthread_cond_signal(&r->given);
    }
  }
  pthread_mutex_unlock(&r->lock);
}
