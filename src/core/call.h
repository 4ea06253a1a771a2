/*
** call: one RPC. Reference-counted: the owner holds one, every batch under way
** another, so a call whose owner is gone is cancelled and ends by itself.
**
** Life: bx_call_new, then bx_call_unary or bx_call_start. The token is fetched
** first (auth), the deadline covers that as well. `finished` is set exactly
** once for every started call, also after a cancellation; then `error` says how
** it ended (class BX_OK: status OK) and, for a unary call, `reply` is there.
** A call whose bearer is refused (UNAUTHENTICATED) is repeated once with a new
** one; a stream only while nothing but its first message was sent and nothing
** was received; never with a token given as such. The owner sees one call.
** A stream has one message in flight each way: bx_call_send while `sending`, or
** bx_call_recv while `receiving`, is the caller's mistake (asserted).
*/
#ifndef BX_CALL_H
#define BX_CALL_H

#include <grpc/grpc.h>

#include "auth.h"
#include "channel.h"
#include "error.h"
#include "http.h"
#include "op.h"

struct bx_call {
  unsigned refs;
  bx_channel *channel;
  bx_call *prev, *next; /* in channel->calls */
  bx_auth *auth;        /* NULL once it is over */
  const char *method;   /* "/boxd.api.v1.BoxdApi/GetVm"; must outlive it */
  grpc_call *call;      /* NULL until the token is there */
  bx_http *asking;      /* it has failed, and asks why */
  double began, deadline; /* times of bx_now */
  bx_timer timer;       /* without a gRPC call: the deadline, or the next try */
  unsigned retries;     /* how often a unary call may be tried again when the
                           server is unavailable: the owner sets it */
  unsigned tries;
  unsigned batches;     /* under way in gRPC */
  bool renewable;       /* may be repeated should its bearer be refused, */
  bool renewing;        /* ... and is as soon as no batch is under way */
  bool renewed;         /* ... and was */
  bool owing;           /* a receive that ended: the status says how */
  bx_auth_wait wait;
  bx_tag start_tag, status_tag, send_tag, recv_tag;
  bool streaming, started, closing; /* closing: half-close asked for */
  bool lasting; /* closing the channel neither ends nor refuses it: the owner
                   sets it before the call starts */
  bool sending, receiving;
  bool untraced; /* on another thread than the trace's: the owner sets it */

  bx_event finished;
  bx_error error;
  grpc_byte_buffer *reply;

  bx_event sent;              /* nothing is being sent: the next may go */
  bx_event received;          /* the message asked for is in `message` */
  grpc_byte_buffer *message;  /* NULL after `received`: the stream is over */
  void (*on_receive)(bx_call *c); /* before received is set, or NULL */
  void (*on_send)(bx_call *c);    /* before sent is set, or NULL */
  void (*on_finish)(bx_call *c);  /* before finished is set, or NULL */
  void *owner;                    /* for the hooks; NULL once released */

  struct {
    uint64_t id; /* 0: not observed */
    double began;
    uint64_t sent, received; /* bytes of messages */
  } seen; /* kept by observe.h's hooks */

  grpc_byte_buffer *request;
  grpc_byte_buffer *again; /* the request, while the call may be repeated */
  grpc_metadata metadata;
  grpc_metadata_array initial, trailing;
  grpc_status_code status;
  grpc_slice details;
  grpc_slice bearer;
};

/* deadline: a time of bx_now, or BX_FOREVER. */
bx_call *bx_call_new(bx_channel *ch, bx_auth *auth, const char *method,
                     double deadline);
bx_call *bx_call_ref(bx_call *c);
void bx_call_unref(bx_call *c);

/* One request, one reply. Takes the request. */
void bx_call_unary(bx_call *c, grpc_byte_buffer *request);

/* A stream. A first request (taken; may be NULL) goes out with the headers,
** and is the only one when half_close. */
void bx_call_start(bx_call *c, grpc_byte_buffer *request, bool half_close);

/* Takes the message (NULL: only half-close). Resets `sent`. May be called from
** on_send: the next one follows at once. */
void bx_call_send(bx_call *c, grpc_byte_buffer *message, bool half_close);

/* Asks for the next message. Resets `received`. */
void bx_call_recv(bx_call *c);

/* Ends it: `finished` comes with CANCELLED and this message (static text)
** unless it had ended. Idempotent. */
void bx_call_cancel(bx_call *c, const char *why);

#endif
