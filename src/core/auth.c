#include "auth.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "http.h"
#include "json.h"
#include "gateway.h"
#include "observe.h"

#define EXCHANGE_SECONDS 10.0
#define ANSWER_BYTES_MAX (64 << 10)
#define GATEWAY_SECONDS 0.5    /* for a machine's gateway to show itself */
#define REFRESH_SECONDS 300.0  /* before a token ends, */
#define REFRESH_MACHINE 60.0   /* ... a machine's, */
#define REFRESH_SHARE 0.1      /* ... or this share of its life, if shorter */
#define UNKNOWN_LIFE 60.0      /* of a token that seems to have ended: clocks
                                  differ, and the service will say */
#define UNREACHABLE_PAUSE 30.0 /* between exchanges while the old token lives */
#define RETRY_SECONDS 5        /* of a Retry-After that is not there */
#define RETRY_SECONDS_MAX 60
#define BEARER "Bearer "
#define NO_CREDENTIALS \
  "no credentials: give token or api_key, or set BOXD_TOKEN or BOXD_API_KEY"

struct bx_auth {
  bx_loop *loop;
  bx_auth_wait waiting; /* a ring's head; who comes last is waiting.prev */
  char *bearer;         /* NULL: none yet */
  double refresh_at, ends_at; /* of token_clock */
  char *request;        /* the exchange's body, with the key; NULL: no key */
  char *url, *ca_file;
  bool follow;
  char *service_url; /* NULL: none told, or not to be followed */
  bx_http *http;        /* the exchange under way */
  bx_timer retry;       /* until it is repeated */
  bool retried;
};

