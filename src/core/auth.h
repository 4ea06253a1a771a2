/*
** auth: where a call's bearer comes from: a token given as such, an API key
** that is exchanged for one over HTTP, or the gateway of the boxd machine we
** run in. The exchange runs in the background of the loop, one at a time
** however many wait, and again 300 s before a token ends (60 s for a machine's;
** in its last tenth for one that lives less than ten times that).
**
** Clients of a loop with the same key and the same exchange share one bx_auth,
** and those of all loops of the process one token (token.h). Each owns a
** reference, as does each of its calls until it is over; the last one to go
** wipes key and token.
**
** A key goes to the first exchange URL; where that does not exchange keys
** (HTTP status 404, 405 or a redirect, or a name that does not exist), once to
** the second, if there is one. It follows no redirect, and goes through a proxy
** of the environment (HTTPS_PROXY) by CONNECT only, within TLS.
**
** Errors that a wait ends with: BX_AUTHENTICATION (the key is refused, or the
** answer is not the one the service gives), BX_QUOTA_EXCEEDED (refused for
** another while), BX_CONNECTION (no answer in 10 s), BX_INVALID_ARGUMENT (the
** URL or the ca_file), BX_BOXD. None is kept: the next wait makes a new
** exchange. No message holds a key or a token.
*/
#ifndef BX_AUTH_H
#define BX_AUTH_H

#include "error.h"
#include "loop.h"

/* What to do about having none. */
#define BX_NO_CREDENTIALS                                          \
  "no credentials: give api_key or token, or set BOXD_API_KEY or " \
  "BOXD_TOKEN (boxdlua --local needs none)"

typedef struct bx_auth bx_auth;

typedef struct bx_auth_config {
  const char *token;        /* used as it is; or NULL */
  const char *api_key;      /* exchanged; or NULL */
  const char *exchange_url[2]; /* for api_key; the second may be NULL */
  const char *ca_file;      /* for api_key over https, or NULL */
  bool machine;             /* without the two: ask the machine's gateway */
  bool follow;              /* ... also where the service is */
} bx_auth_config;

/* A waiter for the bearer; embedded in the waiting call, zeroed before. */
typedef struct bx_auth_wait bx_auth_wait;
struct bx_auth_wait {
  bx_auth_wait *prev, *next;
  bool waiting;
  /* bearer is "Bearer <jwt>", valid during the call; NULL: e says why. May be
  ** called from within bx_auth_get, when the token is there or the exchange
  ** can't start. w is off the list: it may be freed. */
  void (*ready)(bx_auth_wait *w, const char *bearer, const bx_error *e);
};

/* One of the loop's that has the same key and exchange, or a new one: the
** caller owns a reference. Never touches the network. NULL and e filled: there
** is no credential, or it has characters in it that none has
** (BX_AUTHENTICATION). Copies all it is given. */
bx_auth *bx_auth_open(bx_loop *loop, const bx_auth_config *config,
                      bx_error *e);
bx_auth *bx_auth_ref(bx_auth *a);

/* Another of the same credentials for another loop, of which it touches nothing.
** NULL: no memory. */
bx_auth *bx_auth_twin(const bx_auth *a, bx_loop *loop);

/* Have they the same credentials? */
bool bx_auth_is_twin(const bx_auth *a, const bx_auth *b);

/* Drops a reference; NULL is fine. With the last one nothing may be waiting;
** may be called from the last one's ready. Wipes its secrets (OPENSSL_cleanse).
** */
void bx_auth_unref(bx_auth *a);

/* w must not be waiting. */
void bx_auth_get(bx_auth *a, bx_auth_wait *w);
/* Takes w off; the exchange goes on for the others. Idempotent. */
void bx_auth_drop(bx_auth *a, bx_auth_wait *w);

/* False: the bearer was given as such, and no other can be had. */
bool bx_auth_renewable(const bx_auth *a);

/* The service has refused this bearer ("Bearer <jwt>", len bytes): the next
** wait makes a new exchange, unless another bearer is there already. */
void bx_auth_refused(bx_auth *a, const char *bearer, size_t len);

/* Where the machine's gateway says the service is, unchecked: known with the
** first bearer, valid until the next. NULL: not to be followed, or none given.
** */
const char *bx_auth_service_url(const bx_auth *a);

#endif
