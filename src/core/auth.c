#include "auth.h"

#include <math.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exchange.h"
#include "gateway.h"
#include "http.h"
#include "loop_private.h"
#include "observe.h"
#include "token.h"

#define EXCHANGE_SECONDS 10.0
#define ANSWER_BYTES_MAX (64 << 10)
#define GATEWAY_SECONDS 0.5    /* for a machine's gateway to show itself */
#define REFRESH_SECONDS 300.0  /* before a token ends, */
#define REFRESH_MACHINE 60.0   /* ... a machine's, */
#define REFRESH_SHARE 0.1      /* ... or this share of its life, if shorter */
#define UNREACHABLE_PAUSE 30.0 /* between exchanges while the old token lives */
#define OTHERS_SECONDS 1.0     /* for another loop's exchange: it may not run */
#define OTHERS_LOOK 0.01

struct bx_auth {
  unsigned refs;
  bx_loop *loop;
  bx_auth *next; /* in the loop's list */
  bx_auth_wait waiting; /* a ring's head; the last waiter is waiting.prev */
  bx_token *shared;     /* with other loops; NULL: the token is given as such */
  unsigned seen;        /* the version of it that is in token */
  bx_token_value token;
  char *request;        /* the exchange's body, with the key; NULL: no key */
  char *url[2];         /* of the exchange; the second may be NULL */
  int at;               /* which of them is asked now */
  bool strayed;         /* this exchange has tried the other one */
  char *ca_file;
  bool follow;
  bx_http *http;        /* the exchange under way */
  bx_timer retry;       /* until it is repeated, or another loop's is over */
  bool retried;
  double patience;      /* for another loop's, a time of bx_now */
};

static void wipe(char *s) {
  if (s) OPENSSL_cleanse(s, strlen(s));
  free(s);
}

/* The waiters. */

static void unlink_wait(bx_auth_wait *w) {
  w->prev->next = w->next;
  w->next->prev = w->prev;
  w->waiting = false;
}

/* Wakes all present waiters. The ring moves to a head of its own first: any of
** them may ask anew, drop others or, as the last one, free a. */
static void tell(bx_auth *a, const bx_error *e) {
  bx_auth_wait head = a->waiting;
  bx_token_release(a->shared, a);
  if (head.next == &a->waiting) return;
  head.next->prev = head.prev->next = &head;
  a->waiting.prev = a->waiting.next = &a->waiting;
  while (head.next != &head) {
    bx_auth_wait *w = head.next;
    unlink_wait(w);
    w->ready(w, e ? NULL : a->token.bearer, e); /* another one by now, perhaps */
  }
}

/* Has it a token that need not be renewed? */
static bool fresh(bx_auth *a) {
  bx_token_take(a->shared, &a->seen, &a->token);
  return a->token.bearer && bx_token_clock() < a->token.refresh_at;
}

static bool lives(const bx_auth *a) {
  return a->token.bearer && bx_token_clock() < a->token.ends_at;
}

/* Ends an exchange without a token. The one there is, if it still lives, does
** for the waiters, unless the key itself was refused; the next exchange is
** `pause` seconds later at the soonest. */
static void fail(bx_auth *a, const bx_error *e, double pause) {
  bool passing = e->class_ == BX_CONNECTION || e->class_ == BX_QUOTA_EXCEEDED;
  bx_error none;
  bool has = fresh(a); /* another loop had more luck */
  if (!has && passing && lives(a)) {
    a->token.refresh_at = fmin(bx_token_clock() + pause, a->token.ends_at);
    bx_token_give(a->shared, &a->seen, &a->token);
    has = true;
  }
  if (has) {
    tell(a, NULL);
    return;
  }
  if (!a->request) {
    bx_error_set(&none, BX_AUTHENTICATION, BX_NO_CREDENTIALS
                 "; the environment hints at a boxd machine, but its gateway "
                 "gave no token: %s", e->message);
    e = &none;
  }
  tell(a, e);
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
                       .url = a->url[a->at],
                       .headers = headers,
                       .body = a->request,
                       .body_len = strlen(a->request),
                       .timeout = EXCHANGE_SECONDS,
                       .ca_file = a->ca_file,
                       .max_bytes = ANSWER_BYTES_MAX,
                       .proxy = BX_PROXY_TUNNEL,
                       .secret = true};
  a->http = bx_http_start(a->loop, &q, exchanged, a, e);
}

static void ask_gateway(bx_auth *a, bx_error *e) {
  char url[BX_MACHINE_URL_MAX];
  bx_http_request q = {.method = "GET",
                       .url = url,
                       .timeout = EXCHANGE_SECONDS,
                       .connect_timeout = GATEWAY_SECONDS,
                       .max_bytes = ANSWER_BYTES_MAX,
                       .secret = true};
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
  fail(a, &e, UNREACHABLE_PAUSE);
}

/* Exchanges the key, unless another loop does. */
static void renew(bx_auth *a) {
  if (!bx_token_claim(a->shared, a) && bx_now() < a->patience &&
      bx_timer_start(a->loop, &a->retry, bx_now() + OTHERS_LOOK))
    return;
  exchange(a);
}

