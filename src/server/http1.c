#include "http1.h"

#include <string.h>
#include <strings.h>

#define METHOD_MAX 16

static bx_http1_state bad(bx_http1 *r, int status, const char *why) {
  r->status = status;
  r->why = why;
  return BX_HTTP1_BAD;
}

static bool is_token_char(unsigned char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
         (c >= 'a' && c <= 'z') || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token(const char *s, size_t len) {
  for (size_t i = 0; i < len; i++)
    if (!is_token_char((unsigned char)s[i])) return false;
  return len > 0;
}

bool bx_http1_is_value(const char *s, size_t len) {
  for (size_t i = 0; i < len; i++)
    if (((unsigned char)s[i] < ' ' && s[i] != '\t') || s[i] == 0x7f)
      return false;
  return true;
}

static bool is_target(const char *s, size_t len) {
  for (size_t i = 0; i < len; i++)
    if ((unsigned char)s[i] <= ' ' || (unsigned char)s[i] >= 0x7f) return false;
  return len > 0 && s[0] == '/';
}

static bool equals(bx_http1_text t, const char *s) {
  return t.len == strlen(s) && strncasecmp(t.data, s, t.len) == 0;
}

/* METHOD SP /target SP HTTP/1.1 */
static bx_http1_state request_line(const char *s, size_t len, bx_http1 *r) {
  const char *end = s + len, *space = memchr(s, ' ', len);
  if (!space || !is_token(s, (size_t)(space - s)))
    return bad(r, 400, "the request line is not HTTP");
  r->method = (bx_http1_text){s, (size_t)(space - s)};
  if (r->method.len > METHOD_MAX) return bad(r, 501, "no such method");
  const char *target = space + 1;
  space = memchr(target, ' ', (size_t)(end - target));
  if (!space) return bad(r, 400, "the request line is not HTTP");
  r->target = (bx_http1_text){target, (size_t)(space - target)};
  size_t n = (size_t)(end - space - 1);
  if (n != 8 || memcmp(space + 1, "HTTP/", 5) != 0)
    return bad(r, 400, "the request line is not HTTP");
  if (memcmp(space + 1, "HTTP/1.1", 8) != 0 &&
      memcmp(space + 1, "HTTP/1.0", 8) != 0)
    return bad(r, 505, "only HTTP/1.1 is spoken here");
  if (!is_target(r->target.data, r->target.len))
    return bad(r, 400, "the request target must be a path");
  return BX_HTTP1_DONE;
}

/* Name ":" blanks value blanks; no folded lines. */
static bx_http1_state header_line(const char *s, size_t len, bx_http1 *r) {
  const char *colon = memchr(s, ':', len);
  if (!colon || !is_token(s, (size_t)(colon - s)))
    return bad(r, 400, "a header line is not NAME: VALUE");
  const char *v = colon + 1, *end = s + len;
  while (v < end && (*v == ' ' || *v == '\t')) v++;
  while (end > v && (end[-1] == ' ' || end[-1] == '\t')) end--;
  if (!bx_http1_is_value(v, (size_t)(end - v)))
    return bad(r, 400, "a header has control characters");
  if (r->count == BX_HTTP1_HEADERS_MAX) return bad(r, 431, "too many headers");
  r->headers[r->count++] = (bx_http1_header){
      {s, (size_t)(colon - s)}, {v, (size_t)(end - v)}};
  return BX_HTTP1_DONE;
}

const bx_http1_text *bx_http1_find(const bx_http1 *r, const char *name) {
  for (size_t i = 0; i < r->count; i++)
    if (equals(r->headers[i].name, name)) return &r->headers[i].value;
  return NULL;
}

static size_t count_named(const bx_http1 *r, const char *name) {
  size_t n = 0;
  for (size_t i = 0; i < r->count; i++) n += equals(r->headers[i].name, name);
  return n;
}

static bx_http1_state content_length(bx_http1_text t, size_t *out,
                                     bx_http1 *r) {
  size_t n = 0;
  for (size_t i = 0; i < t.len; i++) {
    if (t.data[i] < '0' || t.data[i] > '9')
      return bad(r, 400, "Content-Length is not a number");
    if (n <= BX_HTTP1_BODY_MAX) n = n * 10 + (size_t)(t.data[i] - '0');
  }
  if (t.len == 0) return bad(r, 400, "Content-Length is not a number");
  if (n > BX_HTTP1_BODY_MAX) return bad(r, 413, "the body is too long");
  *out = n;
  return BX_HTTP1_DONE;
}

/* The body as the headers describe it, and requests that we don't support. */
static bx_http1_state framing(bx_http1 *r, size_t *body) {
  const bx_http1_text *length = bx_http1_find(r, "Content-Length");
  *body = 0;
  if (bx_http1_find(r, "Transfer-Encoding"))
    return length ? bad(r, 400, "both Content-Length and Transfer-Encoding")
                  : bad(r, 501, "send the body with a Content-Length");
  if (count_named(r, "Content-Length") > 1)
    return bad(r, 400, "more than one Content-Length");
  /* The last digit of the version is 9 bytes behind the target. */
  size_t hosts = count_named(r, "Host");
  bool must = r->target.data[r->target.len + 8] == '1';
  if (hosts > 1 || (must && hosts == 0))
    return bad(r, 400, "exactly one Host header is needed");
  if (bx_http1_find(r, "Expect"))
    return bad(r, 417, "send the body without waiting");
  if (length) return content_length(*length, body, r);
  if (equals(r->method, "POST") || equals(r->method, "PUT") ||
      equals(r->method, "PATCH"))
    return bad(r, 411, "send the body with a Content-Length");
  return BX_HTTP1_DONE;
}

/* One line up to CRLF; NULL: it is not complete. A bare LF or CR is an error,
** reported by *ok. */
static const char *line_end(const char *s, const char *end, bool *ok) {
  *ok = true;
  for (; s < end; s++) {
    if (*s != '\r' && *s != '\n') continue;
    if (*s == '\r' && s + 1 == end) return NULL;
    *ok = *s == '\r' && s[1] == '\n';
    return s;
  }
  return NULL;
}

/* Up to and with the empty line; *head is its length then. */
static bx_http1_state read_head(const char *data, size_t len, bx_http1 *r,
                                size_t *head) {
  const char *s = data, *end = data + len;
  bool limited = len > BX_HTTP1_HEAD_MAX, ok;
  if (limited) end = data + BX_HTTP1_HEAD_MAX;
  for (bool first = true;; first = false) {
    const char *eol = line_end(s, end, &ok);
    if (!ok) return bad(r, 400, "lines must end in CR LF");
    if (!eol && (limited || len == BX_HTTP1_HEAD_MAX))
      return first ? bad(r, 414, "the request line is too long")
                   : bad(r, 431, "the headers are too long");
    if (!eol) return BX_HTTP1_MORE;
    bx_http1_state state = BX_HTTP1_DONE;
    if (first)
      state = request_line(s, (size_t)(eol - s), r);
    else if (eol > s)
      state = header_line(s, (size_t)(eol - s), r);
    if (state != BX_HTTP1_DONE) return state;
    bool last = !first && eol == s;
    s = eol + 2;
    *head = (size_t)(s - data);
    if (last) return BX_HTTP1_DONE;
  }
}

bx_http1_state bx_http1_parse(const char *data, size_t len, bx_http1 *r) {
  size_t head = 0, body;
  r->count = 0;
  r->need = len + 1;
  bx_http1_state state = read_head(data, len, r, &head);
  if (state == BX_HTTP1_DONE) state = framing(r, &body);
  if (state != BX_HTTP1_DONE) return state;
  r->need = head + body;
  if (len < r->need) return BX_HTTP1_MORE;
  r->body = (bx_http1_text){data + head, body};
  return BX_HTTP1_DONE;
}

const char *bx_http1_reason(int status) {
  static const struct {
    int status;
    const char *reason;
  } reasons[] = {
      {200, "OK"},
      {201, "Created"},
      {204, "No Content"},
      {302, "Found"},
      {307, "Temporary Redirect"},
      {400, "Bad Request"},
      {401, "Unauthorized"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {408, "Request Timeout"},
      {411, "Length Required"},
      {413, "Content Too Large"},
      {414, "URI Too Long"},
      {415, "Unsupported Media Type"},
      {417, "Expectation Failed"},
      {429, "Too Many Requests"},
      {431, "Request Header Fields Too Large"},
      {500, "Internal Server Error"},
      {501, "Not Implemented"},
      {502, "Bad Gateway"},
      {503, "Service Unavailable"},
      {504, "Gateway Timeout"},
      {505, "HTTP Version Not Supported"},
  };
  for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
    if (reasons[i].status == status) return reasons[i].reason;
  return status < 400 ? "OK" : "Error";
}
