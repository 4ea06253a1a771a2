#include "op.h"

#include <assert.h>
#include <stddef.h>

#include "loop.h"
#include "loop_private.h"

static void append(bx_waiters *list, bx_waiter *w) {
  assert(!w->in);
  w->in = list;
  w->prev = list->last;
  w->next = NULL;
  if (list->last)
    list->last->next = w;
  else
    list->first = w;
  list->last = w;
}

/* It takes nothing, or is about to. */
static void disclaim(bx_waiter *w) {
  if (w->caller) w->caller->called--;
  w->caller = NULL;
}

void bx_waiter_drop(bx_waiter *w) {
  disclaim(w);
  bx_waiters *list = w->in;
  if (!list) return;
  if (w->prev)
    w->prev->next = w->next;
  else
    list->first = w->next;
  if (w->next)
    w->next->prev = w->prev;
  else
    list->last = w->prev;
  w->prev = w->next = NULL;
  w->in = NULL;
}

void bx_event_wait(bx_loop *loop, bx_event *ev, bx_waiter *w) {
  append(ev->set ? &loop->ready : &ev->waiters, w);
  if (ev->set) bx_loop_notice(loop);
}

void bx_event_set(bx_loop *loop, bx_event *ev) {
  ev->set = true;
  if (ev->blocked > 0) loop->woken = true;
  while (ev->waiters.first) {
    bx_waiter *w = ev->waiters.first;
    bx_waiter_wake(loop, w);
    if (!ev->exclusive) continue;
    w->caller = ev;
    ev->called++;
  }
}

void bx_event_end(bx_loop *loop, bx_event *ev) {
  while (ev->waiters.first) bx_waiter_wake(loop, ev->waiters.first);
  if (ev->called == 0) return;
  for (bx_waiter *w = loop->ready.first; w; w = w->next)
    if (w->caller == ev) disclaim(w);
}

void bx_waiter_wake(bx_loop *loop, bx_waiter *w) {
  if (w->in == &loop->ready) {
    disclaim(w);
    return;
  }
  bx_waiter_drop(w);
  append(&loop->ready, w);
  bx_loop_notice(loop);
}
