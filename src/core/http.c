#include "http.h"

#include <ctype.h>
#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "curl.h"
#include "roots.h"
#include "runtime.h"

#define HEADER_BYTES_MAX (256 << 10) /* of one response */
#define TIMEOUT_MS_MAX 2e9           /* libcurl's clock has 32 bits */
/* Up to here the body's room is taken at once: growing would leave copies of
** it behind in freed memory, and short bodies are the ones with tokens. */
#define ROOM_AT_ONCE (64 << 10)
#define THIS_MACHINE "localhost,127.0.0.0/8,::1"

/* A request as the caller sees it, and our side of it. */
typedef struct request {
  bx_http pub;
  bx_transfer transfer;
  bx_loop *loop;
  const bx_curl_library *lib;
  struct curl_slist *headers;
  char *where; /* "host" or "host:port" of the URL */
  char *body;
  size_t body_len, max_bytes;
  bool body_too_long, headers_too_long, no_memory;
  bool follows; /* redirects */
  bool last;    /* all headers are there */
  char reason[CURL_ERROR_SIZE];
} request;

/* Received bytes. A count other than the one given ends the transfer. */

static size_t on_body(char *data, size_t size, size_t n, void *arg) {
  request *r = arg;
  n *= size;
  if (n > r->max_bytes - r->pub.body.len)
    r->body_too_long = true;
  else if (!bx_buf_add(&r->pub.body, data, n))
    r->no_memory = true;
  else
    return n;
  return 0;
}

/* Are these the last headers? Not those of an interim answer, or of a redirect
** that is followed. Those after the last are trailers. */
static bool is_last(const request *r) {
  long status = 0;
  size_t len;
  r->lib->easy_getinfo(r->transfer.easy, CURLINFO_RESPONSE_CODE, &status);
  bool leads = status >= 300 && status < 400 && r->follows &&
               bx_http_header(&r->pub, "Location", &len);
  return status >= 200 && !leads;
}

/* Adds a line; one that begins with a blank goes on with the line before. */
static bool add_line(bx_buf *b, const char *data, size_t n) {
  if (b->len == 0 || (*data != ' ' && *data != '\t'))
    return bx_buf_add(b, data, n);
  while (b->len > 0 && isspace((unsigned char)b->data[b->len - 1])) b->len--;
  while (n > 1 && (*data == ' ' || *data == '\t')) data++, n--;
  return bx_buf_add(b, " ", 1) && bx_buf_add(b, data, n);
}

static size_t on_header(char *data, size_t size, size_t n, void *arg) {
  request *r = arg;
  bx_buf *b = &r->pub.headers;
  n *= size;
  if (n <= 2 && memchr(data, '\n', n)) { /* the end of them */
    r->last = r->last || is_last(r);
    return n;
  }
  if (!r->last && n > 5 && memcmp(data, "HTTP/", 5) == 0) {
    b->len = 0;
    return n;
  }
  if (n > HEADER_BYTES_MAX - b->len)
    r->headers_too_long = true;
  else if (!add_line(b, data, n))
    r->no_memory = true;
  else
    return n;
  return 0;
}

/* Programs that the host starts must not inherit the connection. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose,
                                 struct curl_sockaddr *a) {
  (void)arg;
  (void)purpose;
  return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* The end. */

static bx_class class_of(CURLcode rc) {
  switch (rc) {
    case CURLE_OPERATION_TIMEDOUT:
      return BX_TIMEOUT;
    case CURLE_SSL_CACERT_BADFILE:
      return BX_INVALID_ARGUMENT;
    case CURLE_UNSUPPORTED_PROTOCOL: /* an answer of no known version, or a */
    case CURLE_URL_MALFORMAT:        /* redirect to no good URL */
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_TOO_MANY_REDIRECTS:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT:
      return BX_BOXD;
    default:
      return BX_CONNECTION;
  }
}

