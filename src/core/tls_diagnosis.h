/*
** tls_diagnosis: what gRPC's words for a failed connection leave out. It says
** that a certificate was refused, but not why: asking the endpoint once more
** over https, verified in the same way, shows it. Nothing but the words depends
** on that, and no bearer is sent.
*/
#ifndef BX_WHY_H
#define BX_WHY_H

#include "channel.h"
#include "http.h"

/* Adds to e the facts known without asking. Else, when asking may show more,
** starts that: `done` comes with `owner`, which frees the request with
** bx_http_free after, or instead of, bx_why_told. NULL: e is as good as it
** gets. */
bx_http *bx_why_ask(const bx_channel *ch, bx_error *e,
                    void (*done)(bx_http *h), void *owner);

/* Puts the answer into e, when it is one. */
void bx_why_told(const bx_channel *ch, const bx_http *h, bx_error *e);

#endif
