/*
** special: writing to pipes and devices of this machine without waiting for
** them, for downloads.
*/
#ifndef LBX_SPECIAL_H
#define LBX_SPECIAL_H

#include <lua.h>

/* core.open_special(path) -> a Special; false while it is a pipe that nothing
** reads; nil and the system's words. */
int lbx_special_open(lua_State *L);

/* Its methods: write(data, from) -> how many bytes after the first `from` it
** took; false: none now; nil and the system's words. close() -> true. */
void lbx_open_special(lua_State *L);

#endif
