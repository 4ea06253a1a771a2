/*
** token: what this process has in exchange for a key, for the loops of all its
** threads. Each has a bx_auth of its own (auth.h), which takes a token that
** another one has got, and says what it got itself.
**
** All functions may be called from any thread. NULL for a token is fine: then
** there is nothing to share.
*/
#ifndef BX_TOKEN_H
#define BX_TOKEN_H

#include <stdbool.h>

typedef struct bx_token bx_token;

typedef struct bx_token_value {
  char *bearer; /* "Bearer <jwt>"; NULL: none yet, or a refused one */
  char *service_url; /* where a machine's gateway says the service is, or NULL */
  double refresh_at, ends_at; /* of bx_token_clock */
  int home; /* which address of the exchange gave it */
} bx_token_value;

/* Seconds, also of those in which the machine sleeps. */
double bx_token_clock(void);

/* Wipes and frees the texts. */
void bx_token_clear(bx_token_value *v);

/* The token of that identity (a text of key and exchange), made if there is
** none: the caller owns a reference. NULL: no memory. */
bx_token *bx_token_open(const char *identity);

/* Wipes it with the last reference. */
void bx_token_unref(bx_token *t);

/* Replaces *v, of version *seen, by a later one if there is. Without memory for
** it *v stays. */
void bx_token_take(bx_token *t, unsigned *seen, bx_token_value *v);

/* Makes *v the latest, for the others to take. Without memory they don't. */
void bx_token_give(bx_token *t, unsigned *seen, const bx_token_value *v);

/* Is it for `who` to exchange the key: does no other do it? */
bool bx_token_claim(bx_token *t, const void *who);
/* `who` exchanges it no longer; no matter if it did not. */
void bx_token_release(bx_token *t, const void *who);

#endif
