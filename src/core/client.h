/*
** client: the whole client of the service: credentials, one channel, one source
** of tokens, and any RPC of the contract by its row (rpc.h). A program that
** links src/core, the generated contract (boxd.pb-c.h) and gRPC needs nothing
** else.
**
** All of it belongs to one thread, the loop's. A client is made without
** touching the network or gRPC; both start with the first call. Times are
** seconds of bx_now(): a deadline is bx_now() + 30, or BX_FOREVER.
**
** A call handle (bx_call, see call.h) is the caller's reference: bx_call_unref
** gives it up, bx_call_cancel ends the call. Waiting for it is the caller's
** choice: its events in a loop of one's own, or the functions below that pump
** the loop until it is over.
*/
#ifndef BX_CLIENT_H
#define BX_CLIENT_H

#include <protobuf-c/protobuf-c.h>

#include "call.h"
#include "credentials.h"
#include "rpc.h"

#define BX_CLIENT_CLOSED \
  "this Compute is closed: make a new one, and get its objects from it"

typedef struct bx_client bx_client;

/* The caller frees it with bx_client_free, before the loop. Copies the
** configuration. NULL and e filled: BX_AUTHENTICATION (no credentials, or such
** as can't be any), BX_INVALID_ARGUMENT (an address), BX_BOXD. */
bx_client *bx_client_new(bx_loop *loop, const bx_client_config *config,
                         bx_error *e);

/* Cancels its calls, each of which ends with CANCELLED, and refuses new ones,
** but for those that last. Idempotent. */
void bx_client_close(bx_client *c);
bool bx_client_is_open(const bx_client *c);

/* Closes and frees it; NULL is fine. Handles of its calls stay valid. */
void bx_client_free(bx_client *c);

/* Another of the same service and credentials for another loop, whose thread has
** it from here on and frees it. Touches nothing of that loop. NULL: no memory. */
bx_client *bx_client_twin(const bx_client *c, bx_loop *loop);

/* Would a twin of c be like this one, which is a twin too? */
bool bx_client_is_twin(const bx_client *twin, const bx_client *c);

/* "host:port" of the service and whether it is reached by TLS, as far as known:
** in a boxd machine the first call may find another. Valid until then. */
const char *bx_client_target(const bx_client *c, bool *tls);

/* ---- calls ---- */

/* A call that has not begun: its owner may set its hooks, and starts it with
** bx_call_unary or bx_call_start. lasting: a client that is closed neither
** refuses nor ends it. NULL and e filled: BX_CANCELLED (the client is closed),
** BX_INVALID_ARGUMENT (the ca_file), BX_BOXD. */
bx_call *bx_client_prepare(bx_client *c, const bx_rpc *rpc, double deadline,
                           bool lasting, bx_error *e);

/* Starts one with its request; for an RPC that takes a stream of them that is
** the first, or NULL for none yet. The message stays the caller's. NULL and e
** filled: as above, or as bx_message_pack_checked. How the call itself ends is
** in the handle: its event `finished`, its `error`. */
bx_call *bx_client_call(bx_client *c, const bx_rpc *rpc,
                        const ProtobufCMessage *message, double deadline,
                        bx_error *e);

/* ---- waiting by pumping the loop; each returns e's class ---- */

/* Until the call is over: BX_OK, or what ended it. */
bx_class bx_client_wait(bx_call *call, bx_error *e);

/* A unary call from its start to its reply, which the caller frees with
** protobuf_c_message_free_unpacked(reply, NULL). */
bx_class bx_client_ask(bx_client *c, const bx_rpc *rpc,
                       const ProtobufCMessage *request, double deadline,
                       ProtobufCMessage **reply, bx_error *e);

/* The next message of a stream, freed likewise; *message NULL: it has ended
** well. `rpc` is the call's. */
bx_class bx_client_receive(bx_call *call, const bx_rpc *rpc,
                           ProtobufCMessage **message, bx_error *e);

/* Sends the next message of a stream (NULL: only ends our side), once there is
** room for it; half_close: it is the last. */
bx_class bx_client_send(bx_call *call, const ProtobufCMessage *message,
                        bool half_close, bx_error *e);

#endif
