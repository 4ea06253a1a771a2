#include "channel.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "call.h"
#include "grpc_compat.h"
#include "proxy.h"
#include "roots.h"
#include "runtime.h"
#include "text.h"
#include "version.h"

#define PONG_SECONDS_MAX 20.0
#define PONG_SECONDS_MIN 1.0
#define RECONNECT_BACKOFF_MAX_MS 5000

static grpc_channel_credentials *credentials(const bx_channel *ch,
                                             bx_error *e) {
  if (!ch->tls) return grpc_insecure_credentials_create();
  bx_buf roots = {0};
  grpc_channel_credentials *creds = NULL;
  if (bx_roots_read(ch->ca_file, &roots, e) == BX_OK) {
    creds = grpc_ssl_credentials_create(roots.data, NULL, NULL, NULL);
    if (!creds)
      bx_error_set(e, BX_CONNECTION, "gRPC refused the TLS certificates");
  }
  bx_buf_free(&roots);
  return creds;
}

static grpc_arg integer(const char *key, int value) {
  return (grpc_arg){
      .type = GRPC_ARG_INTEGER, .key = (char *)key, .value.integer = value};
}

static grpc_arg string(const char *key, const char *value) {
  return (grpc_arg){.type = GRPC_ARG_STRING,
                    .key = (char *)key,
                    .value.string = (char *)value};
}

/* Frequent pings ask for early notice: an answer to one has as long as
** the time between them, within bounds. */
static double pong_seconds(double keepalive) {
  return fmax(PONG_SECONDS_MIN, fmin(keepalive, PONG_SECONDS_MAX));
}

static int milliseconds(double seconds) {
  return (int)fmin(seconds * 1000, INT_MAX);
}

static grpc_channel *create(const bx_channel *ch,
                            grpc_channel_credentials *creds) {
  grpc_arg args[16];
  size_t n = 0;
  args[n++] = integer(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, BX_MESSAGE_BYTES_MAX);
  args[n++] = integer(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, BX_MESSAGE_BYTES_MAX);
  /* gRPC unpacks a message before it looks at its size: none may be packed. */
  args[n++] = integer(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1);
  args[n++] = integer(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  args[n++] = integer(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, RECONNECT_BACKOFF_MAX_MS);
  /* A connection of its own, that closing the client closes. */
  args[n++] = integer(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  args[n++] = string(GRPC_ARG_PRIMARY_USER_AGENT_STRING, "boxd-lua/" BX_VERSION);
  if (BX_GRPC_WINDOW > 0) {
    args[n++] = integer(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    args[n++] = integer(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, BX_GRPC_WINDOW);
  }
  if (ch->keepalive > 0) {
    int pong = milliseconds(pong_seconds(ch->keepalive));
    args[n++] = integer(GRPC_ARG_KEEPALIVE_TIME_MS, milliseconds(ch->keepalive));
    args[n++] = integer(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, pong);
    args[n++] = integer(BX_GRPC_ARG_PING_TIMEOUT_MS, pong);
    /* Else pings stop on quiet streams and a dead server goes unnoticed. */
    args[n++] = integer(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  }
  const char *proxy = bx_proxy_for(ch->target);
  args[n++] = proxy ? string(GRPC_ARG_HTTP_PROXY, proxy)
                    : integer(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  args[n++] = integer(GRPC_ARG_ENABLE_RETRIES, 0); /* see retry.h */
  grpc_channel_args all = {.num_args = n, .args = args};
  sigset_t old;
  bx_block_signals(&old);
  grpc_channel *channel = grpc_channel_create(ch->target, creds, &all);
  bx_restore_signals(&old);
  return channel;
}

/* Calls under way keep their references. */
static void disconnect(bx_channel *ch) {
  bx_error e;
  if (bx_runtime_check(&e) != BX_OK) return; /* a fork: the parent's */
  if (ch->channel) grpc_channel_destroy(ch->channel);
  if (ch->streams) grpc_channel_destroy(ch->streams);
  ch->channel = ch->streams = NULL;
}

static void destroy(bx_channel *ch) {
  bx_open_remove(ch->loop, &ch->open);
  disconnect(ch);
  free(ch->target);
  free(ch->ca_file);
  free(ch);
}

static bool note(bx_channel *ch, const bx_channel_config *config) {
  ch->tls = config->tls;
  ch->keepalive = config->keepalive;
  ch->target = strdup(config->target);
  if (config->ca_file) ch->ca_file = strdup(config->ca_file);
  return ch->target && (ch->ca_file || !config->ca_file);
}

static bx_class retarget(bx_channel *ch, const char *url, bx_error *e) {
  bx_endpoint at;
  bx_error why;
  if (bx_text_endpoint(url, strlen(url), &at, &why))
    return bx_error_set(e, BX_AUTHENTICATION,
                        "the machine's gateway says where the service is "
                        "(api_url), but %s; give api_url or set BOXD_BASE_URL "
                        "to use another", why.message);
  char *target = strdup(at.target);
  if (!target) return bx_error_set(e, BX_BOXD, "not enough memory");
  free(ch->target);
  ch->target = target;
  ch->tls = at.tls;
  return BX_OK;
}

bx_class bx_channel_connect(bx_channel *ch, const char *url, bx_error *e) {
  if (ch->channel) return BX_OK;
  if (url && retarget(ch, url, e)) return e->class_;
  grpc_channel_credentials *creds = credentials(ch, e);
  if (!creds) return e->class_;
  ch->channel = create(ch, creds);
  ch->streams = create(ch, creds);
  grpc_channel_credentials_release(creds);
  if (ch->channel && ch->streams) return BX_OK;
  disconnect(ch);
  return bx_error_set(e, BX_CONNECTION, "gRPC can't make a channel to %s",
                      ch->target);
}

static void close_open(bx_open *o) {
  bx_channel_close((bx_channel *)((char *)o - offsetof(bx_channel, open)));
}

bx_channel *bx_channel_new(bx_loop *loop, const bx_channel_config *config,
                           bx_error *e) {
  if (!bx_loop_queue(loop, e)) return NULL;
  bx_channel *ch = calloc(1, sizeof *ch);
  if (!ch) {
    bx_error_set(e, BX_BOXD, "not enough memory");
    return NULL;
  }
  ch->refs = 1;
  ch->loop = loop;
  ch->open.close = close_open;
  bx_open_add(loop, &ch->open);
  if (!note(ch, config)) {
    destroy(ch);
    bx_error_set(e, BX_BOXD, "not enough memory");
    return NULL;
  }
  if (config->later || bx_channel_connect(ch, NULL, e) == BX_OK) return ch;
  destroy(ch);
  return NULL;
}

void bx_channel_unref(bx_channel *ch) {
  if (ch && --ch->refs == 0) destroy(ch);
}

void bx_channel_close(bx_channel *ch) {
  bool lasting = false;
  ch->closed = true;
  /* Cancelling may end a call at once and take it off the list. */
  for (bx_call *c = ch->calls, *next; c; c = next) {
    next = c->next;
    lasting = lasting || c->lasting;
    if (!c->lasting) bx_call_cancel(c, "the client was closed");
  }
  /* Else gRPC goes on connecting until we are collected. */
  if (!lasting) disconnect(ch);
}

void bx_channel_settle(bx_channel *ch) {
  if (ch->closed && !ch->calls) disconnect(ch);
}
