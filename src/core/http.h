/*
** http: one HTTP request in the background of the loop, by libcurl, which is
** loaded at the first request. The request owns copies of all it was given.
*/
#ifndef BX_HTTP_H
#define BX_HTTP_H

#include "buf.h"
#include "error.h"
#include "loop.h"

typedef struct bx_http_request {
  const char *method;         /* "GET", "POST", ... */
  const char *url;            /* http or https */
  const char *const *headers; /* "Name: value", NULL at the end; or NULL */
  const void *body;           /* sent when not NULL */
  size_t body_len;
  double timeout;             /* seconds for all of it */
  const char *ca_file;        /* PEM roots instead of the system's, or NULL */
  size_t max_bytes;           /* a longer response body is an error */
  int max_redirects;          /* 0: a redirect is the response */
} bx_http_request;

typedef struct bx_http bx_http;
struct bx_http {
  bx_event done;  /* set when the response is complete, or failed */
  bx_error error; /* class BX_OK: the fields below hold the response */
  long status;
  bx_buf headers; /* the last response's header lines, "Name: value\r\n"... */
  bx_buf body;
  /* Called as done is set, or NULL. It may free the request. */
  void (*on_done)(bx_http *h);
  void *owner;
};

/* NULL and e filled when it can't start (libcurl missing, a bad URL). The
** caller frees it with bx_http_free, at any time: that cancels it. */
bx_http *bx_http_start(bx_loop *loop, const bx_http_request *request,
                       void (*on_done)(bx_http *h), void *owner, bx_error *e);
void bx_http_free(bx_http *h);

#endif
