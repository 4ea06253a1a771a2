/*
** boxd for programs that embed Lua 5.4:
**
**   luaL_requiref(L, "boxd", luaopen_boxd, 1);
**
** `pkg-config --cflags --libs boxd` names the static library and its
** dependencies. Its Lua files must be on package.path: `make install` puts them
** where Lua looks.
*/
#ifndef BOXD_H
#define BOXD_H

#include <lua.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
int luaopen_boxd(lua_State *L);

#ifdef __cplusplus
}
#endif

#endif