/* Tokens age while the machine sleeps: not the loop's clock. */
static double token_clock(void) {
  struct timespec ts;
  clock_gettime(CLOCK_BOOTTIME, &ts);
  return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static void wipe(char *s) {
  if (s) OPENSSL_cleanse(s, strlen(s));
  free(s);
}

/* Those who wait. */

static void unlink_wait(bx_auth_wait *w) {
  w->prev->next = w->next;
  w->next->prev = w->prev;
  w->waiting = false;
}

/* Tells all who wait by now. The ring moves to a head of its own first: any of
** them may ask anew, drop others or, as the last one, free a. */
static void tell(bx_auth *a, const char *bearer, const bx_error *e) {
  bx_auth_wait head = a->waiting;
  if (head.next == &a->waiting) return;
  head.next->prev = head.prev->next = &head;
  a->waiting.prev = a->waiting.next = &a->waiting;
  while (head.next != &head) {
    bx_auth_wait *w = head.next;
    unlink_wait(w);
    w->ready(w, bearer, e);
  }
}

/* Ends an exchange without a token. The one there is, if it still lives, does
** for those who wait, unless the key itself was refused. */
static void fail(bx_auth *a, const bx_error *e) {
  double now = token_clock();
  bool passing = e->class_ == BX_CONNECTION || e->class_ == BX_QUOTA_EXCEEDED;
  bx_error none;
  if (passing && a->bearer && now < a->ends_at) {
    a->refresh_at = fmin(now + UNREACHABLE_PAUSE, a->ends_at);
    tell(a, a->bearer, NULL);
    return;
  }
  if (!a->request) {
    bx_error_set(&none, BX_AUTHENTICATION, NO_CREDENTIALS
                 "; the environment hints at a boxd machine, but its gateway "
                 "gave no token: %s", e->message);
    e = &none;
  }
  tell(a, NULL, e);
}

/* The answer. */

static bool plausible(const char *s) {
  size_t n = 0;
  while (s[n] > ' ' && s[n] <= '~') n++;
  return n > 0 && s[n] == '\0';
}

static char *make_bearer(const char *token) {
  size_t n = sizeof BEARER + strlen(token);
  char *s = malloc(n);
  if (s) snprintf(s, n, BEARER "%s", token);
  return s;
}

/* Seconds from now to expires_at, by the clock of who set it where it tells. */
static double lifetime(const bx_http *h, double expires_at) {
  time_t now = bx_http_date(h, "Date");
  if (now == (time_t)-1) now = time(NULL);
  double life = expires_at - (double)now;
  return life > 0 ? life : UNKNOWN_LIFE;
}

static bx_class malformed(const bx_auth *a, bx_error *e, const char *why) {
  return bx_error_set(e, BX_AUTHENTICATION,
                      "the token exchange answered with HTTP status 200, but "
                      "%s%s", why,
                      a->request ? ": check exchange_url (BOXD_EXCHANGE_URL)"
                                 : "");
}

/* Where the gateway says the service is; NULL: nowhere. */
static bx_class take_url(bx_auth *a, const cJSON *answer, bx_error *e) {
  const cJSON *url = cJSON_GetObjectItemCaseSensitive(answer, "api_url");
  char *copy = NULL;
  if (!a->follow || !url || cJSON_IsNull(url)) return BX_OK;
  if (!cJSON_IsString(url))
    return malformed(a, e, "with an \"api_url\" that is no text");
  if (url->valuestring[0] && !(copy = strdup(url->valuestring)))
    return bx_error_set(e, BX_BOXD, "not enough memory");
  free(a->service_url);
  a->service_url = copy;
  return BX_OK;
}

static double refresh_margin(const bx_auth *a, double life) {
  return fmin(a->request ? REFRESH_SECONDS : REFRESH_MACHINE,
              REFRESH_SHARE * life);
}

static bx_class take_token(bx_auth *a, const bx_http *h, const cJSON *answer,
                           bx_error *e) {
  const cJSON *token = cJSON_GetObjectItemCaseSensitive(answer, "token");
  const cJSON *expires = cJSON_GetObjectItemCaseSensitive(answer, "expires_at");
  if (!cJSON_IsObject(answer)) return malformed(a, e, "not with a JSON object");
  if (!cJSON_IsString(token)) return malformed(a, e, "without a \"token\"");
  if (!cJSON_IsNumber(expires) || !isfinite(expires->valuedouble))
    return malformed(a, e, "without a time in \"expires_at\"");
  if (!plausible(token->valuestring))
    return malformed(a, e, "with characters in the token that none has");
  if (take_url(a, answer, e)) return e->class_;
  char *bearer = make_bearer(token->valuestring);
  if (!bearer) return bx_error_set(e, BX_BOXD, "not enough memory");
  wipe(a->bearer);
  a->bearer = bearer;
  double now = token_clock(), life = lifetime(h, expires->valuedouble);
  a->ends_at = now + life;
  a->refresh_at = a->ends_at - refresh_margin(a, life);
  return BX_OK;
}

static void wipe_json(cJSON *item) {
  for (cJSON *i = item ? item->child : NULL; i; i = i->next)
    if (cJSON_IsString(i))
      OPENSSL_cleanse(i->valuestring, strlen(i->valuestring));
  cJSON_Delete(item);
}

static bx_class read_answer(bx_auth *a, bx_http *h, bx_error *e) {
  if (!bx_buf_terminate(&h->body))
    return bx_error_set(e, BX_BOXD, "not enough memory");
  if (strlen(h->body.data) != h->body.len)
    return malformed(a, e, "with a NUL in it");
  cJSON *answer = cJSON_ParseWithOpts(h->body.data, NULL, true);
  /* cJSON does not tell what is wrong with the text from what is with us. */
  if (!answer && bx_json_check(h->body.data, h->body.len, e) == BX_OK)
    return bx_error_set(e, BX_BOXD, "not enough memory");
  bx_class c = take_token(a, h, answer, e);
  wipe_json(answer);
  return c;
}

/* Seconds that a 429 asks us to wait: a number or an HTTP date. */
static int retry_after(const bx_http *h) {
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

static bx_class refused(const bx_auth *a, long status, bx_error *e) {
  if (!a->request)
    return bx_error_set(e, BX_AUTHENTICATION, "HTTP status %ld", status);
  if (status == 401)
    return bx_error_set(e, BX_AUTHENTICATION,
                        "the service refuses this API key (HTTP status 401): "
                        "it is unknown, revoked or expired; make a new one and "
                        "give it as api_key or in BOXD_API_KEY");
  if (status >= 300 && status < 400)
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

/* What kept the answer from coming, as an error of class c. */
static bx_class no_answer(const bx_auth *a, bx_class c, const char *why,
                          bx_error *e) {
  return bx_error_set(e, c, "%s%s",
                      a->request ? "can't exchange the API key for a token: "
                                 : "", why);
}

static bx_class unreachable(const bx_auth *a, const bx_error *why,
                            bx_error *e) {
  bx_class c = why->class_;
  if (c == BX_TIMEOUT) c = BX_CONNECTION;
  if (c == BX_BOXD) c = BX_AUTHENTICATION; /* an answer, but no such one */
  return no_answer(a, c, why->message, e);
}

/* The exchange. */

static void exchanged(bx_http *h);

static void ask_service(bx_auth *a, bx_error *e) {
  static const char *const headers[] = {"Content-Type: application/json",
                                        "Accept: application/json", NULL};
  bx_http_request q = {.method = "POST",
                       .url = a->url,
                       .headers = headers,
                       .body = a->request,
                       .body_len = strlen(a->request),
                       .timeout = EXCHANGE_SECONDS,
                       .ca_file = a->ca_file,
                       .max_bytes = ANSWER_BYTES_MAX,
                       .proxy = false}; /* a proxy could read the key */
  a->http = bx_http_start(a->loop, &q, exchanged, a, e);
}

static void ask_gateway(bx_auth *a, bx_error *e) {
  char url[BX_MACHINE_URL_MAX];
  bx_http_request q = {.method = "GET",
                       .url = url,
                       .timeout = EXCHANGE_SECONDS,
                       .connect_timeout = GATEWAY_SECONDS,
                       .max_bytes = ANSWER_BYTES_MAX};
  if (bx_machine_url(url))
    a->http = bx_http_start(a->loop, &q, exchanged, a, e);
  else
    bx_error_set(e, BX_CONNECTION, "there is no default gateway");
}

static void exchange(bx_auth *a) {
  bx_error why, e;
  if (a->request)
    ask_service(a, &why);
  else
    ask_gateway(a, &why);
  if (a->http) return;
  no_answer(a, why.class_, why.message, &e);
  fail(a, &e);
}

static void retry_fired(bx_timer *t) {
  exchange((bx_auth *)((char *)t - offsetof(bx_auth, retry)));
}

/* The first 429 is waited out. True: it is, or that failed and e says so. */
static bool wait_out(bx_auth *a, int seconds, bx_error *e) {
  if (a->retried) return false;
  a->retried = true;
  if (!bx_timer_start(a->loop, &a->retry, bx_now() + seconds))
    bx_error_set(e, BX_BOXD, "not enough memory");
  return true;
}

static void log_exchange(const bx_http *h) {
  if (!(bx_observers & BX_LOG_DEBUG)) return;
  if (h->error.class_)
    bx_log_debug("token exchange: %s", h->error.message);
  else
    bx_log_debug("token exchange: HTTP status %ld", h->status);
}

static void exchanged(bx_http *h) {
  bx_auth *a = h->owner;
  log_exchange(h);
  bx_error e;
  bx_error_clear(&e);
  int seconds = h->status == 429 ? retry_after(h) : 0;
  if (h->error.class_)
    unreachable(a, &h->error, &e);
  else if (h->status == 200)
    read_answer(a, h, &e);
  else if (h->status != 429 || !a->request)
    refused(a, h->status, &e);
  else if (!wait_out(a, seconds, &e))
    bx_error_set(&e, BX_QUOTA_EXCEEDED,
                 "the service limits how often API keys are exchanged: try "
                 "again in %d s", seconds);
  bx_http_free(h);
  a->http = NULL;
  if (a->retry.index) return;
  if (e.class_)
    fail(a, &e);
  else
    tell(a, a->bearer, NULL);
}

/* The public part. */

/* {"api_key": key} in memory of ours, so that no copy of the key is left. */
static char *make_request(const char *key) {
  size_t room = 6 * strlen(key) + 64; /* every character escaped */
  char *body = room <= (1 << 20) ? malloc(room) : NULL;
  cJSON *o = body ? cJSON_CreateObject() : NULL;
  bool ok = o && cJSON_AddStringToObject(o, "api_key", key) &&
            cJSON_PrintPreallocated(o, body, (int)room, false);
  wipe_json(o);
  if (ok) return body;
  if (body) OPENSSL_cleanse(body, room);
  free(body);
  return NULL;
}

static bool fill(bx_auth *a, const bx_auth_config *config) {
  if (config->token) {
    a->bearer = make_bearer(config->token);
    a->refresh_at = a->ends_at = BX_FOREVER;
    return a->bearer != NULL;
  }
  a->follow = !config->api_key && config->follow;
  if (!config->api_key) return true; /* the machine's */
  a->request = make_request(config->api_key);
  a->url = strdup(config->exchange_url);
  if (config->ca_file) a->ca_file = strdup(config->ca_file);
  return a->request && a->url && (a->ca_file || !config->ca_file);
}

bx_auth *bx_auth_new(bx_loop *loop, const bx_auth_config *config, bx_error *e) {
  const char *secret = config->token ? config->token : config->api_key;
  const char *what = config->token ? "token" : "API key";
  if (!secret && !config->machine) {
    bx_error_set(e, BX_AUTHENTICATION, NO_CREDENTIALS);
    return NULL;
  }
  if (secret && !plausible(secret)) {
    bx_error_set(e, BX_AUTHENTICATION,
                 "the %s is empty or has blanks, line breaks or other "
                 "characters in it that none has: was it read from a file "
                 "with its newline?", what);
    return NULL;
  }
  bx_auth *a = calloc(1, sizeof *a);
  if (a) {
    a->loop = loop;
    a->waiting.prev = a->waiting.next = &a->waiting;
    a->retry.fire = retry_fired;
    if (fill(a, config)) return a;
    bx_auth_free(a);
  }
  bx_error_set(e, BX_BOXD, "not enough memory");
  return NULL;
}

void bx_auth_free(bx_auth *a) {
  if (!a) return;
  bx_http_free(a->http);
  bx_timer_stop(a->loop, &a->retry);
  wipe(a->bearer);
  wipe(a->request);
  free(a->url);
  free(a->ca_file);
  free(a->service_url);
  free(a);
}

void bx_auth_get(bx_auth *a, bx_auth_wait *w) {
  if (a->bearer && token_clock() < a->refresh_at) {
    w->ready(w, a->bearer, NULL);
    return;
  }
  w->prev = a->waiting.prev;
  w->next = &a->waiting;
  w->prev->next = w->next->prev = w;
  w->waiting = true;
  if (a->http || a->retry.index) return;
  a->retried = false;
  exchange(a);
}

void bx_auth_drop(bx_auth *a, bx_auth_wait *w) {
  (void)a;
  if (w->waiting) unlink_wait(w);
}

const char *bx_auth_service_url(const bx_auth *a) { return a->service_url; }
