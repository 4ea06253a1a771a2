/*
** exec_private.h: between the process (exec.c) and the result of one that was
** waited for (exec_result.c).
*/
#ifndef LBX_EXEC_PRIVATE_H
#define LBX_EXEC_PRIVATE_H

#include <lua.h>

#include "exec_queue.h"

/* User values of the process: its Compute; what the killer needs, or nil. */
#define LBX_EXEC_CLIENT 1
#define LBX_EXEC_TARGET 3

/* Calls a function of boxd.internal.NAME with the values above `args`, in
** continuation k, where one result is expected. */
void lbx_exec_call(lua_State *L, const char *file, const char *function,
                   int nargs, lua_KContext ctx, lua_KFunction k);

/* p:kill, p:close and what ends a command that is left in the box. */
int lbx_exec_kill(lua_State *L);
int lbx_exec_close(lua_State *L);

/* Of a process that is collected: begins to end its processes in the box. Raises
** nothing: what its call writes to is to be released yet. */
void lbx_exec_forget(lua_State *L);

/* Raises the error on the top, after the end of what the process at 1 left in
** the box. To be returned from. */
int lbx_exec_throw(lua_State *L, lbx_process *p);

/* The process at 1; raises where it has been collected. */
lbx_process *lbx_exec_process(lua_State *L);

/* core.exec_result(stdout, stderr, exit_code) -> ExecResult */
int lbx_exec_result(lua_State *L);

/* p:expect, whose stdout is free to be read: see exec_expect.c. */
int lbx_exec_expect(lua_State *L);

/* Makes the metatable. */
void lbx_open_exec_result(lua_State *L);

#endif
