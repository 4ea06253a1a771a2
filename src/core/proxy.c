#include "proxy.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The first variable that is set; one that is empty counts as set to none. */
static const char *first(const char *const *names) {
  const char *s = NULL;
  for (; *names && !s; names++) s = getenv(*names);
  return s && *s ? s : NULL;
}

/* Is host the domain of len bytes, or in it? */
static bool within(const char *host, const char *domain, size_t len) {
  size_t n = strlen(host);
  if (len > 0 && *domain == '.') domain++, len--;
  if (len == 1 && *domain == '*') return true;
  if (len == 0 || len > n) return false;
  return strncasecmp(host + n - len, domain, len) == 0 &&
         (n == len || host[n - len - 1] == '.');
}

static bool is_exempt(const char *host) {
  static const char *const names[] = {"no_grpc_proxy", "no_proxy", "NO_PROXY",
                                      NULL};
  const char *s = first(names);
  while (s && *s) {
    s += strspn(s, ", \t");
    size_t len = strcspn(s, ", \t");
    if (within(host, s, len)) return true;
    s += len;
  }
  return false;
}

static bool is_loopback(const char *host) {
  return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 ||
         strcasecmp(host, "localhost") == 0;
}

const char *bx_proxy_for(const char *target) {
  static const char *const names[] = {"grpc_proxy", "https_proxy",
                                      "HTTPS_PROXY", "http_proxy", NULL};
  const char *proxy = first(names);
  char host[256];
  if (*target == '[') target++;
  size_t len = strcspn(target, "]");
  if (target[len] != ']') len = strcspn(target, ":");
  if (!proxy || len >= sizeof host) return proxy;
  memcpy(host, target, len);
  host[len] = '\0';
  return is_loopback(host) || is_exempt(host) ? NULL : proxy;
}
