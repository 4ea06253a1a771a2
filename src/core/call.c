#include "call.h"

#include <assert.h>
#include <grpc/byte_buffer.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "call_ops.h"
#include "observe.h"
#include "retry.h"
#include "runtime.h"
#include "tls_diagnosis.h"

#define OWNER(type, member, pointer) \
  ((type *)((char *)(pointer) - offsetof(type, member)))

static void on_started(bx_tag *tag, bool ok);
static void on_status(bx_tag *tag, bool ok);
static void on_sent(bx_tag *tag, bool ok);
static void on_received(bx_tag *tag, bool ok);
static void on_bearer(bx_auth_wait *w, const char *bearer, const bx_error *e);
static void on_deadline(bx_timer *t);
static void on_retry(bx_timer *t);

/* A call under observation (which is rare) reports its messages. */
static void observe_message(bx_call *c, bool sent, grpc_byte_buffer *message) {
  if (c->seen.id != 0 && message)
    bx_observe_message(c, sent, grpc_byte_buffer_length(message));
}

static void link_call(bx_call *c) {
  c->next = c->channel->calls;
  if (c->next) c->next->prev = c;
  c->channel->calls = c;
}

static void unlink_call(bx_call *c) {
  if (c->next) c->next->prev = c->prev;
  if (c->prev)
    c->prev->next = c->next;
  else
    c->channel->calls = c->next;
  c->prev = c->next = NULL;
  bx_channel_settle(c->channel);
}

bx_call *bx_call_new(bx_channel *ch, bx_auth *auth, const char *method,
                     double deadline) {
  bx_call *c = calloc(1, sizeof *c);
  if (!c) return NULL;
  c->refs = 1;
  c->channel = ch;
  ch->refs++;
  c->auth = bx_auth_ref(auth);
  c->renewable = bx_auth_renewable(auth);
  c->method = method;
  c->began = bx_now();
  c->deadline = deadline;
  c->wait.ready = on_bearer;
  c->start_tag.fire = on_started;
  c->status_tag.fire = on_status;
  c->send_tag.fire = on_sent;
  c->recv_tag.fire = on_received;
  c->details = c->bearer = grpc_empty_slice();
  c->sent.set = true;
  c->received.exclusive = c->sent.exclusive = true;
  grpc_metadata_array_init(&c->initial);
  grpc_metadata_array_init(&c->trailing);
  bx_error_clear(&c->error);
  return c;
}

bx_call *bx_call_ref(bx_call *c) {
  c->refs++;
  return c;
}

/* From here on the call can't be repeated. */
static void drop_again(bx_call *c) {
  if (c->again) grpc_byte_buffer_destroy(c->again);
  c->again = NULL;
  c->renewable = false;
}

/* What gRPC has of the call, most of its memory. */
static void free_grpc_part(bx_call *c) {
  if (c->call) grpc_call_unref(c->call);
  c->call = NULL;
}

/* A call that is over keeps little of itself for its owner. */
void bx_call_unref(bx_call *c) {
  bx_error e;
  if (!c) return;
  c->refs--;
  bool over = c->finished.set && !c->sending && !c->receiving;
  if (c->refs > 1 || (c->refs == 1 && !over)) return;
  if (bx_runtime_check(&e) != BX_OK) return; /* a fork: gRPC's memory stays */
  free_grpc_part(c);
  if (c->refs > 0) return;
  bx_event_end(c->channel->loop, &c->received);
  bx_event_end(c->channel->loop, &c->sent);
  if (c->request) grpc_byte_buffer_destroy(c->request);
  drop_again(c);
  if (c->reply) grpc_byte_buffer_destroy(c->reply);
  if (c->message) grpc_byte_buffer_destroy(c->message);
  grpc_metadata_array_destroy(&c->initial);
  grpc_metadata_array_destroy(&c->trailing);
  grpc_slice_unref(c->details);
  grpc_slice_unref(c->bearer);
  bx_channel_unref(c->channel);
  bx_auth_unref(c->auth);
#ifndef __clang_analyzer__ /* it takes each reference for the last */
  free(c);
#endif
}

