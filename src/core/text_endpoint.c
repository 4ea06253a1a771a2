#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "text.h"

#define PORT_HTTP 80
#define PORT_HTTPS 443
#define PORT_BARE 9443 /* the service's own */
#define HOST_MAX 253   /* of a DNS name */

/* The text being read, for the message; s and len shrink as it is read. */
typedef struct reader {
  const char *s;
  size_t len;
  const char *all;
  size_t all_len;
  bx_error *e;
} reader;

static bx_class refuse(reader *r, const char *why) {
  char shown[128];
  return bx_error_set(r->e, BX_INVALID_ARGUMENT,
      "'%s' is not an endpoint: %s; write https://host:port, http://host:port "
      "(plaintext) or host:port",
      bx_text_show(shown, sizeof shown, r->all, r->all_len), why);
}

/* Refuses the bytes that no endpoint has, wherever they are. */
static bx_class check_bytes(reader *r) {
  if (memchr(r->s, '@', r->len))
    return bx_error_set(r->e, BX_INVALID_ARGUMENT,
        "the endpoint has a user name or a password before '@': give "
        "credentials as api_key or token, and write https://host:port");
  for (size_t i = 0; i < r->len; i++) {
    unsigned char c = (unsigned char)r->s[i];
    if (c == ' ') return refuse(r, "it has a space");
    if (c < ' ' || c == 0x7F) return refuse(r, "it has a control byte");
    if (c >= 0x80)
      return refuse(r, "it has a byte outside ASCII (write an international "
                       "name in its xn-- form)");
  }
  return BX_OK;
}

/* Takes "scheme://" off: its default port, 0 for none, -1 when unknown. */
static int take_scheme(reader *r) {
  static const struct {
    const char *prefix;
    size_t len;
    int port;
  } schemes[] = {{"https://", 8, PORT_HTTPS}, {"http://", 7, PORT_HTTP}};
  for (size_t i = 0; i < 2; i++)
    if (r->len >= schemes[i].len &&
        strncasecmp(r->s, schemes[i].prefix, schemes[i].len) == 0) {
      r->s += schemes[i].len;
      r->len -= schemes[i].len;
      return schemes[i].port;
    }
  return memmem(r->s, r->len, "://", 3) ? -1 : 0;
}

/* One trailing slash is tolerated, nothing more. */
static bx_class take_tail(reader *r) {
  if (r->len && r->s[r->len - 1] == '/') r->len--;
  if (memchr(r->s, '?', r->len)) return refuse(r, "it has a query");
  if (memchr(r->s, '#', r->len)) return refuse(r, "it has a fragment");
  if (memchr(r->s, '/', r->len)) return refuse(r, "it has a path");
  return BX_OK;
}

/* Reads ":port" from s to the end; nothing leaves *port as it is. */
static bx_class take_port(reader *r, const char *s, int *port) {
  const char *end = r->s + r->len;
  int n = 0;
  if (s == end) return BX_OK;
  if (*s++ != ':') return refuse(r, "there is text after the ']'");
  if (s == end) return refuse(r, "there is no port after the ':'");
  for (; s < end; s++) {
    if (*s < '0' || *s > '9') return refuse(r, "its port is not a number");
    n = n > 65535 ? n : n * 10 + (*s - '0');
  }
  if (n < 1 || n > 65535) return refuse(r, "its port is not in 1 to 65535");
  *port = n;
  return BX_OK;
}

static bx_class check_name(reader *r, const char *host) {
  size_t label = 0;
  for (const char *c = host; *c; c++) {
    bool word = (*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') ||
                (*c >= 'A' && *c <= 'Z') || *c == '-' || *c == '_';
    if (!word && *c != '.') return refuse(r, "its host is not a host name");
    if (*c == '.' && label == 0)
      return refuse(r, "its host has a '.' with nothing before it");
    label = *c == '.' ? 0 : label + 1;
  }
  return BX_OK;
}

/* Splits the rest into host and port. */
static bx_class take_host(reader *r, bx_endpoint *out, bool *v6) {
  const char *end = r->s + r->len, *host = r->s, *stop;
  *v6 = r->len && *r->s == '[';
  if (*v6) {
    host++;
    stop = memchr(host, ']', (size_t)(end - host));
    if (!stop) return refuse(r, "its '[' has no ']'");
  } else {
    stop = memchr(host, ':', r->len);
    if (!stop) stop = end;
    if (stop < end && memchr(stop + 1, ':', (size_t)(end - stop - 1)))
      return refuse(r, "it has more than one ':' (an IPv6 address goes in "
                       "brackets, as in [::1]:9443)");
  }
  size_t n = (size_t)(stop - host);
  if (n == 0) return refuse(r, "it has no host");
  if (n > HOST_MAX) return refuse(r, "its host is too long");
  memcpy(out->host, host, n);
  out->host[n] = '\0';
  struct in6_addr address;
  if (*v6 && inet_pton(AF_INET6, out->host, &address) != 1)
    return refuse(r, "there is no IPv6 address in its brackets");
  bx_class c = *v6 ? BX_OK : check_name(r, out->host);
  return c ? c : take_port(r, *v6 ? stop + 1 : stop, &out->port);
}

/* This machine, as far as the text alone shows. */
static bool is_local(const char *host, bool v6) {
  struct in6_addr six;
  struct in_addr four;
  if (v6)
    return inet_pton(AF_INET6, host, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
  if (strcasecmp(host, "localhost") == 0) return true;
  return inet_pton(AF_INET, host, &four) == 1 &&
         ntohl(four.s_addr) >> 24 == 127;
}

bx_class bx_text_endpoint(const char *s, size_t len, bx_endpoint *out,
                          bx_error *e) {
  reader r = {.s = s, .len = len, .all = s, .all_len = len, .e = e};
  bool v6 = false;
  bx_class c = check_bytes(&r);
  if (c) return c;
  int scheme = take_scheme(&r);
  if (scheme < 0)
    return refuse(&r, "its scheme is neither https:// nor http://");
  out->port = scheme ? scheme : PORT_BARE;
  if ((c = take_tail(&r)) || (c = take_host(&r, out, &v6))) return c;
  out->tls = scheme ? scheme == PORT_HTTPS : !is_local(out->host, v6);
  snprintf(out->target, sizeof out->target, v6 ? "[%s]:%d" : "%s:%d",
           out->host, out->port);
  return BX_OK;
}
