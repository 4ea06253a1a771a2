/*
** op: events and their waiters.
**
** An event is a condition inside a longer-lived object (a call, a task, a
** process); a waiter is embedded in the object that runs when it is set.
** Neither allocates. Setting an event moves its waiters to the loop's ready
** list, from where the owner of the loop takes them one by one. An event that
** is `exclusive` counts waiters that were woken: the news is theirs.
**
** A tag is what a gRPC batch points at. The object that holds the tag counts a
** reference for every batch under way, so that gRPC never writes into freed
** memory: an operation outlives its owner.
*/
#ifndef BX_OP_H
#define BX_OP_H

#include <stdbool.h>

typedef struct bx_loop bx_loop;
typedef struct bx_tag bx_tag;
typedef struct bx_event bx_event;
typedef struct bx_waiter bx_waiter;

struct bx_tag {
  void (*fire)(bx_tag *tag, bool ok); /* on the loop's thread, in bx_loop_poll */
};

/* A doubly linked list of waiters; zeroed is empty. */
typedef struct bx_waiters {
  bx_waiter *first, *last;
} bx_waiters;

struct bx_event {
  bool set;
  bool exclusive;   /* of a source with one reader: see bx_event_claimed */
  unsigned called;  /* waiters that are ready and had no turn yet */
  unsigned blocked; /* waiters in place, which pump the loop */
  bx_waiters waiters;
};

/* Has it a waiter? */
static inline bool bx_event_awaited(const bx_event *ev) {
  return ev->blocked > 0 || ev->waiters.first;
}

/* For an exclusive event: has it a waiter, or one that it made ready and that
** has yet to take the news? A waiter woken for another reason takes nothing. */
static inline bool bx_event_claimed(const bx_event *ev) {
  return ev->called > 0 || bx_event_awaited(ev);
}

struct bx_waiter {
  bx_waiter *prev, *next;
  bx_event *caller; /* the exclusive event that made it ready, or NULL */
  bx_waiters *in; /* the list it is in: an event's, the ready list, or NULL */
};

/* Queues w until ev is set; w must be in no list. Ready at once when it is. */
void bx_event_wait(bx_loop *loop, bx_event *ev, bx_waiter *w);

/* Sets ev and makes all its waiters ready, in the order they came. */
void bx_event_set(bx_loop *loop, bx_event *ev);

/* Before an event's memory goes while others may wait for it (in a coroutine
** that was closed) or be on their way: they look elsewhere. */
void bx_event_end(bx_loop *loop, bx_event *ev);

static inline void bx_event_reset(bx_event *ev) { ev->set = false; }

/* Makes w ready whatever it waits for (a timeout, a cancellation). */
void bx_waiter_wake(bx_loop *loop, bx_waiter *w);

/* Takes w out of whatever list it is in. */
void bx_waiter_drop(bx_waiter *w);

#endif
