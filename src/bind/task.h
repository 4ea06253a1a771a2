/*
** task: boxd.spawn and its relatives. A Task is a userdata that holds its
** coroutine (user value 1) and the context that waits; the anchor table keeps
** it alive while it runs. Its results are user value 2.
*/
#ifndef LBX_TASK_H
#define LBX_TASK_H

#include <lua.h>

/* Cancels every task but those on the C stack and waits for their end, 10 s at
** most. For the end of a script: outside tasks only. */
void lbx_cancel_all(lua_State *L);

/* Tasks that are anchored: those that have not ended. */
lua_Integer lbx_count_tasks(lua_State *L);

/* Adds spawn_alone, for our Lua files, to the core table on top. */
void lbx_open_task_core(lua_State *L);

/* Adds spawn, run, resume and wrap to the module
** table on top. */
void lbx_open_task(lua_State *L);

#endif
