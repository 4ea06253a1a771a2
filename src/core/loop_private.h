/*
** loop_private: the loop's own fields, for loop.c, op.c, curl.c, auth.c and
** lease.c only.
*/
#ifndef BX_LOOP_PRIVATE_H
#define BX_LOOP_PRIVATE_H

#include "loop.h"

typedef struct bx_alarm bx_alarm;

struct bx_loop {
  grpc_completion_queue *queue;
  bx_io *io;
  struct bx_curl *curl; /* made at the first HTTP request */
  bx_alarm *alarm; /* made at the first use */
  struct bx_relay *relay; /* made when a host asks for the descriptor */
  unsigned turns;  /* under way, one inside the other */
  bool more;       /* the last poll may have left something in the queue */
  bx_tag *kept;    /* a completion that came as its batch was started, */
  bool kept_ok;    /* and its success */
  bx_open *open;
  struct bx_auth *auths; /* all there are, each owned by its clients */
  struct bx_leases *leases; /* that may take more; NULL: none */
  unsigned renewers; /* threads of leases; all but one are ending */
  bx_waiters ready;
  bool woken; /* an event that is waited for in place has been set */
  unsigned held;
  bx_timer **heap; /* binary heap by `at` */
  size_t timers, heap_cap;
};

#endif
