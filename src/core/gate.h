/*
** gate: a TCP port of this machine that takes connections.
**
** It is embedded in its owner, zeroed before it is opened. The owner closes it;
** that is idempotent. All functions are for the loop's thread.
*/
#ifndef BX_GATE_H
#define BX_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "io.h"

typedef struct bx_gate {
  bx_loop *loop; /* NULL: never opened */
  bx_watch watch;
  bx_timer retry;
  bx_event knocked; /* a client may be there, or the gate is closed */
  uint16_t port;
  bool closed;
} bx_gate;

/* Listens on the address, in numbers of IPv4 or IPv6; port 0 takes any that is
** free. */
bx_class bx_gate_open(bx_gate *g, bx_loop *loop, const char *host,
                      uint16_t port, bx_error *e);

/* A connection, the caller's; -1: none now, wait for `knocked`. */
int bx_gate_accept(bx_gate *g);

void bx_gate_close(bx_gate *g);

#endif
