/*
** stranger: connections that gRPC has and on which no token has been shown.
** They are bounded: in number (for one more, the one that has been silent
** longest ends), in the time without a call, and in what a request may weigh. A
** connection is one of them from its adoption until bx_strangers_admit.
**
** Each holds a duplicate of the connection's socket, since gRPC closes its own
** whenever it likes: only so can one be ended without hitting another.
*/
#ifndef BX_STRANGER_H
#define BX_STRANGER_H

#include "../core/io.h"
#include "server.h"

#define BX_STRANGERS_MAX 256 /* and an eighth of the process's descriptors */

typedef struct bx_strangers bx_strangers;

/* seconds: without a call. NULL: no memory. */
bx_strangers *bx_strangers_new(bx_loop *loop, double seconds);
void bx_strangers_free(bx_strangers *all); /* NULL is allowed */

/* False, with errno: it can't be watched, and must not be adopted. */
bool bx_strangers_add(bx_strangers *all, int fd, uint64_t connection);

/* A call came by that connection, a number of peers.h. */
void bx_strangers_called(bx_strangers *all, uint64_t connection);

/* A token was shown: the connection is not one of them any more. */
void bx_strangers_admit(bx_strangers *all, uint64_t connection);

/* Calls over(c) once more than `bytes` have come by c's connection, if it is a
** stranger's, until bx_strangers_unbind. One call of a connection at a time:
** the next takes the place. */
void bx_strangers_bind(bx_strangers *all, bx_server_call *c, size_t bytes,
                       void (*over)(bx_server_call *c));
void bx_strangers_unbind(bx_strangers *all, const bx_server_call *c);

#endif
