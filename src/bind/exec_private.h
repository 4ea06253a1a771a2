/*
** exec_private.h: between the process (exec.c) and the result of one that was
** waited for (exec_result.c).
*/
#ifndef LBX_EXEC_PRIVATE_H
#define LBX_EXEC_PRIVATE_H

#include <lua.h>

#include "exec_queue.h"

#define LBX_EXEC_CLIENT 1 /* the process's user value that is its Compute */

/* The process at 1; raises where it has been collected. */
lbx_process *lbx_exec_process(lua_State *L);

/* Makes the metatable. */
void lbx_open_exec_result(lua_State *L);

#endif