/* libcurl 8.6 begins to tell these apart from a lack of memory. */
#define TOO_LARGE ((CURLcode)100)

/* libcurl's words for these would not say it. */
static void explain_protocol(request *r, const char *reason) {
  long status = 0;
  r->lib->easy_getinfo(r->transfer.easy, CURLINFO_RESPONSE_CODE, &status);
  bx_error_set(&r->pub.error, BX_BOXD,
               status >= 300 && status < 400
                   ? "%s: the redirect is not followed, which leads from https "
                     "to http or to another scheme: %s"
                   : "%s: the answer is not HTTP: %s",
               r->where, reason);
}

static void explain(request *r, CURLcode rc) {
  bx_error *e = &r->pub.error;
  const char *reason = r->reason[0] ? r->reason : r->lib->easy_strerror(rc);
  r->pub.unknown_host = rc == CURLE_COULDNT_RESOLVE_HOST;
  if (r->body_too_long)
    bx_error_set(e, BX_BOXD, "%s: the response is longer than %zu bytes",
                 r->where, r->max_bytes);
  else if (r->headers_too_long)
    bx_error_set(e, BX_BOXD, "%s: the response's headers are longer than %d "
                 "bytes", r->where, HEADER_BYTES_MAX);
  else if (r->no_memory)
    bx_error_set(e, BX_BOXD, "not enough memory");
  else if (rc == TOO_LARGE || (rc == CURLE_OUT_OF_MEMORY && !r->last))
    bx_error_set(e, BX_BOXD, "%s: a header of the response is longer than "
                 "100 KB, or there is not enough memory", r->where);
  else if (rc == CURLE_UNSUPPORTED_PROTOCOL)
    explain_protocol(r, reason);
  else if (rc == CURLE_PARTIAL_FILE)
    bx_error_set(e, BX_CONNECTION, "%s: the connection was closed before the "
                 "end of the response: %s", r->where, reason);
  else
    bx_error_set(e, class_of(rc), "%s: %s", r->where, reason);
}

static void finished(bx_transfer *t, CURLcode rc, const bx_error *e) {
  request *r = (request *)((char *)t - offsetof(request, transfer));
  bx_http *h = &r->pub;
  if (e)
    h->error = *e;
  else if (rc)
    explain(r, rc);
  else
    r->lib->easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &h->status);
  bx_event_set(r->loop, &h->done);
  if (h->on_done) h->on_done(h);
}

/* The start. */

static bx_class no_memory(bx_error *e) {
  return bx_error_set(e, BX_BOXD, "not enough memory");
}

static bool is_token(const char *s, size_t n) {
  if (n == 0) return false;
  for (size_t i = 0; i < n; i++)
    if (!isalnum((unsigned char)s[i]) && !strchr("!#$%&'*+-.^_`|~", s[i]))
      return false;
  return true;
}

/* Checks the URL and notes its host and port, which errors name: never the URL
** itself, which may hold a password. */
static bx_class check_url(request *r, const char *url, bx_error *e) {
  const bx_curl_library *lib = r->lib;
  char *scheme = NULL, *host = NULL, *port = NULL;
  CURLU *u = lib->url();
  if (!u) return no_memory(e);
  CURLUcode rc = lib->url_set(u, CURLUPART_URL, url, 0);
  if (!rc) rc = lib->url_get(u, CURLUPART_SCHEME, &scheme, 0);
  if (!rc) rc = lib->url_get(u, CURLUPART_HOST, &host, 0);
  if (!rc) lib->url_get(u, CURLUPART_PORT, &port, 0);
  if (rc)
    bx_error_set(e, BX_INVALID_ARGUMENT,
                 "the URL is not one like https://host/path: %s",
                 lib->url_strerror(rc));
  else if (strcmp(scheme, "http") && strcmp(scheme, "https"))
    bx_error_set(e, BX_INVALID_ARGUMENT,
                 "the URL's scheme is '%s': only http and https are known",
                 scheme);
  else if (asprintf(&r->where, "%s%s%s", host, port ? ":" : "",
                    port ? port : "") < 0)
    no_memory(e);
  lib->free(scheme);
  lib->free(host);
  lib->free(port);
  lib->url_cleanup(u);
  return e->class_;
}

