/*
** call: ServerCall, one RPC that came to a Server, to be answered by
** the function that accepted it. One reader at a time; sends queue up, one in
** flight.
*/
#ifndef LBX_SERVE_CALL_H
#define LBX_SERVE_CALL_H

#include <lua.h>

#include "../../server/server.h"

void lbx_open_server_call(lua_State *L);

/* Takes the server's next call, which must be there, and pushes it. */
void lbx_push_server_call(lua_State *L, bx_server *s);

#endif
