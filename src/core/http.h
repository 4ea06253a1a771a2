/*
** http: one HTTP request in the background of the loop, by libcurl, which is
** loaded at the first request. The request owns copies of all it was given,
** and wipes them, with the response, when it is freed: they may hold keys.
**
** TLS is always verified. Nothing but http and https is spoken, and a redirect
** never leads from https to http.
*/
#ifndef BX_HTTP_H
#define BX_HTTP_H

#include <time.h>

#include "buf.h"
#include "error.h"
#include "loop.h"

typedef enum bx_proxy {
  BX_PROXY_NONE,
  BX_PROXY_ANY,
  BX_PROXY_TUNNEL /* only by CONNECT within TLS: it reads nothing */
} bx_proxy;

typedef struct bx_http_request {
  const char *method;         /* "GET", "POST", ... */
  const char *url;            /* http or https */
  const char *const *headers; /* "Name: value", NULL at the end; or NULL */
  const void *body;           /* sent when not NULL */
  size_t body_len;
  double timeout;             /* seconds for all of it */
  double connect_timeout;     /* ... of which for connecting; 0: any */
  const char *ca_file;        /* PEM roots instead of the system's, or NULL */
  size_t max_bytes;           /* a longer response body is an error */
  int max_redirects;          /* 0: a redirect is the response. Followed for
                                 GET, HEAD and POST only; another host does not
                                 get the headers Authorization and Cookie */
  bx_proxy proxy;             /* the environment's, never to this machine */
  bool secret;                /* libcurl is to keep no copy of the response */
} bx_http_request;

typedef struct bx_http bx_http;
struct bx_http {
  bx_event done;  /* set when the response is complete, or failed */
  /* Class BX_OK: the fields below hold the response. BX_CONNECTION: can't be
  ** reached, or broke off; BX_TIMEOUT; BX_INVALID_ARGUMENT: a ca_file that is
  ** none; BX_BOXD: the answer is not HTTP, too long, redirected too often. */
  bx_error error;
  bool unknown_host; /* with an error: nothing has the URL's name */
  long status;
  bx_buf headers; /* the last response's header lines, "Name: value\r\n"... */
  bx_buf body;
  /* Called as done is set, or NULL. It may free the request. */
  void (*on_done)(bx_http *h);
  void *owner;
};

/* NULL and e filled when it can't start (libcurl missing; a bad URL, method or
** header: BX_INVALID_ARGUMENT). on_done is never called from within. The caller
** frees it with bx_http_free, at any time: that cancels it, and takes off who
** waits for done. */
bx_http *bx_http_start(bx_loop *loop, const bx_http_request *request,
                       void (*on_done)(bx_http *h), void *owner, bx_error *e);
void bx_http_free(bx_http *h);

/* The value of the first response header of that name, in any case, without
** blanks around it; *len is its length. NULL: there is none. */
const char *bx_http_header(const bx_http *h, const char *name, size_t *len);

/* The time that a response header of that name gives as an HTTP date; -1: none,
** or no date. */
time_t bx_http_date(const bx_http *h, const char *name);

#endif
