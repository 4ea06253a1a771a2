/*
** fd: a descriptor that Lua reads and writes by waiting for it. Owns the
** descriptor, which must be non-blocking and of a kind that epoll takes.
*/
#ifndef LBX_FD_H
#define LBX_FD_H

#include <lua.h>

void lbx_open_fd(lua_State *L);

/* Makes and pushes the userdata that will own a descriptor, with none yet. */
int *lbx_new_fd(lua_State *L);

/* Its descriptor, or -1 when it is closed. */
int lbx_check_fd(lua_State *L, int idx);

/* Takes the descriptor, which is the caller's from here on; the userdata is as
** if closed. Raises when it is closed already. */
int lbx_take_fd(lua_State *L, int idx);

#endif
