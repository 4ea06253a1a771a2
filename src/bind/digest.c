#include "digest.h"

#include <lauxlib.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#define SHA256_LEN 32

int lbx_sha256(lua_State *L) {
  static const char hex[] = "0123456789abcdef";
  unsigned char digest[EVP_MAX_MD_SIZE];
  char text[2 * SHA256_LEN];
  size_t len;
  luaL_checktype(L, 1, LUA_TSTRING); /* the bytes of a number are a guess */
  const char *s = lua_tolstring(L, 1, &len);
  if (EVP_Digest(s, len, digest, NULL, EVP_sha256(), NULL) != 1) {
    ERR_clear_error(); /* the host's own calls would find it */
    return luaL_error(L, "sha256: OpenSSL refused (is SHA-256 disabled, or "
                         "memory short?)");
  }
  for (int i = 0; i < SHA256_LEN; i++) {
    text[2 * i] = hex[digest[i] >> 4];
    text[2 * i + 1] = hex[digest[i] & 15];
  }
  lua_pushlstring(L, text, sizeof text);
  return 1;
}
