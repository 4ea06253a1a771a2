/*
** forward: what makes a port of this machine lead into a box. A gate listens
** on a loopback port; a relay joins two connected sockets, copying both ways on
** the loop until both sides have ended. The owner of a gate and a relay makes
** the connection into the box in between.
**
** Both are embedded in their owner, zeroed before they are opened. The owner
** closes them; that is idempotent. All functions are for the loop's thread.
*/
#ifndef BX_FORWARD_H
#define BX_FORWARD_H

#include <stdbool.h>
#include <stdint.h>

#include "../../core/io.h"

typedef struct bx_gate {
  bx_loop *loop; /* NULL: never opened */
  bx_watch watch;
  bx_timer retry;
  bx_event knocked; /* a client may be there, or the gate is closed */
  uint16_t port;
  bool closed;
} bx_gate;

/* Listens on 127.0.0.1:port; 0 takes any that is free. */
bx_class bx_gate_open(bx_gate *g, bx_loop *loop, uint16_t port, bx_error *e);

/* A connection, the caller's; -1: none now, wait for `knocked`. */
int bx_gate_accept(bx_gate *g);

void bx_gate_close(bx_gate *g);

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
