/*
** exchange: the words of a token exchange for auth: the body that asks, and the
** answer of the service, or of a machine's gateway, taken apart.
*/
#ifndef BX_EXCHANGE_H
#define BX_EXCHANGE_H

#include <stdbool.h>

#include "error.h"
#include "http.h"

/* Where an answer comes from. */
typedef enum bx_exchange_from { BX_FROM_EXCHANGE, BX_FROM_GATEWAY } bx_exchange_from;

/* The caller owns both texts, and wipes the bearer before it frees it. */
typedef struct bx_answer {
  char *bearer;      /* "Bearer <jwt>" */
  double life;       /* seconds from now, by the clock of the answer's sender */
  char *service_url; /* where a gateway says the service is; NULL: nowhere */
} bx_answer;

/* Has s only characters that a key or a token may have, and one at least? */
bool bx_exchange_plausible(const char *s);

/* {"api_key": key}; NULL: no memory. The caller wipes and frees it. */
char *bx_exchange_body(const char *key);

/* "Bearer TOKEN"; NULL: no memory. The caller wipes and frees it. */
char *bx_exchange_bearer(const char *token);

/* Reads a response of HTTP status 200; its api_url only to follow it. On
** failure (BX_AUTHENTICATION, BX_BOXD) nothing is left in *out. */
bx_class bx_exchange_read(bx_http *h, bx_exchange_from from, bool follow,
                          bx_answer *out, bx_error *e);

/* Fills e with what another status than 200 means. */
bx_class bx_exchange_refused(long status, bx_exchange_from from, bx_error *e);

/* Seconds that a 429 asks to wait, at most 60; 5 if it does not say. */
int bx_exchange_retry_after(const bx_http *h);

/* Does the answer say that keys are exchanged elsewhere: HTTP status 404, 405
** or a redirect, or no such host? */
bool bx_exchange_elsewhere(const bx_http *h);

#endif
