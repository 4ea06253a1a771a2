#include "digest.h"

#include <lauxlib.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "type.h"

#define SHA256_LEN 32

#define TYPE "boxd.Digest"

/* Pushes it in hexadecimal digits. */
static int push_hex(lua_State *L, const unsigned char *digest) {
  static const char hex[] = "0123456789abcdef";
  char text[2 * SHA256_LEN];
  for (int i = 0; i < SHA256_LEN; i++) {
    text[2 * i] = hex[digest[i] >> 4];
    text[2 * i + 1] = hex[digest[i] & 15];
  }
  lua_pushlstring(L, text, sizeof text);
  return 1;
}

static _Noreturn int refuse(lua_State *L) {
  ERR_clear_error(); /* the host's own calls would find it */
  luaL_error(L, "sha256: OpenSSL refused (is SHA-256 disabled, or memory "
                "short?)");
}

int lbx_sha256(lua_State *L) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  size_t len;
  luaL_checktype(L, 1, LUA_TSTRING); /* the bytes of a number are a guess */
  const char *s = lua_tolstring(L, 1, &len);
  if (EVP_Digest(s, len, digest, NULL, EVP_sha256(), NULL) != 1)
    return refuse(L);
  return push_hex(L, digest);
}

static int m__gc(lua_State *L) {
  EVP_MD_CTX **context = luaL_checkudata(L, 1, TYPE);
  EVP_MD_CTX_free(*context);
  *context = NULL;
  return 0;
}

static int m_add(lua_State *L) {
  EVP_MD_CTX **context = luaL_checkudata(L, 1, TYPE);
  size_t len;
  const char *s = luaL_checklstring(L, 2, &len);
  if (!*context || EVP_DigestUpdate(*context, s, len) != 1) refuse(L);
  return 0;
}

static int m_hex(lua_State *L) {
  EVP_MD_CTX **context = luaL_checkudata(L, 1, TYPE);
  unsigned char digest[EVP_MAX_MD_SIZE];
  if (!*context || EVP_DigestFinal_ex(*context, digest, NULL) != 1) refuse(L);
  m__gc(L);
  return push_hex(L, digest);
}

int lbx_digest(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"add", m_add}, {"hex", m_hex}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", m__gc}, {NULL, NULL}};
  if (luaL_getmetatable(L, TYPE) == LUA_TNIL)
    lbx_newtype(L, TYPE, methods, meta);
  EVP_MD_CTX **context = lbx_new(L, sizeof *context, 0, TYPE);
  *context = EVP_MD_CTX_new();
  if (!*context || EVP_DigestInit_ex(*context, EVP_sha256(), NULL) != 1)
    refuse(L);
  return 1;
}
