/*
** lease: a box that the service deletes some time after this process was last
** alive. A thread moves that time on (SetDeleteAfter) at every third of the
** lease, whatever the process's other threads do. It has a loop and connections
** of its own, and the clients' tokens (see token.h), so that it makes no
** exchange of its own while they have one; a loop's leases share one, which
** ends with the last of them. A process that is forked renews nothing.
**
** A renewal that fails is tried again until the lease is over. A box that
** is gone (NOT_FOUND) ends it.
*/
#ifndef BX_LEASE_H
#define BX_LEASE_H

#include "client.h"

typedef struct bx_lease bx_lease;

/* The client's box of that id has just been given `seconds`, which are renewed
** from here on, also once the client is closed. The caller owns the lease. NULL
** and e filled: BX_BOXD. */
bx_lease *bx_lease_start(bx_loop *loop, const bx_client *c, const char *box,
                         unsigned seconds, bx_error *e);

/* Begins no more renewals; true once none is under way either, which may last
** 20 s. Idempotent. */
bool bx_lease_end(bx_lease *l);

/* Did it end because it could not be renewed? Then e is the last failure. */
bool bx_lease_failed(const bx_lease *l, bx_error *e);

/* Ends it, too; NULL is fine. */
void bx_lease_free(bx_lease *l);

/* For bx_loop_free: ends all, and their threads. False: one has not ended within
** 10 s, as where the file of certificates that it reads is on a server that is
** gone. It goes on, and uses the loop's queue. */
bool bx_leases_end(bx_loop *loop);

#endif
