#include "lease.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "boxd.pb-c.h"
#include "loop_private.h"
#include "message.h"
#include "runtime.h"
#include "wake.h"

#define CALL_SECONDS 20.0   /* that a renewal may take, or a third of the lease */
#define AGAIN_SECONDS 10.0  /* between tries, or a part of the lease: */
#define AGAIN_SHARE 30
#define END_SECONDS 10.0 /* for the threads to end in */

#define OWNER(type, member, pointer) \
  ((type *)((char *)(pointer) - offsetof(type, member)))

typedef struct bx_leases bx_leases;

struct bx_lease {
  bx_lease *next; /* in all->first */
  bx_leases *all;
  bx_client *client; /* one of all->clients */
  char *box;
  unsigned seconds;

  /* Under the mutex. */
  bool held;   /* the owner has it */
  bool ended;  /* no renewal begins, */
  bool over;   /* ... and the thread has done with it */
  bool failed; /* ... because of this: */
  bx_error error;

  /* The thread's. */
  bx_timer timer; /* the next try */
  bx_call *call;
  double began, renewed; /* the call; the one that was good */
};

/* The clients a thread has. */
typedef struct user {
  struct user *next;
  bx_client *client;
} user;

struct bx_leases {
  bx_loop *loop;  /* the thread's */
  bx_loop *owner; /* in which `gone` comes, as the thread ends */
  pthread_t thread;
  bx_wake wake, gone;
  bool runs; /* the thread; the owner's */
  user *users; /* under the mutex, as is the rest; they only become more */
  bx_lease *first;
  bool waking;
  bool closing; /* nothing under way is waited for */
  bool done;    /* the thread ends: it takes no more leases */
};

/* Of all leases of the process; not to be had in a fork. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void lock(void) { pthread_mutex_lock(&mutex); }

static void unlock(void) { pthread_mutex_unlock(&mutex); }

static void destroy(bx_lease *l) {
  free(l->box);
  free(l);
}

/* ---- the thread ---- */

/* Under the mutex: the thread has done with it. */
static void finish(bx_lease *l) {
  bx_lease **at = &l->all->first;
  while (*at != l) at = &(*at)->next;
  *at = l->next;
  bx_timer_stop(l->all->loop, &l->timer);
  l->ended = l->over = true;
  if (!l->held) destroy(l);
}

static void give_up(bx_lease *l, const bx_error *why) {
  lock();
  l->failed = why->class_ != BX_NOT_FOUND && !l->ended;
  l->error = *why;
  finish(l);
  unlock();
}

/* Begins the next try at that time, if there is to be one. */
static void plan(bx_lease *l, double at) {
  bx_error e;
  lock();
  bool go_on = !l->ended;
  if (!go_on) finish(l);
  unlock();
  if (!go_on || bx_timer_start(l->all->loop, &l->timer, at)) return;
  bx_error_set(&e, BX_BOXD, "not enough memory");
  give_up(l, &e);
}

static void failed(bx_lease *l, const bx_error *why) {
  double now = bx_now(), end = l->renewed + l->seconds;
  if (why->class_ == BX_NOT_FOUND || now >= end)
    give_up(l, why);
  else
    plan(l, fmin(now + fmin(AGAIN_SECONDS, (double)l->seconds / AGAIN_SHARE),
                 end));
}

static void renewed(bx_call *call) {
  bx_lease *l = call->owner;
  bx_error why = call->error;
  l->call = NULL;
  bx_call_unref(call); /* the call still has its own reference */
  if (why.class_) {
    failed(l, &why);
    return;
  }
  l->renewed = l->began;
  plan(l, l->began + l->seconds / 3.0);
}

static grpc_byte_buffer *pack(const bx_lease *l) {
  Boxd__Api__V1__SetDeleteAfterRequest request =
      BOXD__API__V1__SET_DELETE_AFTER_REQUEST__INIT;
  request.vm_id = l->box;
  request.delete_after_secs = l->seconds;
  return bx_message_pack(&request.base);
}

