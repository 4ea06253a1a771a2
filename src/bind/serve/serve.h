/*
** serve: "boxd.serve", the machinery of the embedded service for Lua: a server
** whose calls are taken and answered one by one. Only boxdlua has it, for
** lua/boxd/local and for specs that script a server.
**
** A Server owns its port and its gRPC server, a ServerCall its call, an
** HttpRequest its request, until __gc. Closing ends their effects,
** not their memory: their events may still have waiters.
*/
#ifndef LBX_SERVE_H
#define LBX_SERVE_H

#include <lauxlib.h>
#include <lua.h>

#define LBX_SERVER "boxd.Server"
#define LBX_SERVER_CALL "boxd.ServerCall"
#define LBX_HTTP_REQUEST "boxd.HttpRequest"

/* listen, encode, decode, reflect. */
int luaopen_boxd_serve(lua_State *L);

#endif
