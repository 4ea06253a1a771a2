/*
** loop: THE event loop. One completion queue, timers, ready waiters. All of it
** belongs to one thread; other threads only wake it, through io.
**
** The queue (and with it gRPC) is made when something first has to wait or to
** call, so that a script that does neither starts at once.
*/
#ifndef BX_LOOP_H
#define BX_LOOP_H

#include <grpc/grpc.h>
#include <math.h>
#include <stddef.h>

#include "error.h"
#include "op.h"

typedef struct bx_io bx_io;

typedef struct bx_timer bx_timer;
struct bx_timer {
  double at;    /* monotonic seconds */
  size_t index; /* place in the heap + 1; 0: not running */
  void (*fire)(bx_timer *t);
};

#define BX_FOREVER INFINITY
#define BX_FAR 1e15 /* seconds: a later time has no place in the kernel's clocks */

/* Monotonic seconds, the clock of every time in this project. */
double bx_now(void);

/* A time of bx_now as gRPC wants it; BX_FOREVER is gRPC's infinity. */
gpr_timespec bx_timespec(double at);

/* NULL only when memory is out. The caller frees it with bx_loop_free. */
bx_loop *bx_loop_new(void);

/* Ends leases, closes open descriptors, ends io, shuts the queue down, drains it
** (tags fire with ok = false as their batches end) and frees it. What does not end
** within 10 s is left behind, with the loop's memory. */
void bx_loop_free(bx_loop *loop);

/* What may keep the queue from ending, embedded in its owner, which takes it
** off before its memory goes. bx_loop_free calls close for those still there.
** */
typedef struct bx_open bx_open;
struct bx_open {
  bx_open *prev, *next;
  void (*close)(bx_open *o);
};
void bx_open_add(bx_loop *loop, bx_open *o);
void bx_open_remove(bx_loop *loop, bx_open *o);

/* The queue, made now if need be; NULL and e filled when gRPC can't start. */
grpc_completion_queue *bx_loop_queue(bx_loop *loop, bx_error *e);

/* Starts a batch of one operation. When it completes at once, a poll fires its
** tag before it looks into the queue, which costs locks and, once it is empty, a
** system call. */
grpc_call_error bx_loop_start(bx_loop *loop, grpc_call *call,
                              const grpc_op *op, bx_tag *tag);

/* Waits for one event of the queue or one timer and fires it, then whatever
** else is there already; returns at `until` at the latest, and at once when a
** waiter is ready. Never enters Lua. The first wait for a time starts the
** thread of bx_io. */
bx_class bx_loop_poll(bx_loop *loop, double until, bx_error *e);

/* The next ready waiter, taken off the list; NULL: none. */
bx_waiter *bx_loop_ready(bx_loop *loop);
bool bx_loop_has_ready(const bx_loop *loop);

/* While held, has_ready says no and a poll waits for events alone: for a caller
** that cannot run a waiter. Holds count. */
void bx_loop_hold(bx_loop *loop, bool hold);

/* Starts t, or moves it when it runs already. Firing stops it.
** False when memory is out (t then does not run). */
bool bx_timer_start(bx_loop *loop, bx_timer *t, double at);
void bx_timer_stop(bx_loop *loop, bx_timer *t);

/* A descriptor for a host's event loop, readable while the loop has something to
** do; from the first call on a thread waits in the queue. -1 and e filled on
** failure. */
int bx_loop_pollfd(bx_loop *loop, bx_error *e);

/* Around all that polls and runs ready waiters: the descriptor says at the end
** of the outermost turn whether work is left. */
void bx_loop_begin_turn(bx_loop *loop);
void bx_loop_end_turn(bx_loop *loop);

/* Seconds until a waiter is ready or a timer is due; BX_FOREVER when only a
** completion can bring something to do. */
double bx_loop_timeout(const bx_loop *loop);

/* A waiter became ready: outside a turn the descriptor becomes readable. */
void bx_loop_notice(bx_loop *loop);

/* The loop's io, started at the first use. NULL and e filled on failure. */
bx_io *bx_loop_io(bx_loop *loop, bx_error *e);

#endif
