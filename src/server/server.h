/*
** server: gRPC calls that come in, on the loop's own queue. Handlers are
** generic: a call is taken from the server and answered by its taker.
**
** Both are reference-counted. The owner of the server holds one, every call
** another; a call is held by its taker and by each batch under way, so that
** a call whose owner is gone ends by itself.
**
** Life: bx_server_new, ports (bx_server_listen, or sockets that a bx_port
** gives with bx_server_adopt), bx_server_take whenever `accepted` is set, and
** bx_server_stop before the loop is freed.
*/
#ifndef BX_SERVER_H
#define BX_SERVER_H

#include <grpc/grpc.h>

#include "../core/error.h"
#include "../core/loop.h"
#include "../core/op.h"
#include "peers.h"

#define BX_SERVER_BACKLOG 4096  /* calls not taken yet; more are refused */
#define BX_STRANGER_BYTES (64 << 10)

typedef struct bx_server_call bx_server_call;

typedef struct bx_server {
  unsigned refs;
  bx_loop *loop;
  grpc_server *server;       /* NULL once stopped */
  bool started, stopping, down;
  unsigned batches;          /* under way, of all calls */
  bx_tag request_tag, down_tag;
  bx_timer again;            /* runs as long as the server: to ask again */
  bx_server_call *incoming;  /* what the outstanding request writes to */
  grpc_call_details details;
  bx_peers peers;            /* of adopted sockets */
  struct bx_strangers *strangers; /* NULL: any connection may stay */

  bx_event accepted;         /* a call can be taken, or the server stopped */
  bx_server_call *first, *last; /* calls not taken yet */
  unsigned waiting;
} bx_server;

struct bx_server_call {
  unsigned refs;
  bx_server *server;
  bx_server_call *next;  /* among those not taken yet */
  grpc_call *call;
  char *method;          /* "/boxd.api.v1.BoxdApi/Exec" */
  char peer[BX_PEER_MAX];
  uint64_t connection;   /* of `peers`, or 0 */
  double deadline;       /* a time of bx_now, or BX_FOREVER */
  grpc_metadata_array metadata;
  bx_tag recv_tag, send_tag, close_tag, status_tag;
  bool sending, receiving, headers_sent;
  bool finishing;        /* a status was given; it goes after messages */
  int client_gone;       /* gRPC writes it */

  bx_event received;
  grpc_byte_buffer *message; /* NULL after `received`: there are no more, */
  bool torn;                 /* for the call was cancelled, not half-closed */
  bx_event sent;             /* nothing is being sent: the next may go */
  bool send_ok;              /* the last message went out */
  grpc_byte_buffer *reply;   /* being sent */

  bx_event cancelled; /* by the client, its death or the deadline */
  bx_event ended;     /* nothing more will come or go, whyever */
  void (*on_cancel)(bx_server_call *c); /* before cancelled is set, or NULL */
  void *owner;                          /* for the hook */

  grpc_status_code status;
  grpc_slice details;
  grpc_metadata *trailing;
  size_t trailing_count;
};

/* A trailing metadata pair; bytes for names that end in "-bin". */
typedef struct bx_server_pair {
  const char *name, *value;
  size_t len;
} bx_server_pair;

/* NULL and e filled on failure. */
bx_server *bx_server_new(bx_loop *loop, bx_error *e);

/* A gRPC port of its own (no HTTP/1.1), plaintext, or TLS when a certificate
** chain and key (PEM texts) are given. address: "127.0.0.1:0", "[::1]:0".
** Before bx_server_start only. */
bx_class bx_server_listen(bx_server *s, const char *address, const char *cert,
                          const char *key, int *port, bx_error *e);

/* Begins to accept calls. Idempotent. */
void bx_server_start(bx_server *s);

/* From now on an adopted connection must show a token: until
** bx_server_call_admit was called for one of its calls it is bounded, as
** stranger.h has it. seconds: how long it may be without a call. False: no
** memory. */
bool bx_server_bound_strangers(bx_server *s, double seconds);

/* Gives a connected, non-blocking socket to the server, which must be started;
** peer is the peer's address of its calls. The caller closes it on failure. */
bx_class bx_server_adopt(bx_server *s, int fd, const char *peer, bx_error *e);

/* The next call, of which the caller becomes the owner; NULL when there is
** none. Resets `accepted` with the last, unless the server has stopped. */
bx_server_call *bx_server_take(bx_server *s);

/* Cancels every call, closes every connection and waits for it, pumping the
** loop. Owners keep their (cancelled) calls. Idempotent. */
void bx_server_stop(bx_server *s);

/* Stops it first if need be. */
void bx_server_unref(bx_server *s);

/* The first value of that request header (lower case). Valid until the call
** has ended and was finished; there is none then. */
bool bx_server_call_metadata(const bx_server_call *c, const char *name,
                             const char **value, size_t *len);

/* The call has shown a token: its connection is bounded no longer. */
void bx_server_call_admit(bx_server_call *c);

/* Asks for the next message. Resets `received`; not while `receiving`. On a
** connection that must show a token, a message beyond BX_STRANGER_BYTES ends
** the call with RESOURCE_EXHAUSTED. */
void bx_server_call_recv(bx_server_call *c);

/* Takes the message. Resets `sent`; not while `sending`, not after finish. */
void bx_server_call_send(bx_server_call *c, grpc_byte_buffer *message);

/* Ends the call with that status once pending messages have gone. details:
** bytes, copied like the n trailing pairs. The first finish counts. */
void bx_server_call_finish(bx_server_call *c, grpc_status_code status,
                           const char *details, size_t len,
                           const bx_server_pair *trailing, size_t n);

/* Ends the call with that status at once, whatever is under way: to its owner
** as if the client had left, `cancelled` set. */
void bx_server_call_cancel(bx_server_call *c, grpc_status_code status,
                           const char *details);

/* Breaks the client's connection, with all calls on it: for tests of clients.
** False: it was not adopted, or has gone already. */
bool bx_server_call_abort(bx_server_call *c);

/* An unfinished call ends with INTERNAL. Idempotent. */
void bx_server_call_close(bx_server_call *c);

/* The owner's goodbye, closing it first. */
void bx_server_call_release(bx_server_call *c);

#endif
