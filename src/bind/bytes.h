/*
** bytes: a run of bytes that grows as pieces of it come, and ends as a string.
*/
#ifndef LBX_BYTES_H
#define LBX_BYTES_H

#include <lua.h>

#include "../core/buf.h"

/* core.bytes() -> an empty one. b:write(data) -> b; b:reserve(n): n bytes are to
** come in all; b:take() -> string: all of them, once. stream:recv_file takes it for
** a file. */
int lbx_bytes(lua_State *L);

/* The bytes at idx, or NULL when something else is there. */
bx_buf *lbx_bytes_test(lua_State *L, int idx);

#endif
