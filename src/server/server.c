#include "server.h"

#include <errno.h>
#include <grpc/grpc_posix.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/channel.h"
#include "../core/grpc_compat.h"
#include "../core/runtime.h"
#include "server_private.h"
#include "stranger.h"

#define OWNER(type, member, pointer) \
  ((type *)((char *)(pointer) - offsetof(type, member)))
#define HANDSHAKE_MS 10000
#define AGAIN_SECONDS 0.1

static grpc_arg integer(const char *key, int value) {
  return (grpc_arg){
      .type = GRPC_ARG_INTEGER, .key = (char *)key, .value.integer = value};
}

static grpc_server *create(void) {
  grpc_arg args[] = {
      integer(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, BX_MESSAGE_BYTES_MAX),
      integer(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, BX_MESSAGE_BYTES_MAX),
      /* gRPC unpacks a message before it looks at its size. */
      integer(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1),
      integer(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0),
      /* A port that is taken is an error, not a port shared. */
      integer(GRPC_ARG_ALLOW_REUSEPORT, 0),
      /* However often a client pings to keep its connection. */
      integer(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0),
      integer(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, HANDSHAKE_MS),
      integer(GRPC_ARG_ENABLE_CHANNELZ, 0),
      /* It is BX_SERVER_BACKLOG that bounds them, with an answer. */
      integer(BX_GRPC_ARG_SERVER_PENDING, INT_MAX),
      integer(BX_GRPC_ARG_SERVER_PENDING_HARD, INT_MAX),
      /* The bytes read ahead of a slow handler stay few: the window that gRPC
         measures grows to 64 MiB of buffers on a local connection. */
      integer(GRPC_ARG_HTTP2_BDP_PROBE, 0),
      integer(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 4 << 20),
  };
  grpc_channel_args all = {.num_args = sizeof args / sizeof *args,
                           .args = args};
  return grpc_server_create(&all, NULL);
}

static void on_request(bx_tag *tag, bool ok);
static void ask_again(bx_timer *t);

static void on_down(bx_tag *tag, bool ok) {
  (void)ok;
  OWNER(bx_server, down_tag, tag)->down = true;
}

bx_server *bx_server_new(bx_loop *loop, bx_error *e) {
  grpc_completion_queue *queue = bx_loop_queue(loop, e);
  if (!queue) return NULL;
  bx_server *s = calloc(1, sizeof *s);
  if (s) s->again.fire = ask_again;
  if (!s || !bx_timer_start(loop, &s->again, BX_FOREVER)) {
    free(s);
    bx_error_set(e, BX_BOXD, "not enough memory");
    return NULL;
  }
  s->refs = 1;
  s->loop = loop;
  s->request_tag.fire = on_request;
  s->down_tag.fire = on_down;
  grpc_call_details_init(&s->details);
  sigset_t old;
  bx_block_signals(&old);
  s->server = create();
  grpc_server_register_completion_queue(s->server, queue, NULL);
  bx_restore_signals(&old);
  return s;
}

bx_class bx_server_listen(bx_server *s, const char *address, const char *cert,
                          const char *key, int *port, bx_error *e) {
  grpc_server_credentials *creds;
  if (s->started || s->stopping)
    return bx_error_set(e, BX_BOXD, "the server has already started");
  if (cert) {
    grpc_ssl_pem_key_cert_pair pair = {.private_key = key, .cert_chain = cert};
    creds = grpc_ssl_server_credentials_create(NULL, &pair, 1, 0, NULL);
  } else {
    creds = grpc_insecure_server_credentials_create();
  }
  if (!creds)
    return bx_error_set(e, BX_INVALID_ARGUMENT,
                        "gRPC refused the TLS certificate or its key");
  *port = grpc_server_add_http2_port(s->server, address, creds);
  grpc_server_credentials_release(creds);
  if (*port > 0) return BX_OK;
  return bx_error_set(e, BX_CONNECTION,
                      "can't listen on %s: is the address in use%s?", address,
                      cert ? ", are certificate and key valid PEM" : "");
}

/* One request is outstanding as long as the server runs. Without memory for
** it, a timer asks again, which has its place in the loop's heap already. */
static void request(bx_server *s) {
  bx_error e;
  grpc_completion_queue *queue = bx_loop_queue(s->loop, &e);
  if (s->incoming || s->stopping || !s->started || !queue) return;
  bx_server_call *c = bx_server_call_new(s);
  if (!c) {
    bx_timer_start(s->loop, &s->again, bx_now() + AGAIN_SECONDS);
    return;
  }
  if (grpc_server_request_call(s->server, &c->call, &s->details, &c->metadata,
                               queue, queue, &s->request_tag) == GRPC_CALL_OK)
    s->incoming = c;
  else
    bx_server_call_unref(c);
}

