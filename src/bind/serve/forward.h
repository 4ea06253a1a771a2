/*
** forward: gates and relays for Lua (see sandbox/client/forward.h).
*/
#ifndef LBX_SERVE_FORWARD_H
#define LBX_SERVE_FORWARD_H

#include <lua.h>

/* Sets the functions `gate` and `relay` of the table on top. */
void lbx_open_forward(lua_State *L);

#endif
