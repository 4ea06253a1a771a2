/*
** relay: for a loop that lives inside another program's. It has a descriptor
** that is readable while the loop has something to do (a completion, a timer
** that is due, a ready waiter), and a thread that waits in gRPC's queue while
** the loop does not.
**
** One of the two has the queue at a time. The thread has it while the loop
** rests: it waits for one completion, hands it over with the queue, and rests
** itself. The loop then takes completions straight out of the queue, at the
** speed that it has without a host, until there is nothing more to do.
*/
#ifndef BX_RELAY_H
#define BX_RELAY_H

#include <grpc/grpc.h>

#include "error.h"
#include "op.h"

typedef struct bx_relay bx_relay;

/* The thread has the queue at first. NULL and e filled on failure. */
bx_relay *bx_relay_new(grpc_completion_queue *queue, bx_error *e);

/* Ends the thread; the queue is the caller's. May fire completions. */
void bx_relay_free(bx_relay *r);

/* The descriptor for the host to watch for reading: level-triggered. */
int bx_relay_fd(const bx_relay *r);

/* Does the loop have the queue? Waits for it until a time of bx_now. */
bool bx_relay_get(bx_relay *r, double until);

/* The completion that came with it, once, or NULL. The loop has the queue. */
bx_tag *bx_relay_take(bx_relay *r, bool *ok);

/* The descriptor becomes readable, for events that it does not see itself. */
void bx_relay_nudge(bx_relay *r);

/* The loop rests: readable from here on while there is `more` to do, once a
** completion comes, and from the time `at` on (BX_FOREVER: never). */
void bx_relay_rest(bx_relay *r, double at, bool more);

/* Changes that time alone. */
void bx_relay_alarm(bx_relay *r, double at);

#endif
