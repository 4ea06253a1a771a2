#include <assert.h>
#include <grpc/byte_buffer.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/grpc_compat.h"
#include "../core/runtime.h"
#include "server_private.h"
#include "stranger.h"

#define OWNER(type, member, pointer) \
  ((type *)((char *)(pointer) - offsetof(type, member)))

static void on_received(bx_tag *tag, bool ok);
static void on_sent(bx_tag *tag, bool ok);
static void on_closed(bx_tag *tag, bool ok);
static void on_status(bx_tag *tag, bool ok);

bx_server_call *bx_server_call_new(bx_server *s) {
  bx_server_call *c = calloc(1, sizeof *c);
  if (!c) return NULL;
  c->refs = 1;
  c->server = s;
  s->refs++;
  c->sent.set = c->send_ok = true;
  c->details = grpc_empty_slice();
  c->recv_tag.fire = on_received;
  c->send_tag.fire = on_sent;
  c->close_tag.fire = on_closed;
  c->status_tag.fire = on_status;
  grpc_metadata_array_init(&c->metadata);
  return c;
}

static void free_trailing(bx_server_call *c) {
  for (size_t i = 0; i < c->trailing_count; i++) {
    grpc_slice_unref(c->trailing[i].key);
    grpc_slice_unref(c->trailing[i].value);
  }
  free(c->trailing);
  c->trailing = NULL;
  c->trailing_count = 0;
}

/* What gRPC has of the call, most of its memory. */
static void free_grpc_part(bx_server_call *c) {
  grpc_metadata_array_destroy(&c->metadata); /* its slices are the call's */
  grpc_metadata_array_init(&c->metadata);
  free_trailing(c);
  if (c->call) grpc_call_unref(c->call);
  c->call = NULL;
}

void bx_server_call_unref(bx_server_call *c) {
  bx_error e;
  if (--c->refs > 0) return;
  if (bx_runtime_check(&e) != BX_OK) return; /* a fork: gRPC's memory stays */
  free_grpc_part(c);
  if (c->message) grpc_byte_buffer_destroy(c->message);
  if (c->reply) grpc_byte_buffer_destroy(c->reply);
  grpc_slice_unref(c->details);
  free(c->method);
  bx_server_drop(c->server);
  free(c);
}

/* A call that is over keeps little of itself for its owner. */
static void batch_done(bx_server_call *c) {
  c->server->batches--;
  if (c->refs == 2 && c->ended.set && c->finishing) free_grpc_part(c);
  bx_server_call_unref(c);
}

/* False: gRPC refused it, and the batch never completes. */
static bool batch(bx_server_call *c, const grpc_op *ops, size_t n,
                  bx_tag *tag) {
  if (!c->call || c->server->down ||
      grpc_call_start_batch(c->call, ops, n, tag, NULL))
    return false;
  c->refs++;
  c->server->batches++;
  return true;
}

static void find_peer(bx_server_call *c) {
  char *told = grpc_call_get_peer(c->call);
  const bx_server *s = c->server;
  c->connection = bx_peers_find(&s->peers, told, c->peer);
  if (s->strangers) bx_strangers_called(s->strangers, c->connection);
  gpr_free(told);
}

static double from_timespec(gpr_timespec ts) {
  ts = gpr_convert_clock_type(ts, GPR_CLOCK_MONOTONIC);
  if (gpr_time_cmp(ts, gpr_inf_future(GPR_CLOCK_MONOTONIC)) == 0)
    return BX_FOREVER;
  return (double)(ts.tv_sec - bx_grpc_clock_ahead()) + ts.tv_nsec * 1e-9;
}

/* The client's end is watched from here on, whatever else the call does. */
static bool watch_close(bx_server_call *c) {
  grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
  op.data.recv_close_on_server.cancelled = &c->client_gone;
  return batch(c, &op, 1, &c->close_tag);
}

bool bx_server_call_begin(bx_server_call *c,
                          const grpc_call_details *details) {
  c->deadline = from_timespec(details->deadline);
  find_peer(c);
  bool watched = watch_close(c);
  size_t len = GRPC_SLICE_LENGTH(details->method);
  c->method = malloc(len + 1);
  if (!c->method) return false;
  memcpy(c->method, GRPC_SLICE_START_PTR(details->method), len);
  c->method[len] = '\0';
  return watched;
}

bool bx_server_call_metadata(const bx_server_call *c, const char *name,
                             const char **value, size_t *len) {
  for (size_t i = 0; i < c->metadata.count; i++) {
    const grpc_metadata *md = &c->metadata.metadata[i];
    if (grpc_slice_str_cmp(md->key, name) != 0) continue;
    *value = (const char *)GRPC_SLICE_START_PTR(md->value);
    *len = GRPC_SLICE_LENGTH(md->value);
    return true;
  }
  return false;
}

void bx_server_call_admit(bx_server_call *c) {
  if (c->server->strangers) bx_strangers_admit(c->server->strangers, c->connection);
}

/* What surrounds a message: frames, and the headers of the next calls. */
#define SLACK (32 << 10)

static void refuse_weight(bx_server_call *c) {
  bx_server_call_cancel(c, GRPC_STATUS_RESOURCE_EXHAUSTED,
                        "a request without a token is 64 KiB at most");
}

