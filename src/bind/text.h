/*
** text: core/text for our Lua files, as the table boxd.core.text.
*/
#ifndef LBX_TEXT_H
#define LBX_TEXT_H

#include <lua.h>

/* Pushes the table; its functions raise InvalidArgumentErrors. */
int lbx_open_text(lua_State *L);

#endif
