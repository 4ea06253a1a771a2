/*
** http1: reads one HTTP/1.1 request out of bytes, strictly and within bounds.
** Pure functions; results point into the caller's bytes.
*/
#ifndef BX_HTTP1_H
#define BX_HTTP1_H

#include <stdbool.h>
#include <stddef.h>

#define BX_HTTP1_HEAD_MAX 8192   /* request line and headers, bytes */
#define BX_HTTP1_BODY_MAX 65536
#define BX_HTTP1_HEADERS_MAX 64

typedef enum bx_http1_state {
  BX_HTTP1_MORE, /* the request is not complete: at least `need` bytes of all */
  BX_HTTP1_DONE,
  BX_HTTP1_BAD   /* `status` and `why` say what to answer */
} bx_http1_state;

typedef struct bx_http1_text {
  const char *data;
  size_t len;
} bx_http1_text;

typedef struct bx_http1_header {
  bx_http1_text name, value; /* value without the blanks around it */
} bx_http1_header;

typedef struct bx_http1 {
  bx_http1_text method, target; /* target: path and query, begins with '/' */
  bx_http1_header headers[BX_HTTP1_HEADERS_MAX];
  size_t count;
  bx_http1_text body;
  size_t need;
  int status;
  const char *why; /* static text */
} bx_http1;

/* All that has come so far, from the first byte. */
bx_http1_state bx_http1_parse(const char *data, size_t len, bx_http1 *r);

/* The value of the header (any case), or NULL. */
const bx_http1_text *bx_http1_find(const bx_http1 *r, const char *name);

/* "OK" for 200. */
const char *bx_http1_reason(int status);

/* May this be a header's value (no control characters but tabs)? */
bool bx_http1_is_value(const char *s, size_t len);

#endif
