#include "crypto.h"

#include <lauxlib.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <string.h>

#define RANDOM_MAX 1024

static int hmac(lua_State *L) {
  size_t key_len, len;
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned mac_len = 0;
  const char *key = luaL_checklstring(L, 1, &key_len);
  const char *data = luaL_checklstring(L, 2, &len);
  if (!HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)data, len,
            mac, &mac_len))
    return luaL_error(L, "OpenSSL can't make a MAC");
  lua_pushlstring(L, (const char *)mac, mac_len);
  return 1;
}

static int random_(lua_State *L) {
  unsigned char bytes[RANDOM_MAX];
  lua_Integer n = luaL_checkinteger(L, 1);
  luaL_argcheck(L, n >= 0 && n <= RANDOM_MAX, 1, "0 to 1024 bytes");
  if (RAND_bytes(bytes, (int)n) != 1)
    return luaL_error(L, "OpenSSL has no random numbers");
  lua_pushlstring(L, (const char *)bytes, (size_t)n);
  return 1;
}

static int equal(lua_State *L) {
  size_t a_len, b_len;
  const char *a = luaL_checklstring(L, 1, &a_len);
  const char *b = luaL_checklstring(L, 2, &b_len);
  lua_pushboolean(L, a_len == b_len && CRYPTO_memcmp(a, b, a_len) == 0);
  return 1;
}

static const char digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static int base64url(lua_State *L) {
  size_t len;
  luaL_Buffer b;
  const unsigned char *s = (const unsigned char *)luaL_checklstring(L, 1, &len);
  luaL_buffinit(L, &b);
  unsigned bits = 0, held = 0;
  for (size_t i = 0; i < len; i++) {
    held = held << 8 | s[i];
    for (bits += 8; bits >= 6; bits -= 6)
      luaL_addchar(&b, digits[held >> (bits - 6) & 63]);
  }
  if (bits > 0) luaL_addchar(&b, digits[held << (6 - bits) & 63]);
  luaL_pushresult(&b);
  return 1;
}

static int unbase64url(lua_State *L) {
  size_t len;
  luaL_Buffer b;
  const char *s = luaL_checklstring(L, 1, &len);
  if (len % 4 == 1) return 0;
  luaL_buffinit(L, &b);
  unsigned bits = 0, held = 0;
  for (size_t i = 0; i < len; i++) {
    const char *at = s[i] ? strchr(digits, s[i]) : NULL;
    if (!at) return 0;
    held = held << 6 | (unsigned)(at - digits);
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      luaL_addchar(&b, (char)(held >> bits & 255));
    }
  }
  luaL_pushresult(&b);
  return 1;
}

int lbx_open_crypto(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"hmac", hmac},           {"random", random_},
      {"equal", equal},         {"base64url", base64url},
      {"unbase64url", unbase64url}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
