/*
** host_state: makes boxdlua's one Lua state, as luaL_newstate does, with an
** allocator of its own. Its blocks are used by the thread that runs Lua, never
** by another; a freed block stays there for the next until the process ends.
*/
#ifndef BOXD_HOST_STATE_H
#define BOXD_HOST_STATE_H

#include <lua.h>

/* NULL: not enough memory. The caller closes it. */
lua_State *host_state_new(void);

#endif
