/*
** boxd for programs that embed Lua 5.4 or 5.5:
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
#pragma GCC visibility push(default)
#endif
int luaopen_boxd(lua_State *L);

/* "boxd.loop.luv" and its like, for a program whose loop is one of these: Lua
** finds them in boxd.so by itself. */
int luaopen_boxd_loop_luv(lua_State *L);
int luaopen_boxd_loop_cqueues(lua_State *L);
int luaopen_boxd_loop_copas(lua_State *L);
int luaopen_boxd_loop_glib(lua_State *L);
#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}
#endif

#endif
