/*
** digest: boxd.sha256, on OpenSSL.
*/
#ifndef LBX_DIGEST_H
#define LBX_DIGEST_H

#include <lua.h>

/* sha256(bytes) -> 64 lower-case hex digits */
int lbx_sha256(lua_State *L);

/* core.digest() -> a SHA-256 that is made of pieces: d:add(bytes), then, once,
** d:hex() */
int lbx_digest(lua_State *L);

#endif