static void retry_fired(bx_timer *t) {
  bx_auth *a = (bx_auth *)((char *)t - offsetof(bx_auth, retry));
  if (fresh(a))
    tell(a, NULL);
  else
    renew(a);
}

static void log_exchange(const bx_http *h) {
  if (!(bx_observers & BX_LOG_DEBUG)) return;
  if (h->error.class_)
    bx_log_debug("token exchange: %s", h->error.message);
  else
    bx_log_debug("token exchange: HTTP status %ld", h->status);
}

static double refresh_margin(const bx_auth *a, double life) {
  return fmin(a->request ? REFRESH_SECONDS : REFRESH_MACHINE,
              REFRESH_SHARE * life);
}

static bx_exchange_from source(const bx_auth *a) {
  return a->request ? BX_FROM_EXCHANGE : BX_FROM_GATEWAY;
}

static bx_class take_answer(bx_auth *a, bx_http *h, bx_error *e) {
  bx_answer answer;
  if (bx_exchange_read(h, source(a), a->follow, &answer, e)) return e->class_;
  double ends_at = bx_token_clock() + answer.life;
  bx_token_clear(&a->token);
  a->token = (bx_token_value){
      answer.bearer, answer.service_url,
      ends_at - refresh_margin(a, answer.life), ends_at, a->at};
  bx_token_give(a->shared, &a->seen, &a->token);
  return BX_OK;
}

/* A 429. The first one is waited out, unless a token is still good: a timer
** runs then, and BX_OK. */
static bx_class limited(bx_auth *a, int seconds, bx_error *e) {
  if (a->retried || lives(a))
    return bx_error_set(e, BX_QUOTA_EXCEEDED,
                        "the service limits how often API keys are exchanged: "
                        "try again in %d s", seconds);
  a->retried = true;
  if (!bx_timer_start(a->loop, &a->retry, bx_now() + seconds))
    return bx_error_set(e, BX_BOXD, "not enough memory");
  return BX_OK;
}

/* Neither of two addresses exchanges keys. */
static bx_class nowhere(const bx_auth *a, const bx_http *h, bx_error *e) {
  char why[64];
  snprintf(why, sizeof why, "HTTP status %ld", h->status);
  return bx_error_set(e, h->error.class_ ? BX_CONNECTION : BX_AUTHENTICATION,
                      "can't exchange the API key for a token: neither %s nor "
                      "%s does it (%s); give exchange_url (BOXD_EXCHANGE_URL)",
                      a->url[0], a->url[1],
                      h->error.class_ ? h->error.message : why);
}

static bx_class judge(bx_auth *a, bx_http *h, bx_error *e) {
  if (a->strayed && bx_exchange_elsewhere(h)) return nowhere(a, h, e);
  if (h->error.class_) return unreachable(a, &h->error, e);
  if (h->status == 200) return take_answer(a, h, e);
  if (h->status == 429 && a->request)
    return limited(a, bx_exchange_retry_after(h), e);
  return bx_exchange_refused(h->status, source(a), e);
}

/* Turns to the other address, once. */
static bool stray(bx_auth *a, const bx_http *h) {
  if (!a->url[1] || a->strayed || !bx_exchange_elsewhere(h)) return false;
  a->strayed = true;
  a->at = !a->at;
  return true;
}

static void exchanged(bx_http *h) {
  bx_auth *a = h->owner;
  bx_error e;
  bx_error_clear(&e);
  log_exchange(h);
  bool again = stray(a, h);
  if (!again) judge(a, h, &e);
  double pause = h->status == 429 ? bx_exchange_retry_after(h) : 0;
  bx_http_free(h);
  a->http = NULL;
  if (again)
    exchange(a);
  else if (e.class_)
    fail(a, &e, fmax(pause, UNREACHABLE_PAUSE));
  else if (!a->retry.index)
    tell(a, NULL);
}

/* Sharing. */

/* All that makes it another token, as a text with the key. NULL: no memory. */
static char *identity(const bx_auth *a) {
  const char *parts[] = {a->request, a->url[0], a->url[1], a->ca_file,
                         a->follow ? "follow" : NULL};
  size_t len = 1;
  for (int i = 0; i < 5; i++) len += (parts[i] ? strlen(parts[i]) : 0) + 1;
  char *text = calloc(1, len);
  for (int i = 0; text && i < 5; i++) {
    if (parts[i]) strcat(text, parts[i]);
    strcat(text, "\n"); /* in none of them: URLs, JSON on a line, a path */
  }
  return text;
}

static bool open_shared(bx_auth *a) {
  char *text = identity(a);
  a->shared = text ? bx_token_open(text) : NULL;
  wipe(text);
  return a->shared != NULL;
}

/* The loop's one that is like a, which is freed then, or a itself. */
static bx_auth *share(bx_auth *a) {
  for (bx_auth *b = a->loop->auths; b; b = b->next) {
    if (!a->shared || a->shared != b->shared) continue;
    bx_auth_unref(a);
    return bx_auth_ref(b);
  }
  a->next = a->loop->auths;
  a->loop->auths = a;
  return a;
}

