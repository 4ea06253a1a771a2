#include "client.h"

#include <assert.h>
#include <grpc/byte_buffer.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"

struct bx_client {
  bx_loop *loop;
  bx_channel *channel; /* NULL before the first call */
  bx_auth *auth;
  char *target, *ca_file; /* ca_file may be NULL */
  bool tls, follow;       /* follow: a machine's gateway may name the service */
  double keepalive;
  unsigned retries;
  bool closed;
};

static bx_class no_memory(bx_error *e) {
  return bx_error_set(e, BX_BOXD, "not enough memory");
}

static const char *present(const char *s) { return s && *s ? s : NULL; }

/* Everything but the credentials. */
static bx_class note(bx_client *c, const bx_client_config *config,
                     const bx_addresses *at, bx_error *e) {
  const char *ca_file = present(config->ca_file);
  c->tls = at->api.tls;
  c->keepalive = config->keepalive;
  c->retries = config->max_retries;
  c->target = strdup(at->api.target);
  if (ca_file) c->ca_file = strdup(ca_file);
  return c->target && (c->ca_file || !ca_file) ? BX_OK : no_memory(e);
}

static bx_class fill(bx_client *c, const bx_client_config *config,
                     bx_error *e) {
  bx_addresses at;
  bx_credentials with;
  if (bx_addresses_find(config, &at, e) ||
      bx_credentials_find(config, &with, e) || note(c, config, &at, e))
    return e->class_;
  c->follow = with.machine && !at.named;
  bx_auth_config auth = {.token = with.token,
                         .api_key = with.api_key,
                         .exchange_url = {at.exchange[0], at.exchange[1]},
                         .ca_file = c->ca_file,
                         .machine = with.machine,
                         .follow = c->follow};
  c->auth = bx_auth_open(c->loop, &auth, e);
  return c->auth ? BX_OK : e->class_;
}

bx_client *bx_client_new(bx_loop *loop, const bx_client_config *config,
                         bx_error *e) {
  bx_client *c = calloc(1, sizeof *c);
  if (!c) {
    no_memory(e);
    return NULL;
  }
  c->loop = loop;
  if (fill(c, config, e) == BX_OK) return c;
  bx_client_free(c);
  return NULL;
}

void bx_client_close(bx_client *c) {
  c->closed = true;
  if (c->channel) bx_channel_close(c->channel);
}

bool bx_client_is_open(const bx_client *c) { return !c->closed; }

void bx_client_free(bx_client *c) {
  if (!c) return;
  bx_client_close(c);
  bx_channel_unref(c->channel);
  bx_auth_unref(c->auth);
  free(c->target);
  free(c->ca_file);
  free(c);
}

const char *bx_client_target(const bx_client *c, bool *tls) {
  *tls = c->channel ? c->channel->tls : c->tls;
  return c->channel ? c->channel->target : c->target;
}

/* ---- twins ---- */

bx_client *bx_client_twin(const bx_client *c, bx_loop *loop) {
  bx_client *twin = calloc(1, sizeof *twin);
  if (!twin) return NULL;
  twin->loop = loop;
  twin->follow = c->follow;
  twin->keepalive = c->keepalive;
  twin->retries = c->retries;
  twin->auth = bx_auth_twin(c->auth, loop);
  twin->target = strdup(bx_client_target(c, &twin->tls));
  if (c->ca_file) twin->ca_file = strdup(c->ca_file);
  if (twin->auth && twin->target && (twin->ca_file || !c->ca_file)) return twin;
  bx_client_free(twin);
  return NULL;
}

/* The twin is another thread's: these fields of it never change. */
bool bx_client_is_twin(const bx_client *twin, const bx_client *c) {
  bool tls;
  const char *target = bx_client_target(c, &tls);
  return bx_auth_is_twin(twin->auth, c->auth) && twin->tls == tls &&
         twin->keepalive == c->keepalive &&
         strcmp(twin->target, target) == 0 &&
         (twin->ca_file && c->ca_file
              ? strcmp(twin->ca_file, c->ca_file) == 0
              : twin->ca_file == c->ca_file);
}

