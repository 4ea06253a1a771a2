#include "tls_diagnosis.h"

#include <grpc/grpc.h>
#include <stdio.h>
#include <string.h>

#define SECONDS 3.0 /* asking takes no longer */

static void add(bx_error *e, const char *words) {
  size_t n = strlen(e->message);
  snprintf(e->message + n, sizeof e->message - n, ": %s", words);
}

bx_http *bx_why_ask(const bx_channel *ch, bx_error *e,
                    void (*done)(bx_http *h), void *owner) {
  if (e->status != GRPC_STATUS_UNAVAILABLE) return NULL;
  if (!ch->tls) {
    if (strstr(e->message, "failed to connect to all addresses") &&
        (strstr(e->message, "Socket closed") ||
         strstr(e->message, "Connection reset")))
      add(e, "it does not answer as gRPC without TLS does; if it speaks TLS, "
             "its URL begins with https://");
    return NULL;
  }
  if (strstr(e->message, "wrong version number"))
    add(e, "it does not speak TLS; without TLS, its URL begins with http://");
  if (!strstr(e->message, "certificate verify failed")) return NULL;
  char url[512];
  int n = snprintf(url, sizeof url, "https://%s/", ch->target);
  if (n >= (int)sizeof url) return NULL;
  bx_http_request request = {.method = "HEAD", .url = url, .timeout = SECONDS,
                             .ca_file = ch->ca_file, .proxy = BX_PROXY_ANY};
  bx_error ignored; /* gRPC's own words are there */
  return bx_http_start(ch->loop, &request, done, owner, &ignored);
}

void bx_why_told(const bx_channel *ch, const bx_http *h, bx_error *e) {
  const char *words = h->error.message;
  size_t n = strlen(ch->target);
  if (strncmp(words, ch->target, n) == 0 && words[n] == ':') words += n + 2;
  if (h->error.class_ != BX_CONNECTION || strncmp(words, "SSL", 3) != 0) return;
  int status = e->status;
  bx_error_set(e, BX_CONNECTION, "the server's certificate is refused: %s",
               words);
  e->status = status;
}