static void ask_again(bx_timer *t) {
  bx_server *s = OWNER(bx_server, again, t);
  bx_timer_start(s->loop, t, BX_FOREVER);
  request(s);
}

void bx_server_start(bx_server *s) {
  if (s->started || s->stopping) return;
  sigset_t old;
  bx_block_signals(&old);
  grpc_server_start(s->server);
  bx_restore_signals(&old);
  s->started = true;
  request(s);
}

static void push(bx_server *s, bx_server_call *c) {
  if (s->last)
    s->last->next = c;
  else
    s->first = c;
  s->last = c;
  s->waiting++;
  bx_event_set(s->loop, &s->accepted);
}

static void refuse(bx_server_call *c, const char *why) {
  bx_server_call_finish(c, GRPC_STATUS_RESOURCE_EXHAUSTED, why, strlen(why),
                        NULL, 0);
  bx_server_call_release(c);
}

static void on_request(bx_tag *tag, bool ok) {
  bx_server *s = OWNER(bx_server, request_tag, tag);
  bx_server_call *c = s->incoming;
  s->incoming = NULL;
  if (!ok || s->stopping) {
    bx_server_call_unref(c);
    return;
  }
  bool good = bx_server_call_begin(c, &s->details);
  grpc_slice_unref(s->details.method);
  grpc_slice_unref(s->details.host);
  s->details.method = s->details.host = grpc_empty_slice();
  request(s);
  if (!good)
    refuse(c, "the server has not enough memory for the call");
  else if (s->waiting >= BX_SERVER_BACKLOG)
    refuse(c, "the server has too many calls waiting");
  else
    push(s, c);
}

bx_server_call *bx_server_take(bx_server *s) {
  bx_server_call *c = s->first;
  request(s);
  if (!c) return NULL;
  s->first = c->next;
  if (!s->first) s->last = NULL;
  if (!s->first && !s->stopping) bx_event_reset(&s->accepted);
  c->next = NULL;
  s->waiting--;
  return c;
}

bx_class bx_server_adopt(bx_server *s, int fd, const char *peer, bx_error *e) {
  if (!s->started || s->stopping)
    return bx_error_set(e, BX_BOXD, "the server does not run");
  uint64_t connection = bx_peers_add(&s->peers, fd, peer);
  if (!connection)
    return bx_error_errno(e, BX_BOXD, errno, "the connection can't be named");
  if (s->strangers && !bx_strangers_add(s->strangers, fd, connection))
    return bx_error_errno(e, BX_BOXD, errno, "the connection can't be watched");
  grpc_server_credentials *creds = grpc_insecure_server_credentials_create();
  grpc_server_add_channel_from_fd(s->server, fd, creds);
  grpc_server_credentials_release(creds);
  return BX_OK;
}

bool bx_server_bound_strangers(bx_server *s, double seconds) {
  if (!s->strangers) s->strangers = bx_strangers_new(s->loop, seconds);
  return s->strangers != NULL;
}

/* Until gRPC has let go of everything; each step is its own doing. */
static void wait_until_down(bx_server *s) {
  bx_error e;
  while (!s->down || s->incoming || s->batches > 0)
    if (bx_loop_poll(s->loop, bx_now() + 0.1, &e)) return;
}

void bx_server_stop(bx_server *s) {
  bx_error e;
  bx_server_call *c;
  if (!s->server) return;
  grpc_completion_queue *queue = bx_loop_queue(s->loop, &e);
  s->stopping = true;
  bx_timer_stop(s->loop, &s->again);
  if (!queue) { /* a forked child: gRPC's memory stays */
    s->server = NULL;
    return;
  }
  bx_strangers_free(s->strangers);
  s->strangers = NULL;
  grpc_server_shutdown_and_notify(s->server, queue, &s->down_tag);
  grpc_server_cancel_all_calls(s->server);
  while ((c = bx_server_take(s))) bx_server_call_release(c);
  wait_until_down(s);
  grpc_server_destroy(s->server);
  s->server = NULL;
  bx_event_set(s->loop, &s->accepted);
}

void bx_server_drop(bx_server *s) {
  if (--s->refs > 0) return;
  grpc_call_details_destroy(&s->details);
  bx_peers_free(&s->peers);
  free(s);
}

void bx_server_unref(bx_server *s) {
  if (!s) return;
  bx_server_stop(s);
  bx_server_drop(s);
}
