/*
** auth: where a call's bearer comes from: a token given as such, an API key
** that is exchanged for one over HTTP, or the gateway of the boxd machine we
** run in. The exchange runs in the background of the loop, one at a time
** whoever waits, and again 300 s before a token ends (60 s for a machine's;
** in its last tenth for one that lives less than ten times that).
** The Compute owns it, and ends its calls, which may wait, before it frees it.
**
** Errors that a wait ends with: BX_AUTHENTICATION (the key is refused, or the
** answer is not the one the service gives), BX_QUOTA_EXCEEDED (refused for
** another while), BX_CONNECTION (no answer in 10 s), BX_INVALID_ARGUMENT (the
** URL or the ca_file), BX_BOXD. None is kept: who asks next makes a new
** exchange. No message holds a key or a token.
*/
#ifndef BX_AUTH_H
#define BX_AUTH_H

#include "error.h"
#include "loop.h"

typedef struct bx_auth bx_auth;

typedef struct bx_auth_config {
  const char *token;        /* used as it is; or NULL */
  const char *api_key;      /* exchanged; or NULL */
  const char *exchange_url; /* for api_key */
  const char *ca_file;      /* for api_key over https, or NULL */
  bool machine;             /* without the two: ask the machine's gateway */
  bool follow;              /* ... also where the service is */
} bx_auth_config;

/* One who waits for the bearer; embedded in the waiting call, zeroed before. */
typedef struct bx_auth_wait bx_auth_wait;
struct bx_auth_wait {
  bx_auth_wait *prev, *next;
  bool waiting;
  /* bearer is "Bearer <jwt>", valid during the call; NULL: e says why. May be
  ** called from within bx_auth_get, when the token is there or the exchange
  ** can't start. w is off the list: it may be freed. */
  void (*ready)(bx_auth_wait *w, const char *bearer, const bx_error *e);
};

/* Never touches the network. NULL and e filled: there is no credential, or it
** has characters in it that none has. Copies all it is given. */
bx_auth *bx_auth_new(bx_loop *loop, const bx_auth_config *config, bx_error *e);

/* Nobody may be waiting; may be called from the last one's ready. Wipes what it
** held (OPENSSL_cleanse). */
void bx_auth_free(bx_auth *a);

/* w must not be waiting. */
void bx_auth_get(bx_auth *a, bx_auth_wait *w);
/* Takes w off; the exchange goes on for the others. Idempotent. */
void bx_auth_drop(bx_auth *a, bx_auth_wait *w);

/* Where the machine's gateway says the service is, unchecked: known with the
** first bearer, valid until the next. NULL: not to be followed, or none told. */
const char *bx_auth_service_url(const bx_auth *a);

#endif
