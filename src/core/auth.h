/*
** auth: where a call's bearer comes from: a token given as such, or an API key
** that is exchanged for one over HTTP. The exchange runs in the background of
** the loop, one at a time whoever waits, and again 300 s before a token ends.
** Reference-counted: the Compute holds one, a wait under way does not need to.
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
} bx_auth_config;

/* One who waits for the bearer; embedded in the waiting call, zeroed before. */
typedef struct bx_auth_wait bx_auth_wait;
struct bx_auth_wait {
  bx_auth_wait *prev, *next;
  bool waiting;
  /* bearer is "Bearer <jwt>", valid during the call; NULL: e says why. May be
  ** called from within bx_auth_get when the token is there. */
  void (*ready)(bx_auth_wait *w, const char *bearer, const bx_error *e);
};

bx_auth *bx_auth_new(bx_loop *loop, const bx_auth_config *config, bx_error *e);
/* Nobody may be waiting. Wipes what it held (OPENSSL_cleanse). */
void bx_auth_free(bx_auth *a);

void bx_auth_get(bx_auth *a, bx_auth_wait *w);
/* Takes w off; the exchange goes on for the others. Idempotent. */
void bx_auth_drop(bx_auth *a, bx_auth_wait *w);

#endif