static bx_class add_header(request *r, const char *line, bx_error *e) {
  struct curl_slist *list = r->lib->slist_append(r->headers, line);
  if (!list) return no_memory(e);
  r->headers = list;
  return BX_OK;
}

/* libcurl takes "Name:" for a wish to send no such header, and "Name;" for an
** empty one. */
static bx_class add_checked(request *r, const char *line, bx_error *e) {
  size_t name = strcspn(line, ":");
  const char *value = line + name + (line[name] == ':');
  if (line[name] != ':' || !is_token(line, name) || strpbrk(value, "\r\n"))
    return bx_error_set(e, BX_INVALID_ARGUMENT,
                        "the header '%.*s' is not one like 'Name: value' on "
                        "one line", (int)strcspn(line, ":\r\n"), line);
  if (value[strspn(value, " \t")]) return add_header(r, line, e);
  char *empty = strndup(line, name + 1);
  if (!empty) return no_memory(e);
  empty[name] = ';';
  add_header(r, empty, e);
  free(empty);
  return e->class_;
}

/* The caller's headers, and off with those that libcurl would add unasked: a
** content type that is a guess, and a wait for leave to send. */
static bx_class add_headers(request *r, const char *const *lines, bx_error *e) {
  bool type = false, expect = false;
  for (; lines && *lines; lines++) {
    if (add_checked(r, *lines, e)) return e->class_;
    type = type || strncasecmp(*lines, "Content-Type:", 13) == 0;
    expect = expect || strncasecmp(*lines, "Expect:", 7) == 0;
  }
  if (!type && add_header(r, "Content-Type:", e)) return e->class_;
  if (!expect) return add_header(r, "Expect:", e);
  return BX_OK;
}

/* One option; the first failure stays. */
#define SET(option, value)                                   \
  do {                                                       \
    if (!rc) rc = lib->easy_setopt(easy, (option), (value)); \
  } while (0)

static CURLcode set_method(request *r, const bx_http_request *q) {
  const bx_curl_library *lib = r->lib;
  CURL *easy = r->transfer.easy;
  CURLcode rc = CURLE_OK;
  bool get = !strcmp(q->method, "GET"), head = !strcmp(q->method, "HEAD");
  bool post = !strcmp(q->method, "POST");
  if (q->body || post) {
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_len);
    SET(CURLOPT_POSTFIELDS, r->body ? r->body : "");
  }
  if (head) SET(CURLOPT_NOBODY, 1L);
  if ((get && q->body) || !(get || head || post))
    SET(CURLOPT_CUSTOMREQUEST, q->method);
  /* Another method would be repeated where a redirect asks for a GET. */
  if (q->max_redirects > 0 && ((get && !q->body) || head || post)) {
    r->follows = true;
    SET(CURLOPT_FOLLOWLOCATION, 1L);
    SET(CURLOPT_MAXREDIRS, (long)q->max_redirects);
  }
  return rc;
}

/* Proxies: none, or the environment's, except to this machine. */
static CURLcode set_proxy(request *r, const bx_http_request *q) {
  const bx_curl_library *lib = r->lib;
  CURL *easy = r->transfer.easy;
  CURLcode rc = CURLE_OK;
  bool secure = strncasecmp(q->url, "https:", 6) == 0;
  if (q->proxy == BX_PROXY_NONE || (q->proxy == BX_PROXY_TUNNEL && !secure)) {
    SET(CURLOPT_PROXY, "");
    return rc;
  }
  const char *none = getenv("no_proxy");
  if (!none) none = getenv("NO_PROXY");
  if (none && strcmp(none, "*") == 0) {
    SET(CURLOPT_PROXY, "");
    return rc;
  }
  char *list;
  if (asprintf(&list, "%s%s%s", THIS_MACHINE, none ? "," : "",
               none ? none : "") < 0)
    return CURLE_OUT_OF_MEMORY;
  SET(CURLOPT_NOPROXY, list);
  free(list);
  return rc;
}