/* Once for every started call, with c->error filled; drops start's reference.
** */
static void finish(bx_call *c) {
  bx_loop *loop = c->channel->loop;
  unlink_call(c);
  bx_timer_stop(loop, &c->timer);
  bx_observe_finish(c);
  if (c->on_finish) c->on_finish(c);
  bx_auth_unref(c->auth);
  c->auth = NULL;
  bx_event_set(loop, &c->finished);
  /* No waiter may stay for a message or room that will never come. */
  if (!c->receiving) bx_event_set(loop, &c->received);
  if (!c->sending) bx_event_set(loop, &c->sent);
  bx_call_unref(c);
}

/* Counts a batch. False: gRPC refused it (our mistake, or a header it can't
** send), and error says so. The batch then never completes. */
static bool count_batch(bx_call *c, grpc_call_error rc) {
  if (rc == GRPC_CALL_OK) {
    bx_call_ref(c);
    c->batches++;
    return true;
  }
  bx_error_set(&c->error, BX_INTERNAL, "gRPC refused to start the call: %s",
               grpc_call_error_to_string(rc));
  return false;
}

static bool batch(bx_call *c, const grpc_op *ops, size_t n, bx_tag *tag) {
  return count_batch(c, grpc_call_start_batch(c->call, ops, n, tag, NULL));
}

/* gRPC empties the request as it sends it. */
static void keep_request(bx_call *c) {
  bool retryable = c->tries++ < c->retries;
  if ((retryable || c->renewable) && c->request)
    c->again = grpc_byte_buffer_copy(c->request);
}

static bool start_unary(bx_call *c) {
  keep_request(c);
  grpc_op ops[] = {op_headers(c),         op_message(c->request),
                   op_half_close(),       op_initial(c),
                   op_receive(&c->reply), op_status(c)};
  return batch(c, ops, sizeof ops / sizeof *ops, &c->status_tag);
}

static void receive(bx_call *c) {
  grpc_op op = op_receive(&c->message);
  c->receiving = count_batch(
      c, bx_loop_start(c->channel->loop, c->call, &op, &c->recv_tag));
}

/* The status first: once its batch runs, the call ends by it whatever else
** goes wrong. */
static bool start_stream(bx_call *c) {
  keep_request(c);
  grpc_op end[] = {op_initial(c), op_status(c)};
  if (!batch(c, end, 2, &c->status_tag)) return false;
  grpc_op ops[3] = {op_headers(c)};
  size_t n = 1;
  if (c->request) ops[n++] = op_message(c->request);
  if (c->closing) ops[n++] = op_half_close();
  c->sending = batch(c, ops, n, &c->start_tag);
  if (!c->sending) bx_call_cancel(c, c->error.message);
  if (c->receiving) receive(c);
  return true;
}

/* Ends a call that has no batch under way. */
static void end_early(bx_call *c) {
  c->receiving = c->sending = c->owing = false;
  finish(c);
}

static void wipe(void *secret, size_t len) {
  OPENSSL_cleanse(secret, len);
  free(secret);
}

/* A copy of gRPC's own would stay in freed memory when the call is over. */
static bool take_bearer(bx_call *c, const char *bearer) {
  char *copy = strdup(bearer);
  if (!copy) {
    bx_error_set(&c->error, BX_BOXD, "not enough memory");
    return false;
  }
  grpc_slice_unref(c->bearer); /* of the try before */
  c->bearer = grpc_slice_new_with_len(copy, strlen(copy), wipe);
  c->metadata.key = grpc_slice_from_static_string("authorization");
  c->metadata.value = c->bearer;
  return true;
}

static void on_bearer(bx_auth_wait *w, const char *bearer, const bx_error *e) {
  bx_call *c = OWNER(bx_call, wait, w);
  bx_loop *loop = c->channel->loop;
  bx_timer_stop(loop, &c->timer);
  if (!bearer) c->error = *e;
  bx_channel *ch = c->channel;
  if (!bearer || !take_bearer(c, bearer) ||
      bx_channel_connect(ch, bx_auth_service_url(c->auth), &c->error)) {
    end_early(c);
    return;
  }
  c->call = grpc_channel_create_call(
      c->streaming ? ch->streams : ch->channel, NULL, GRPC_PROPAGATE_DEFAULTS,
      bx_loop_queue(loop, &c->error), grpc_slice_from_static_string(c->method),
      NULL, bx_timespec(c->deadline), NULL);
  bool ok = c->streaming ? start_stream(c) : start_unary(c);
  if (!ok) end_early(c);
}

