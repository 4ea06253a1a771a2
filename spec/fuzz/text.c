/*
** text: any bytes as an endpoint, a size, UTF-8, something to show, a slip of
** the pen, the machine's routes, a part of a token. What is taken is held
** against a plainer way to read it, where there is one.
*/
#include "core/text.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../../src/bind/serve/crypto.c"
#include "../../src/core/gateway.c"
#include "state.h"

static void check_message(const bx_error *e) {
  size_t len = strnlen(e->message, sizeof e->message);
  if (e->class_ != BX_INVALID_ARGUMENT || len == 0 ||
      len == sizeof e->message || !bx_text_utf8(e->message, len))
    fuzz_fail("a refusal that is none");
}

static void endpoint(const char *s, size_t len) {
  bx_error e;
  bx_endpoint found, twice;
  char again[300];
  if (bx_text_endpoint(s, len, &found, &e)) {
    check_message(&e);
    /* A message that shows the text would show a password. */
    if (memchr(s, '@', len) && strncmp(e.message, "the endpoint has a user", 23))
      fuzz_fail("%s", e.message);
    return;
  }
  if (found.port < 1 || found.port > 65535 || !found.host[0] ||
      strpbrk(found.target, " /@?#\r\n"))
    fuzz_fail("no endpoint: %s", found.target);
  snprintf(again, sizeof again, "%s://%s", found.tls ? "HTTPS" : "http",
           found.target);
  if (bx_text_endpoint(again, strlen(again), &twice, &e) ||
      twice.port != found.port || twice.tls != found.tls ||
      strcmp(twice.host, found.host) || strcmp(twice.target, found.target))
    fuzz_fail("%s reads as another: %s", again, twice.target);
}

/* Digits, a letter of "KMGT", "i", "B": the same with wide numbers. */
static bool plain_size(const char *s, size_t len, uint64_t *bytes) {
  unsigned __int128 n = 0, max = INT64_MAX;
  size_t i = 0;
  for (; i < len && s[i] >= '0' && s[i] <= '9'; i++)
    if ((n = n * 10 + (unsigned)(s[i] - '0')) > max) n = max + 1;
  if (i == 0) return false;
  for (const char *unit = "tgmk"; i < len && *unit; unit++) {
    if ((s[i] | 32) != *unit) continue;
    for (size_t k = 0; k < strlen(unit); k++)
      if ((n = n << 10) > max) n = max + 1;
    i++;
    if (i < len && (s[i] | 32) == 'i') i++;
    if (i < len && (s[i] | 32) == 'b') i++;
    break;
  }
  *bytes = (uint64_t)n;
  return i == len && n <= max;
}

static void size(const char *s, size_t len) {
  bx_error e;
  uint64_t found = 0, plain = 0;
  bool ok = bx_text_size(s, len, &found, &e) == BX_OK;
  if (!ok) check_message(&e);
  if (ok != plain_size(s, len, &plain) || (ok && found != plain))
    fuzz_fail("a size of %llu, not %llu", (unsigned long long)found,
              (unsigned long long)plain);
}

/* One code point after another, by arithmetic alone. */
static size_t plain_utf8(const unsigned char *s, size_t len) {
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  size_t i = 0;
  while (i < len) {
    size_t n = s[i] < 0x80 ? 1 : s[i] >> 5 == 6 ? 2 : s[i] >> 4 == 14 ? 3 : 4;
    uint32_t c = s[i] & (n == 1 ? 0x7F : 0xFF >> (n + 1));
    if ((n == 4 && s[i] >> 3 != 30) || n > len - i) return i;
    for (size_t k = 1; k < n; k++) {
      if (s[i + k] >> 6 != 2) return i;
      c = c << 6 | (s[i + k] & 0x3F);
    }
    if (c < least[n] || c > 0x10FFFF || c >> 11 == 0xD800 >> 11) return i;
    i += n;
  }
  return len;
}

static void show(const char *s, size_t len) {
  size_t cap = 16 + (len ? (unsigned char)s[0] % 100 : 0);
  char *out = malloc(cap);
  if (!out) return;
  bx_text_show(out, cap, s, len);
  size_t n = strnlen(out, cap);
  if (n == cap || !bx_text_utf8(out, n)) fuzz_fail("what is shown is no text");
  for (size_t i = 0; i < n; i++)
    if ((unsigned char)out[i] < ' ') fuzz_fail("a control byte is shown");
  free(out);
}

static void nearest(const char *s, size_t len) {
  static const char *const names[] = {"memory", "vcpu", "disk", "m", "",
                                      "restart_policy"};
  char *word = strndup(s, len);
  if (!word) return;
  const char *near = bx_text_nearest(word, names, 6);
  for (size_t i = 0; near && i < 6; i++)
    if (near == names[i]) near = NULL;
  if (near) fuzz_fail("'%s' is no candidate", near);
  free(word);
}

static void routes(const char *s, size_t len) {
  struct in_addr gateway = {0};
  FILE *f = len ? fmemopen((void *)s, len, "r") : NULL;
  if (!f) return;
  if (!find_gateway(f, &gateway) && gateway.s_addr)
    fuzz_fail("a gateway that was not found");
  fclose(f);
}

/* Encoded again it is the same, but for bits of the last digit. */
static void token(const char *s, size_t len) {
  lua_State *L = fuzz_state();
  lua_pushcfunction(L, base64url);
  lua_pushcfunction(L, unbase64url);
  lua_pushlstring(L, s, len);
  lua_call(L, 1, 1);
  if (lua_isstring(L, -1)) {
    size_t n;
    lua_call(L, 1, 1);
    const char *again = lua_tolstring(L, -1, &n);
    if (n != len || (n && memcmp(again, s, n - 1)))
      fuzz_fail("another part of a token: %s", again);
  }
  lua_close(L);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  const char *s = (const char *)data;
  if (bx_text_utf8_prefix(s, len) != plain_utf8(data, len))
    fuzz_fail("valid up to %zu, not %zu", bx_text_utf8_prefix(s, len),
              plain_utf8(data, len));
  endpoint(s, len);
  size(s, len);
  show(s, len);
  nearest(s, len);
  routes(s, len);
  token(s, len);
  return 0;
}