/* ---- calls ---- */

static bx_class connect(bx_client *c, bx_error *e) {
  bx_channel_config config = {.target = c->target,
                              .tls = c->tls,
                              .ca_file = c->ca_file,
                              .keepalive = c->keepalive,
                              .later = c->follow};
  if (!c->channel) c->channel = bx_channel_new(c->loop, &config, e);
  return c->channel ? BX_OK : e->class_;
}

bx_call *bx_client_prepare(bx_client *c, const bx_rpc *rpc, double deadline,
                           bool lasting, bx_error *e) {
  if (c->closed && !lasting) {
    bx_error_set(e, BX_CANCELLED, BX_CLIENT_CLOSED);
    return NULL;
  }
  if (connect(c, e)) return NULL;
  bx_call *call = bx_call_new(c->channel, c->auth, rpc->path, deadline);
  if (!call) {
    no_memory(e);
    return NULL;
  }
  call->lasting = lasting;
  if (rpc->reads) call->retries = c->retries;
  return call;
}

bx_call *bx_client_call(bx_client *c, const bx_rpc *rpc,
                        const ProtobufCMessage *message, double deadline,
                        bx_error *e) {
  bx_call *call = bx_client_prepare(c, rpc, deadline, false, e);
  if (!call) return NULL;
  grpc_byte_buffer *first =
      message ? bx_message_pack_checked(message, e) : NULL;
  if (message && !first) {
    bx_call_unref(call);
    return NULL;
  }
  if (rpc->kind == BX_UNARY)
    bx_call_unary(call, first);
  else
    bx_call_start(call, first, !(rpc->kind & BX_CLIENT));
  return call;
}

/* ---- waiting ---- */

/* Pumps the loop until the event is set; what else becomes ready is left to
** the loop's owner. */
static bx_class pump(bx_loop *loop, bx_event *event, bx_error *e) {
  bx_class c = BX_OK;
  event->blocked++;
  bx_loop_hold(loop, true);
  while (!event->set && !c) c = bx_loop_poll(loop, BX_FOREVER, e);
  bx_loop_hold(loop, false);
  event->blocked--;
  return c;
}

bx_class bx_client_wait(bx_call *call, bx_error *e) {
  bx_class c = pump(call->channel->loop, &call->finished, e);
  if (!c) *e = call->error;
  return e->class_;
}

bx_class bx_client_ask(bx_client *c, const bx_rpc *rpc,
                       const ProtobufCMessage *request, double deadline,
                       ProtobufCMessage **reply, bx_error *e) {
  assert(rpc->kind == BX_UNARY);
  *reply = NULL;
  bx_call *call = bx_client_call(c, rpc, request, deadline, e);
  if (!call) return e->class_;
  if (bx_client_wait(call, e) == BX_OK)
    *reply = bx_message_unpack(bx_rpc_reply(rpc), call->reply, e);
  bx_call_cancel(call, "waiting for the call failed");
  bx_call_unref(call);
  return *reply ? BX_OK : e->class_;
}

bx_class bx_client_receive(bx_call *call, const bx_rpc *rpc,
                           ProtobufCMessage **message, bx_error *e) {
  *message = NULL;
  if (!call->receiving) bx_call_recv(call);
  if (pump(call->channel->loop, &call->received, e)) return e->class_;
  if (!call->message) return bx_client_wait(call, e);
  *message = bx_message_unpack(bx_rpc_reply(rpc), call->message, e);
  return *message ? BX_OK : e->class_;
}

bx_class bx_client_send(bx_call *call, const ProtobufCMessage *message,
                        bool half_close, bx_error *e) {
  grpc_byte_buffer *packed = NULL;
  if (message && !(packed = bx_message_pack_checked(message, e)))
    return e->class_;
  if (pump(call->channel->loop, &call->sent, e)) {
    if (packed) grpc_byte_buffer_destroy(packed);
    return e->class_;
  }
  bx_call_send(call, packed, half_close);
  return BX_OK;
}
