/*
** http: boxd.http.request. The request under way is a userdata on the stack of
** the one call that waits for it, and is freed as that ends.
*/
#ifndef LBX_HTTP_H
#define LBX_HTTP_H

#include <lua.h>

/* Adds request_privately, which no proxy can read, to the core table on top. */
void lbx_open_http_core(lua_State *L);

/* Adds the table `http` to the module table on top. */
void lbx_open_http(lua_State *L);

#endif