static void forget(bx_auth *a) {
  for (bx_auth **at = &a->loop->auths; *at; at = &(*at)->next)
    if (*at == a) {
      *at = a->next;
      return;
    }
}

/* The public part. */

/* Copies a text that may be absent. False: no memory. */
static bool copy(char **to, const char *from) {
  return !from || (*to = strdup(from));
}

static bool fill(bx_auth *a, const bx_auth_config *config) {
  if (config->token) {
    a->token.bearer = bx_exchange_bearer(config->token);
    a->token.refresh_at = a->token.ends_at = BX_FOREVER;
    return a->token.bearer != NULL;
  }
  a->follow = !config->api_key && config->follow;
  if (!config->api_key) return open_shared(a); /* the machine's */
  a->request = bx_exchange_body(config->api_key);
  return a->request && copy(&a->url[0], config->exchange_url[0]) &&
         copy(&a->url[1], config->exchange_url[1]) &&
         copy(&a->ca_file, config->ca_file) && open_shared(a);
}

static bx_class check(const bx_auth_config *config, bx_error *e) {
  const char *secret = config->token ? config->token : config->api_key;
  if (!secret && !config->machine)
    return bx_error_set(e, BX_AUTHENTICATION, BX_NO_CREDENTIALS);
  if (!secret || bx_exchange_plausible(secret)) return BX_OK;
  return bx_error_set(e, BX_AUTHENTICATION,
                      "the %s is empty or has blanks, line breaks or other "
                      "characters in it that none has: was it read from a file "
                      "with its newline?", config->token ? "token" : "API key");
}

static bx_auth *make(bx_loop *loop) {
  bx_auth *a = calloc(1, sizeof *a);
  if (!a) return NULL;
  a->refs = 1;
  a->loop = loop;
  a->waiting.prev = a->waiting.next = &a->waiting;
  a->retry.fire = retry_fired;
  return a;
}

bx_auth *bx_auth_open(bx_loop *loop, const bx_auth_config *config,
                      bx_error *e) {
  if (check(config, e)) return NULL;
  bx_auth *a = make(loop);
  if (a && fill(a, config)) return share(a);
  bx_auth_unref(a);
  bx_error_set(e, BX_BOXD, "not enough memory");
  return NULL;
}

static bool fill_twin(bx_auth *twin, const bx_auth *a) {
  twin->follow = a->follow;
  if (a->shared)
    return copy(&twin->request, a->request) && copy(&twin->url[0], a->url[0]) &&
           copy(&twin->url[1], a->url[1]) &&
           copy(&twin->ca_file, a->ca_file) && open_shared(twin);
  twin->token.refresh_at = twin->token.ends_at = BX_FOREVER;
  return copy(&twin->token.bearer, a->token.bearer);
}

bx_auth *bx_auth_twin(const bx_auth *a, bx_loop *loop) {
  bx_auth *twin = make(loop);
  if (twin && fill_twin(twin, a)) return twin;
  bx_auth_unref(twin);
  return NULL;
}

/* A token that is given never changes; another is its loop's. */
bool bx_auth_is_twin(const bx_auth *a, const bx_auth *b) {
  if (a->shared || b->shared) return a->shared == b->shared;
  return strcmp(a->token.bearer, b->token.bearer) == 0;
}

bx_auth *bx_auth_ref(bx_auth *a) {
  a->refs++;
  return a;
}

void bx_auth_unref(bx_auth *a) {
  if (!a || --a->refs > 0) return;
  forget(a);
  bx_http_free(a->http);
  bx_timer_stop(a->loop, &a->retry);
  bx_token_release(a->shared, a);
  bx_token_unref(a->shared);
  bx_token_clear(&a->token);
  wipe(a->request);
  free(a->url[0]);
  free(a->url[1]);
  free(a->ca_file);
  free(a);
}

void bx_auth_get(bx_auth *a, bx_auth_wait *w) {
  if (fresh(a)) {
    w->ready(w, a->token.bearer, NULL);
    return;
  }
  w->prev = a->waiting.prev;
  w->next = &a->waiting;
  w->prev->next = w->next->prev = w;
  w->waiting = true;
  if (a->http || a->retry.index) return;
  a->retried = a->strayed = false;
  a->at = a->token.home;
  a->patience = bx_now() + OTHERS_SECONDS;
  renew(a);
}

void bx_auth_drop(bx_auth *a, bx_auth_wait *w) {
  (void)a;
  if (w->waiting) unlink_wait(w);
}

bool bx_auth_renewable(const bx_auth *a) { return a->shared != NULL; }

void bx_auth_refused(bx_auth *a, const char *bearer, size_t len) {
  char *own = a->token.bearer;
  if (!a->shared || !own || strlen(own) != len || memcmp(own, bearer, len) != 0)
    return;
  wipe(own);
  a->token.bearer = NULL;
}

const char *bx_auth_service_url(const bx_auth *a) {
  return a->token.service_url;
}
