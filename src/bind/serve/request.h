/*
** request: HttpRequest, one HTTP request that came to a Server. Its
** fields (method, path, query, headers, body, peer) are copies; it is answered
** once, and with 500 when it never is.
*/
#ifndef LBX_SERVE_REQUEST_H
#define LBX_SERVE_REQUEST_H

#include <lua.h>

#include "../../server/port.h"

void lbx_open_http_request(lua_State *L);

/* Takes the port's next request, which must be there, and pushes it. */
void lbx_push_http_request(lua_State *L, bx_port *p);

#endif
