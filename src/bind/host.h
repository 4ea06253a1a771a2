/*
** host: boxd inside another program's event loop.
*/
#ifndef LBX_HOST_H
#define LBX_HOST_H

#include <lua.h>

/* Adds pollfd, events, timeout, step, pending and hooks to the module table on
** top. */
void lbx_open_host(lua_State *L);

#endif
