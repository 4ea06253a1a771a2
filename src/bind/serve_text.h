/*
** serve_text: what core/text does, as Lua functions for boxd.serve's `text`
** table: size, endpoint, quote, command, nearest, utf8.
*/
#ifndef LBX_SERVE_TEXT_H
#define LBX_SERVE_TEXT_H

#include <lua.h>

/* Pushes the table. */
int lbx_open_serve_text(lua_State *L);

#endif
