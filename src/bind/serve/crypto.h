/*
** crypto: OpenSSL's MAC, random bytes and comparison for the embedded
** service's tokens.
*/
#ifndef LBX_SERVE_CRYPTO_H
#define LBX_SERVE_CRYPTO_H

#include <lua.h>

/* Pushes the table: hmac(key, data) -> 32 bytes; random(n) -> n bytes;
** equal(a, b), in time that does not show where they differ; base64url(bytes)
** and unbase64url(text) -> bytes or nil, both without padding. */
int lbx_open_crypto(lua_State *L);

#endif