static void on_deadline(bx_timer *t) {
  bx_call *c = OWNER(bx_call, timer, t);
  bx_auth_drop(c->auth, &c->wait);
  bx_error_set(&c->error, BX_TIMEOUT,
               "the time of the call ended while it waited for a token");
  end_early(c);
}

/* Asks for the token, within the deadline. */
static void get_bearer(bx_call *c) {
  c->timer.fire = on_deadline;
  if (c->deadline < BX_FOREVER &&
      !bx_timer_start(c->channel->loop, &c->timer, c->deadline)) {
    bx_error_set(&c->error, BX_BOXD, "not enough memory");
    end_early(c);
    return;
  }
  bx_auth_get(c->auth, &c->wait);
}

static void start(bx_call *c, grpc_byte_buffer *request) {
  assert(!c->started);
  c->started = true;
  c->request = request;
  bx_call_ref(c);
  link_call(c);
  bx_observe_start(c);
  observe_message(c, true, request);
  if (bx_runtime_check(&c->error)) {
    end_early(c);
    return;
  }
  if (c->channel->closed && !c->lasting) {
    bx_error_set(&c->error, BX_CANCELLED, "the client was closed");
    end_early(c);
    return;
  }
  get_bearer(c);
}

void bx_call_unary(bx_call *c, grpc_byte_buffer *request) { start(c, request); }

void bx_call_start(bx_call *c, grpc_byte_buffer *request, bool half_close) {
  c->streaming = true;
  c->closing = half_close;
  bx_event_reset(&c->sent);
  c->sending = true;
  start(c, request);
}

void bx_call_send(bx_call *c, grpc_byte_buffer *message, bool half_close) {
  assert(c->streaming && !c->sending && !c->closing);
  if (c->request) grpc_byte_buffer_destroy(c->request);
  c->request = message;
  c->closing = half_close;
  if (message) drop_again(c);
  observe_message(c, true, message);
  if (c->finished.set) return; /* `sent` is and stays set: see `error` */
  grpc_op ops[2];
  size_t n = 0;
  if (message) ops[n++] = op_message(message);
  if (half_close) ops[n++] = op_half_close();
  c->sending = batch(c, ops, n, &c->send_tag);
  if (c->sending)
    bx_event_reset(&c->sent);
  else
    bx_call_cancel(c, "gRPC refused a message");
}

void bx_call_recv(bx_call *c) {
  assert(c->streaming && !c->receiving);
  if (c->message) grpc_byte_buffer_destroy(c->message);
  c->message = NULL;
  if (c->finished.set) return;
  c->receiving = true; /* without a gRPC call yet, start_stream asks for it */
  if (c->call) receive(c);
  if (c->receiving)
    bx_event_reset(&c->received);
  else
    bx_call_cancel(c, "gRPC refused to receive a message");
}

static void renew(bx_call *c);

/* A batch has ended; drops its reference. */
static void end_batch(bx_call *c) {
  if (c->renewing && c->batches == 0) renew(c);
  bx_call_unref(c);
}

static void end_send(bx_call *c) {
  c->batches--;
  if (!c->renewing) {
    c->sending = false;
    if (c->on_send) c->on_send(c);
    if (!c->sending) bx_event_set(c->channel->loop, &c->sent);
  }
  end_batch(c);
}

/* The status shows whether it went out. */
static void on_started(bx_tag *tag, bool ok) {
  (void)ok;
  end_send(OWNER(bx_call, start_tag, tag));
}

static void on_sent(bx_tag *tag, bool ok) {
  (void)ok;
  end_send(OWNER(bx_call, send_tag, tag));
}

static void end_receive(bx_call *c) {
  c->owing = c->receiving = false;
  observe_message(c, false, c->message);
  if (c->on_receive) c->on_receive(c);
  if (!c->receiving) bx_event_set(c->channel->loop, &c->received);
}

static void on_received(bx_tag *tag, bool ok) {
  bx_call *c = OWNER(bx_call, recv_tag, tag);
  (void)ok; /* the message is NULL then */
  c->batches--;
  if (c->message) drop_again(c);
  c->owing = !c->finished.set && (c->renewable || c->renewing);
  if (!c->owing) end_receive(c);
  end_batch(c);
}

/* The last of a call that gRPC has started. */
static void end(bx_call *c) {
  finish(c);
  bx_call_unref(c);
}

/* Also without a diagnosis: then gRPC's words have to do. */
static void end_asking(bx_call *c) {
  bx_http_free(c->asking);
  c->asking = NULL;
  end(c);
}