static void renew(bx_timer *t) {
  bx_lease *l = OWNER(bx_lease, timer, t);
  bx_error e;
  l->began = bx_now();
  double deadline = l->began + fmin(CALL_SECONDS, l->seconds / 3.0);
  l->call = bx_client_prepare(l->client, bx_rpc_find("SetDeleteAfter"),
                              deadline, false, &e);
  if (!l->call) {
    failed(l, &e);
    return;
  }
  bx_call *call = bx_call_ref(l->call); /* it may end at once */
  call->owner = l;
  call->on_finish = renewed;
  call->untraced = true;
  bx_call_unary(call, pack(l));
  bx_call_unref(call);
}

/* Under the mutex: takes new leases in, and ended ones off. */
static void look(bx_leases *s) {
  for (bx_lease *l = s->first, *next; l; l = next) {
    next = l->next;
    if (l->ended && !l->call)
      finish(l);
    else if (!l->timer.index && !l->call &&
             !bx_timer_start(s->loop, &l->timer,
                             l->renewed + l->seconds / 3.0)) {
      l->failed = true;
      bx_error_set(&l->error, BX_BOXD, "not enough memory");
      finish(l);
    }
  }
}

static void woken(bx_tag *tag, bool ok) {
  bx_leases *s = OWNER(bx_leases, wake.tag, tag);
  (void)ok;
  lock();
  s->waking = false;
  look(s);
  bool closing = s->closing;
  unlock();
  for (user *u = s->users; closing && u; u = u->next)
    bx_client_close(u->client);
}

static bool is_done(bx_leases *s) {
  lock();
  s->done = !s->first && !s->waking;
  bool done = s->done;
  unlock();
  return done;
}

static void release(bx_leases *s) {
  for (user *u = s->users, *next; u; u = next) {
    next = u->next;
    bx_client_free(u->client);
    free(u);
  }
  bx_wake_close(&s->wake);
  bx_loop_free(s->loop);
}

static void *run(void *arg) {
  bx_leases *s = arg;
  bx_error e;
  lock();
  look(s);
  unlock();
  while (!is_done(s)) bx_loop_poll(s->loop, BX_FOREVER, &e);
  release(s);
  bx_wake_send(&s->gone);
  return NULL;
}

/* ---- its owner's side ---- */

static void drop(bx_leases *s) {
  if (s->owner->leases == s) s->owner->leases = NULL;
  bx_wake_close(&s->gone);
  free(s);
}

static void on_gone(bx_tag *tag, bool ok) {
  bx_leases *s = OWNER(bx_leases, gone.tag, tag);
  (void)ok;
  pthread_join(s->thread, NULL);
  s->owner->renewers--;
  drop(s);
}

static void call_thread(bx_leases *s) {
  if (s->waking) return;
  s->waking = true;
  bx_wake_send(&s->wake);
}

/* NULL: no memory. The thread takes it in at its next look. */
static bx_client *client_for(bx_leases *s, const bx_client *c) {
  for (user *u = s->users; u; u = u->next)
    if (bx_client_is_twin(u->client, c)) return u->client;
  user *u = calloc(1, sizeof *u);
  if (u && (u->client = bx_client_twin(c, s->loop))) {
    u->next = s->users;
    s->users = u;
    return u->client;
  }
  free(u);
  return NULL;
}

static bx_class no_memory(bx_error *e) {
  return bx_error_set(e, BX_BOXD, "not enough memory");
}

/* Under the mutex. */
static bx_class add(bx_leases *s, const bx_client *c, bx_lease *l,
                    bx_error *e) {
  l->client = client_for(s, c);
  if (!l->client) return no_memory(e);
  if (!s->runs && !bx_thread_start(&s->thread, "boxd-lease", run, s))
    return bx_error_errno(e, BX_BOXD, errno, "can't start a thread");
  l->all = s;
  l->next = s->first;
  s->first = l;
  if (s->runs) call_thread(s);
  s->runs = true;
  return BX_OK;
}

