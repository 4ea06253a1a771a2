/*
** channel: the connections to one endpoint, shared by the calls made on it: one
** for unary calls, one for streams, so that their bulk keeps no call waiting;
** each connected when first used. Reference-counted: the Compute holds one,
** every call another.
*/
#ifndef BX_CHANNEL_H
#define BX_CHANNEL_H

#include <grpc/grpc.h>

#include "error.h"
#include "loop.h"

typedef struct bx_call bx_call;

typedef struct bx_channel_config {
  const char *target;         /* "host:port" */
  bool tls;
  const char *ca_file;        /* PEM roots instead of the system's, or NULL */
  double keepalive;           /* seconds between pings, and for an answer to
                                 one (1 to 20); 0: none */
  bool later;                 /* bx_channel_connect may set another target */
} bx_channel_config;

#define BX_MESSAGE_BYTES_MAX (64 << 20) /* a message either way */

typedef struct bx_channel {
  unsigned refs;
  bx_loop *loop;
  bx_open open;
  grpc_channel *channel, *streams; /* NULL once closed, and while `later` */
  bool tls;
  char *target, *ca_file; /* ca_file may be NULL */
  double keepalive;
  bx_call *calls;         /* those under way */
  bool closed;
} bx_channel;

/* Does not touch the network. NULL and e filled on failure (a ca_file that
** can't be read, gRPC that can't start). */
bx_channel *bx_channel_new(bx_loop *loop, const bx_channel_config *config,
                           bx_error *e);
void bx_channel_unref(bx_channel *ch);

/* Makes missing parts: for the endpoint that a machine's gateway named (url),
** or as configured (NULL). Touches no network. */
bx_class bx_channel_connect(bx_channel *ch, const char *url, bx_error *e);

/* Cancels every call under way (each ends with CANCELLED) and refuses new
** ones, but for those that last. Idempotent. */
void bx_channel_close(bx_channel *ch);

/* A call has ended: the last one of a closed channel takes its connections
** with it. */
void bx_channel_settle(bx_channel *ch);

#endif
