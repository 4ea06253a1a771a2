/*
** spawn: the spawner for Lua. A Spawner owns the process that makes
** boxes; a Command is one that runs in a box; requests wait for their answers.
** Methods answer like io's: values, or nil, message and errno.
*/
#ifndef LBX_SERVE_SPAWN_H
#define LBX_SERVE_SPAWN_H

#include <lua.h>

/* Pushes spawner(state_dir, {outgoing=, systemd=}) -> Spawner. To be called before
** anything else that may start a thread. */
void lbx_open_spawn(lua_State *L);

#endif
