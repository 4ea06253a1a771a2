/*
** forward: a relay joins two connected sockets, copying both ways on the loop
** until both sides have ended: it makes a port of this machine lead into a box.
**
** It is embedded in its owner, zeroed before it is started. The owner closes it;
** that is idempotent. All functions are for the loop's thread.
*/
#ifndef BX_FORWARD_H
#define BX_FORWARD_H

#include <stdbool.h>
#include <stdint.h>

#include "../../core/io.h"

/* One of a relay's two sockets, and the bytes read from it that wait for the
** other to take it. */
typedef struct bx_relay_side {
  bx_watch watch;
  char *held; /* NULL: nothing waits */
  size_t at, len;
  bool ended; /* it sends no more, and the other side knows */
} bx_relay_side;

typedef struct bx_relay {
  bx_loop *loop; /* NULL: never started */
  bx_relay_side side[2];
  bool for_first; /* the first side's end ends both, at once */
  bx_event done; /* both have ended, or one has failed: all is closed */
} bx_relay;

/* Owns both descriptors from here on, also on failure. */
bx_class bx_relay_start(bx_relay *r, bx_loop *loop, int a, int b, bx_error *e);

void bx_relay_close(bx_relay *r);

#endif