/* OpenSSL wipes decrypted bytes once libcurl has it. */
static CURLcode wipe_plaintext(CURL *easy, void *context, void *r) {
  (void)easy;
  ((request *)r)->lib->ssl_ctx_set_options(context, SSL_OP_CLEANSE_PLAINTEXT);
  return CURLE_OK;
}

/* Not by curl_version: that initialises OpenLDAP, which asks the network for
** this machine's own name and lets nothing else run until it has an answer. */
static bool is_openssl3(const bx_curl_library *lib) {
  const char *name = lib->version_info(CURLVERSION_NOW)->ssl_version;
  return name && strncmp(name, "OpenSSL/3", 9) == 0;
}

static CURLcode set_security(request *r, const bx_http_request *q) {
  const bx_curl_library *lib = r->lib;
  CURL *easy = r->transfer.easy;
  CURLcode rc = CURLE_OK;
  bool secure = strncasecmp(q->url, "https:", 6) == 0;
  SET(CURLOPT_PROTOCOLS_STR, "http,https");
  SET(CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https");
  SET(CURLOPT_SSL_VERIFYPEER, 1L);
  SET(CURLOPT_SSL_VERIFYHOST, 2L);
  if (lib->ssl_ctx_set_options && is_openssl3(lib)) {
    SET(CURLOPT_SSL_CTX_FUNCTION, wipe_plaintext);
    SET(CURLOPT_SSL_CTX_DATA, r);
  }
  /* libcurl knows where its system keeps certificates, not this variable. */
  const char *roots = q->ca_file ? q->ca_file : bx_roots_named();
  if (roots) {
    SET(CURLOPT_CAINFO, roots);
    SET(CURLOPT_CAPATH, NULL);
  }
  return rc;
}

static CURLcode set_options(request *r, const bx_http_request *q) {
  const bx_curl_library *lib = r->lib;
  CURL *easy = r->transfer.easy;
  CURLcode rc = CURLE_OK;
  double ms = q->timeout * 1e3;
  SET(CURLOPT_ERRORBUFFER, r->reason);
  SET(CURLOPT_NOSIGNAL, 1L);
  /* A name that takes long to resolve must not delay the end of a request. */
  SET(CURLOPT_QUICK_EXIT, 1L);
  SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
  SET(CURLOPT_WRITEFUNCTION, on_body);
  SET(CURLOPT_WRITEDATA, r);
  SET(CURLOPT_HEADERFUNCTION, on_header);
  SET(CURLOPT_HEADERDATA, r);
  SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
  SET(CURLOPT_USERAGENT, "boxd-lua");
  SET(CURLOPT_URL, q->url);
  SET(CURLOPT_HTTPHEADER, r->headers);
  if (ms < TIMEOUT_MS_MAX)
    SET(CURLOPT_TIMEOUT_MS, ms >= 1 ? (long)ms : 1L);
  if (q->connect_timeout > 0)
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)(q->connect_timeout * 1e3));
  if (!rc) rc = set_security(r, q);
  if (!rc) rc = set_proxy(r, q);
  if (!rc) rc = set_method(r, q);
  return rc;
}

static bx_class take_body(request *r, const bx_http_request *q, bx_error *e) {
  if (!q->body) return BX_OK;
  if (strcmp(q->method, "HEAD") == 0)
    return bx_error_set(e, BX_INVALID_ARGUMENT,
                        "a HEAD request can't have a body");
  r->body = malloc(q->body_len + 1);
  if (!r->body) return no_memory(e);
  memcpy(r->body, q->body, q->body_len);
  r->body_len = q->body_len;
  return BX_OK;
}

