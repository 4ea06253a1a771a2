/*
** wake: a tag that any thread can send through a queue, to wake the thread that
** waits in it. Embedded in its owner, which sets tag.fire.
*/
#ifndef BX_WAKE_H
#define BX_WAKE_H

#include <grpc/grpc.h>

#include "op.h"

typedef struct bx_wake {
  bx_tag tag;
  grpc_channel *lame;
  grpc_call *call; /* leads nowhere */
} bx_wake;

/* False: gRPC can't. Its owner closes it all the same. */
bool bx_wake_open(bx_wake *w, grpc_completion_queue *queue);

/* The tag comes out of the queue, once for each sending. */
void bx_wake_send(bx_wake *w);

/* No sending is under way. Zeroed: does nothing. */
void bx_wake_close(bx_wake *w);

#endif