static bx_lease *new_lease(const char *box, unsigned seconds) {
  bx_lease *l = calloc(1, sizeof *l);
  if (!l) return NULL;
  l->seconds = seconds;
  l->renewed = bx_now();
  l->held = true;
  l->timer.fire = renew;
  bx_error_clear(&l->error);
  if ((l->box = strdup(box))) return l;
  free(l);
  return NULL;
}

static bool open_queues(bx_leases *s, bx_error *e) {
  grpc_completion_queue *theirs = bx_loop_queue(s->loop, e);
  grpc_completion_queue *ours = theirs ? bx_loop_queue(s->owner, e) : NULL;
  if (!ours) return false;
  if (bx_wake_open(&s->wake, theirs) && bx_wake_open(&s->gone, ours))
    return true;
  bx_error_set(e, BX_BOXD, "gRPC can't start");
  return false;
}

static bx_leases *new_leases(bx_loop *owner, bx_error *e) {
  bx_leases *s = calloc(1, sizeof *s);
  if (s) s->loop = bx_loop_new();
  if (!s || !s->loop) {
    free(s);
    no_memory(e);
    return NULL;
  }
  s->owner = owner;
  s->wake.tag.fire = woken;
  s->gone.tag.fire = on_gone;
  if (open_queues(s, e)) return s;
  release(s);
  drop(s);
  return NULL;
}

/* The first of a thread. */
static bx_class start_first(bx_loop *loop, const bx_client *c, bx_lease *l,
                            bx_error *e) {
  bx_leases *s = new_leases(loop, e);
  if (!s) return e->class_;
  lock();
  bx_class class_ = add(s, c, l, e);
  unlock();
  if (class_) {
    release(s);
    drop(s);
    return class_;
  }
  loop->leases = s;
  loop->renewers++;
  return BX_OK;
}

/* Taken in before the thread can decide to end, or by a new one. */
static bx_class start(bx_loop *loop, const bx_client *c, bx_lease *l,
                      bx_error *e) {
  lock();
  bool takes = loop->leases && !loop->leases->done;
  bx_class class_ = takes ? add(loop->leases, c, l, e) : BX_OK;
  unlock();
  return takes ? class_ : start_first(loop, c, l, e);
}

bx_lease *bx_lease_start(bx_loop *loop, const bx_client *c, const char *box,
                         unsigned seconds, bx_error *e) {
  if (bx_runtime_check(e)) return NULL;
  bx_lease *l = new_lease(box, seconds);
  if (!l) no_memory(e);
  if (l && start(loop, c, l, e) == BX_OK) return l;
  if (l) destroy(l);
  return NULL;
}

bool bx_lease_end(bx_lease *l) {
  bx_error e;
  if (bx_runtime_check(&e)) return true;
  lock();
  l->ended = true;
  if (!l->over) call_thread(l->all);
  bool over = l->over;
  unlock();
  return over;
}

bool bx_lease_failed(const bx_lease *l, bx_error *e) {
  if (bx_runtime_check(e)) return false;
  lock();
  bool failed = l->failed;
  if (failed) *e = l->error;
  unlock();
  return failed;
}

void bx_lease_free(bx_lease *l) {
  bx_error e;
  if (!l || bx_runtime_check(&e)) return;
  lock();
  l->held = false;
  l->ended = true;
  if (l->over)
    destroy(l);
  else
    call_thread(l->all);
  unlock();
}

static void end_all(bx_leases *s) {
  lock();
  s->closing = true;
  for (bx_lease *l = s->first; l; l = l->next) l->ended = true;
  if (!s->done) call_thread(s);
  unlock();
}

bool bx_leases_end(bx_loop *loop) {
  bx_error e;
  double until = bx_now() + END_SECONDS;
  if (loop->leases) end_all(loop->leases);
  while (loop->renewers > 0 && bx_now() < until)
    if (bx_loop_poll(loop, bx_now() + 0.1, &e)) break;
  return loop->renewers == 0;
}