static bx_class prepare(request *r, const bx_http_request *q, bx_error *e) {
  r->max_bytes = q->max_bytes;
  if (q->max_bytes <= ROOM_AT_ONCE &&
      !bx_buf_reserve(&r->pub.body, q->max_bytes + 1))
    return no_memory(e);
  if (!is_token(q->method, strlen(q->method)))
    return bx_error_set(e, BX_INVALID_ARGUMENT,
                        "'%s' is not an HTTP method like GET", q->method);
  if (check_url(r, q->url, e) || take_body(r, q, e) ||
      add_headers(r, q->headers, e))
    return e->class_;
  r->transfer.finished = finished;
  r->transfer.easy = r->lib->easy_init();
  r->transfer.secret = q->secret;
  if (!r->transfer.easy) return no_memory(e);
  CURLcode rc = set_options(r, q);
  if (rc)
    return bx_error_set(e, BX_BOXD, "libcurl refuses an option: %s",
                        r->lib->easy_strerror(rc));
  return BX_OK;
}

bx_http *bx_http_start(bx_loop *loop, const bx_http_request *q,
                       void (*on_done)(bx_http *h), void *owner, bx_error *e) {
  bx_error_clear(e);
  if (bx_runtime_check(e)) return NULL;
  const bx_curl_library *lib = bx_curl_load(e);
  request *r = lib ? calloc(1, sizeof *r) : NULL;
  if (!r) {
    if (lib) no_memory(e);
    return NULL;
  }
  r->lib = lib;
  r->loop = loop;
  r->pub.on_done = on_done;
  r->pub.owner = owner;
  bx_error_clear(&r->pub.error);
  if (!prepare(r, q, e) && !bx_curl_add(loop, &r->transfer, e)) return &r->pub;
  bx_http_free(&r->pub);
  return NULL;
}

static void wipe_buf(bx_buf *b) {
  if (b->data) OPENSSL_cleanse(b->data, b->cap);
  bx_buf_free(b);
}

void bx_http_free(bx_http *h) {
  bx_error e;
  if (!h) return;
  request *r = (request *)h;
  /* In a forked child the connection is still the parent's: even closing it
  ** would speak on it. */
  if (bx_runtime_check(&e) == BX_OK && r->transfer.easy) {
    bx_curl_remove(r->loop, &r->transfer);
    r->lib->easy_cleanup(r->transfer.easy);
  }
  bx_event_end(r->loop, &h->done);
  for (struct curl_slist *s = r->headers; s; s = s->next)
    OPENSSL_cleanse(s->data, strlen(s->data));
  r->lib->slist_free_all(r->headers);
  if (r->body) OPENSSL_cleanse(r->body, r->body_len);
  free(r->body);
  free(r->where);
  wipe_buf(&h->headers);
  wipe_buf(&h->body);
  free(r);
}

/* Reading headers. */

const char *bx_http_header(const bx_http *h, const char *name, size_t *len) {
  size_t n = strlen(name);
  const char *line = h->headers.data;
  if (!line) return NULL;
  const char *end = line + h->headers.len;
  while (line < end) {
    const char *stop = memchr(line, '\n', (size_t)(end - line));
    if (!stop) stop = end;
    if ((size_t)(stop - line) > n && line[n] == ':' &&
        strncasecmp(line, name, n) == 0) {
      for (line += n + 1; line < stop && isspace((unsigned char)*line);) line++;
      while (stop > line && isspace((unsigned char)stop[-1])) stop--;
      *len = (size_t)(stop - line);
      return line;
    }
    line = stop + 1;
  }
  return NULL;
}

time_t bx_http_date(const bx_http *h, const char *name) {
  char text[64];
  size_t len;
  const char *value = bx_http_header(h, name, &len);
  if (!value || len >= sizeof text) return -1;
  memcpy(text, value, len);
  text[len] = '\0';
  return ((const request *)h)->lib->getdate(text, NULL);
}
