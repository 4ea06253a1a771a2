#include "exchange.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "json.h"

#define UNKNOWN_LIFE 60.0 /* of a token that seems to have ended: clocks differ,
                             and the service will say */
#define RETRY_SECONDS 5   /* of a Retry-After that is not there */
#define RETRY_SECONDS_MAX 60
#define BODY_BYTES_MAX (1 << 20)
#define BEARER "Bearer "

static void wipe_json(cJSON *item) {
  for (cJSON *i = item ? item->child : NULL; i; i = i->next)
    if (cJSON_IsString(i))
      OPENSSL_cleanse(i->valuestring, strlen(i->valuestring));
  cJSON_Delete(item);
}

bool bx_exchange_plausible(const char *s) {
  size_t n = 0;
  while (s[n] > ' ' && s[n] <= '~') n++;
  return n > 0 && s[n] == '\0';
}

/* In memory of ours, so that no copy of the key is left. */
char *bx_exchange_body(const char *key) {
  size_t room = 6 * strlen(key) + 64; /* every character escaped */
  char *body = room <= BODY_BYTES_MAX ? malloc(room) : NULL;
  cJSON *o = body ? cJSON_CreateObject() : NULL;
  bool ok = o && cJSON_AddStringToObject(o, "api_key", key) &&
            cJSON_PrintPreallocated(o, body, (int)room, false);
  wipe_json(o);
  if (ok) return body;
  if (body) OPENSSL_cleanse(body, room);
  free(body);
  return NULL;
}

char *bx_exchange_bearer(const char *token) {
  size_t n = sizeof BEARER + strlen(token);
  char *s = malloc(n);
  if (s) snprintf(s, n, BEARER "%s", token);
  return s;
}

/* Seconds from now to expires_at, by the clock of the sender where it is sent.
** */
static double lifetime(const bx_http *h, double expires_at) {
  time_t now = bx_http_date(h, "Date");
  if (now == (time_t)-1) now = time(NULL);
  double life = expires_at - (double)now;
  return life > 0 ? life : UNKNOWN_LIFE;
}

static bx_class malformed(bx_exchange_from from, bx_error *e, const char *why) {
  return bx_error_set(e, BX_AUTHENTICATION,
                      "the token exchange answered with HTTP status 200, but "
                      "%s%s", why,
                      from == BX_FROM_EXCHANGE
                          ? ": check exchange_url (BOXD_EXCHANGE_URL)"
                          : "");
}

static bx_class no_memory(bx_error *e) {
  return bx_error_set(e, BX_BOXD, "not enough memory");
}

static bx_class take_url(bx_exchange_from from, const cJSON *answer,
                         bx_answer *out, bx_error *e) {
  const cJSON *url = cJSON_GetObjectItemCaseSensitive(answer, "api_url");
  if (!url || cJSON_IsNull(url)) return BX_OK;
  if (!cJSON_IsString(url))
    return malformed(from, e, "with an \"api_url\" that is not a string");
  if (url->valuestring[0] && !(out->service_url = strdup(url->valuestring)))
    return no_memory(e);
  return BX_OK;
}

static bx_class take_token(const bx_http *h, bx_exchange_from from,
                           const cJSON *answer, bx_answer *out, bx_error *e) {
  const cJSON *token = cJSON_GetObjectItemCaseSensitive(answer, "token");
  const cJSON *expires = cJSON_GetObjectItemCaseSensitive(answer, "expires_at");
  if (!cJSON_IsObject(answer)) return malformed(from, e, "not with a JSON object");
  if (!cJSON_IsString(token)) return malformed(from, e, "without a \"token\"");
  if (!cJSON_IsNumber(expires) || !isfinite(expires->valuedouble))
    return malformed(from, e, "without a time in \"expires_at\"");
  if (!bx_exchange_plausible(token->valuestring))
    return malformed(from, e, "with characters in the token that none has");
  out->life = lifetime(h, expires->valuedouble);
  out->bearer = bx_exchange_bearer(token->valuestring);
  return out->bearer ? BX_OK : no_memory(e);
}

static bx_class take(const bx_http *h, bx_exchange_from from, bool follow,
                     const cJSON *answer, bx_answer *out, bx_error *e) {
  if (follow && take_url(from, answer, out, e)) return e->class_;
  if (take_token(h, from, answer, out, e) == BX_OK) return BX_OK;
  free(out->service_url);
  return e->class_;
}

bx_class bx_exchange_read(bx_http *h, bx_exchange_from from, bool follow,
                          bx_answer *out, bx_error *e) {
  *out = (bx_answer){0};
  if (!bx_buf_terminate(&h->body)) return no_memory(e);
  if (strlen(h->body.data) != h->body.len)
    return malformed(from, e, "with a NUL in it");
  cJSON *answer = cJSON_ParseWithOpts(h->body.data, NULL, true);
  /* cJSON does not distinguish a bad text from a lack of memory. */
  if (!answer && bx_json_check(h->body.data, h->body.len, e) == BX_OK)
    return no_memory(e);
  bx_class c = take(h, from, follow, answer, out, e);
  wipe_json(answer);
  return c;
}

/* A Retry-After: a number or an HTTP date. */
int bx_exchange_retry_after(const bx_http *h) {
  size_t len, digits = 0;
  const char *s = bx_http_header(h, "Retry-After", &len);
  double seconds = 0;
  if (!s) return RETRY_SECONDS;
  for (; digits < len && s[digits] >= '0' && s[digits] <= '9'; digits++)
    seconds = seconds * 10 + (s[digits] - '0');
  if (digits < len || len == 0) {
    time_t at = bx_http_date(h, "Retry-After"), now = bx_http_date(h, "Date");
    if (at == (time_t)-1) return RETRY_SECONDS;
    seconds = difftime(at, now == (time_t)-1 ? time(NULL) : now);
  }
  return (int)fmax(0, fmin(seconds, RETRY_SECONDS_MAX));
}

static bool is_redirect(long status) { return status >= 300 && status < 400; }

bool bx_exchange_elsewhere(const bx_http *h) {
  if (h->error.class_) return h->unknown_host;
  return h->status == 404 || h->status == 405 || is_redirect(h->status);
}

bx_class bx_exchange_refused(long status, bx_exchange_from from, bx_error *e) {
  if (from == BX_FROM_GATEWAY)
    return bx_error_set(e, BX_AUTHENTICATION, "HTTP status %ld", status);
  if (status == 401)
    return bx_error_set(e, BX_AUTHENTICATION,
                        "the service refuses this API key (HTTP status 401): "
                        "it is unknown, revoked or expired; make a new one and "
                        "give it as api_key or in BOXD_API_KEY");
  if (is_redirect(status))
    return bx_error_set(e, BX_AUTHENTICATION,
                        "the token exchange answered with a redirect (HTTP "
                        "status %ld), which an API key does not follow: give "
                        "exchange_url (BOXD_EXCHANGE_URL) as the address it "
                        "leads to", status);
  return bx_error_set(e, BX_AUTHENTICATION,
                      "the token exchange failed with HTTP status %ld: check "
                      "exchange_url (BOXD_EXCHANGE_URL), or try again later",
                      status);
}