static void on_told(bx_http *h) {
  bx_call *c = h->owner;
  bx_why_told(c->channel, h, &c->error);
  end_asking(c);
}

/* Forgets a try that failed. */
static void reset_try(bx_call *c) {
  free_grpc_part(c);
  if (c->request) grpc_byte_buffer_destroy(c->request);
  c->request = c->again;
  c->again = NULL;
  if (c->reply) grpc_byte_buffer_destroy(c->reply);
  c->reply = NULL;
  grpc_metadata_array_destroy(&c->initial);
  grpc_metadata_array_destroy(&c->trailing);
  grpc_metadata_array_init(&c->initial);
  grpc_metadata_array_init(&c->trailing);
  grpc_slice_unref(c->details);
  c->details = grpc_empty_slice();
}

/* Starts anew with another bearer. What the owner waits for it gets then. */
static void renew(bx_call *c) {
  c->renewing = c->owing = false;
  c->tries--;
  reset_try(c);
  get_bearer(c);
}

/* True: the call is repeated with another bearer, once. If it can't be, the
** next call is to have another one. */
static bool take_renewal(bx_call *c) {
  if (c->renewed || c->status != GRPC_STATUS_UNAUTHENTICATED) return false;
  bx_auth_refused(c->auth, (const char *)GRPC_SLICE_START_PTR(c->bearer),
                  GRPC_SLICE_LENGTH(c->bearer));
  if (!c->renewable) return false;
  c->renewable = false;
  c->renewing = c->renewed = true;
  c->sending = c->streaming;
  if (c->sending) bx_event_reset(&c->sent);
  if (bx_observers & BX_LOG_DEBUG)
    bx_log_debug("%s: the token was refused, another one is taken", c->method);
  return true;
}

/* True: the call is tried again after a while, which its time allows. */
static bool try_again(bx_call *c) {
  if (!c->again || c->tries > c->retries || c->streaming ||
      c->status != GRPC_STATUS_UNAVAILABLE)
    return false;
  double seconds = bx_retry_after(c->tries, &c->trailing);
  double at = bx_now() + seconds;
  c->timer.fire = on_retry;
  if (seconds < 0 || at >= c->deadline ||
      !bx_timer_start(c->channel->loop, &c->timer, at))
    return false;
  reset_try(c);
  bx_error_clear(&c->error);
  return true;
}

static void on_retry(bx_timer *t) { get_bearer(OWNER(bx_call, timer, t)); }

static void on_status(bx_tag *tag, bool ok) {
  bx_call *c = OWNER(bx_call, status_tag, tag);
  (void)ok; /* receiving a status never fails */
  c->batches--;
  if (take_renewal(c) || try_again(c)) {
    end_batch(c);
    return;
  }
  drop_again(c);
  if (c->owing) end_receive(c);
  if (c->status != GRPC_STATUS_OK)
    bx_error_from_status(&c->error, (int)c->status,
                         (const char *)GRPC_SLICE_START_PTR(c->details),
                         GRPC_SLICE_LENGTH(c->details));
  else if (!c->streaming && !c->reply)
    bx_error_set(&c->error, BX_INTERNAL, "the server answered OK without a "
                                         "message");
  observe_message(c, false, c->reply);
  bx_error_explain(&c->error, c->deadline - c->began);
  c->asking = bx_why_ask(c->channel, &c->error, on_told, c);
  if (!c->asking) end(c);
}

void bx_call_cancel(bx_call *c, const char *why) {
  if (!c->started || c->finished.set) return;
  if (c->asking) {
    end_asking(c);
    return;
  }
  drop_again(c); /* its status may have come already */
  if (c->renewing) {
    c->renewing = false;
    bx_error_set(&c->error, BX_CANCELLED, "%s", why);
    c->error.status = GRPC_STATUS_CANCELLED;
    end_early(c);
    return;
  }
  bool ours = bx_runtime_check(&c->error) == BX_OK; /* a fork's is the parent's */
  if (c->call && ours) {
    grpc_call_cancel_with_status(c->call, GRPC_STATUS_CANCELLED, why, NULL);
    return;
  }
  if (!c->call) bx_auth_drop(c->auth, &c->wait);
  bx_error_set(&c->error, BX_CANCELLED, "%s", why);
  c->error.status = GRPC_STATUS_CANCELLED;
  end_early(c);
}