void bx_server_call_recv(bx_server_call *c) {
  assert(!c->receiving);
  if (c->message) grpc_byte_buffer_destroy(c->message);
  c->message = NULL;
  grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
  op.data.recv_message.recv_message = &c->message;
  c->receiving = batch(c, &op, 1, &c->recv_tag);
  if (c->receiving && c->server->strangers)
    bx_strangers_bind(c->server->strangers, c, BX_STRANGER_BYTES + SLACK,
                      refuse_weight);
  if (c->receiving)
    bx_event_reset(&c->received);
  else
    bx_event_set(c->server->loop, &c->received);
}

static void on_received(bx_tag *tag, bool ok) {
  bx_server_call *c = OWNER(bx_server_call, recv_tag, tag);
  (void)ok; /* no news: a half-close and an end are alike to it */
  c->receiving = false;
  if (c->server->strangers) bx_strangers_unbind(c->server->strangers, c);
  c->torn = !c->message && grpc_call_failed_before_recv_message(c->call);
  bx_event_set(c->server->loop, &c->received);
  batch_done(c);
}

static size_t add_headers(bx_server_call *c, grpc_op *ops) {
  if (c->headers_sent) return 0;
  c->headers_sent = true;
  ops[0] = (grpc_op){.op = GRPC_OP_SEND_INITIAL_METADATA};
  return 1;
}

void bx_server_call_send(bx_server_call *c, grpc_byte_buffer *message) {
  assert(!c->sending && !c->finishing);
  grpc_op ops[2];
  size_t n = add_headers(c, ops);
  ops[n] = (grpc_op){.op = GRPC_OP_SEND_MESSAGE};
  ops[n++].data.send_message.send_message = message;
  c->sending = batch(c, ops, n, &c->send_tag);
  if (c->sending) {
    c->reply = message;
    bx_event_reset(&c->sent);
  } else {
    grpc_byte_buffer_destroy(message);
    c->send_ok = false;
  }
}

static void start_status(bx_server_call *c) {
  grpc_op ops[2];
  size_t n = add_headers(c, ops);
  ops[n] = (grpc_op){.op = GRPC_OP_SEND_STATUS_FROM_SERVER};
  ops[n].data.send_status_from_server.status = c->status;
  ops[n].data.send_status_from_server.status_details = &c->details;
  ops[n].data.send_status_from_server.trailing_metadata = c->trailing;
  ops[n++].data.send_status_from_server.trailing_metadata_count =
      c->trailing_count;
  /* Refused: a trailing name that can't be sent, or a server that is down. */
  if (!batch(c, ops, n, &c->status_tag) && c->call)
    grpc_call_cancel_with_status(c->call, GRPC_STATUS_INTERNAL,
                                 "gRPC refused the status", NULL);
}

static void on_sent(bx_tag *tag, bool ok) {
  bx_server_call *c = OWNER(bx_server_call, send_tag, tag);
  c->sending = false;
  c->send_ok = ok;
  grpc_byte_buffer_destroy(c->reply);
  c->reply = NULL;
  bx_event_set(c->server->loop, &c->sent);
  if (c->finishing) start_status(c);
  batch_done(c);
}

static void copy_trailing(bx_server_call *c, const bx_server_pair *pairs,
                          size_t n) {
  c->trailing = n ? calloc(n, sizeof *c->trailing) : NULL;
  if (!c->trailing) return; /* without memory the status goes alone */
  c->trailing_count = n;
  for (size_t i = 0; i < n; i++) {
    c->trailing[i].key = grpc_slice_from_copied_string(pairs[i].name);
    c->trailing[i].value =
        grpc_slice_from_copied_buffer(pairs[i].value, pairs[i].len);
  }
}

void bx_server_call_finish(bx_server_call *c, grpc_status_code status,
                           const char *details, size_t len,
                           const bx_server_pair *trailing, size_t n) {
  if (c->finishing) return;
  c->finishing = true;
  c->status = status;
  c->details = grpc_slice_from_copied_buffer(details, len);
  copy_trailing(c, trailing, n);
  if (!c->sending) start_status(c);
}

static void on_status(bx_tag *tag, bool ok) {
  (void)ok; /* the client is gone then: see `cancelled` */
  batch_done(OWNER(bx_server_call, status_tag, tag));
}

static void on_closed(bx_tag *tag, bool ok) {
  bx_server_call *c = OWNER(bx_server_call, close_tag, tag);
  bx_loop *loop = c->server->loop;
  if (!ok || c->client_gone) {
    if (c->on_cancel) c->on_cancel(c);
    bx_event_set(loop, &c->cancelled);
  }
  bx_event_set(loop, &c->ended);
  batch_done(c);
}

void bx_server_call_cancel(bx_server_call *c, grpc_status_code status,
                           const char *details) {
  if (c->call) grpc_call_cancel_with_status(c->call, status, details, NULL);
}

bool bx_server_call_abort(bx_server_call *c) {
  return bx_peers_break(&c->server->peers, c->connection);
}

void bx_server_call_close(bx_server_call *c) {
  static const char why[] = "the handler ended without an answer";
  bx_error e;
  if (!c->finishing && bx_runtime_check(&e) == BX_OK)
    bx_server_call_finish(c, GRPC_STATUS_INTERNAL, why, sizeof why - 1, NULL,
                          0);
}

void bx_server_call_release(bx_server_call *c) {
  c->on_cancel = NULL;
  c->owner = NULL;
  bx_server_call_close(c);
  bx_server_call_unref(c);
}
