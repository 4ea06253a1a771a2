/*
** exec: ExecProcess, a command that runs in a box. Chunks are taken off the
** wire as they come, in C, and kept in two queues until they are read.
**
** Reception: while a stream (or the end) is awaited,
** whatever comes; else up to READ_AHEAD unread bytes. So a
** slow reader holds the remote command back, and an unread stream keeps
** its last KEEP_MAX bytes and counts the dropped ones.
*/
#ifndef LBX_EXEC_H
#define LBX_EXEC_H

#include <lua.h>

/* client:exec(first_chunk, stdin or nil, half_close, collect, seconds or nil
** [, open_after, target]) -> ExecProcess. stdin: bytes to send, then EOF unless
** open_after. collect: keep all output. target: how its processes are ended,
** for boxd.internal.killable. */
int lbx_exec_open(lua_State *L);

/* Waits for the end of the process at 1, which is opened with collect: an
** ExecResult; an error holds the output so far. To be returned from. */
int lbx_exec_collect(lua_State *L);

/* box:exec(arg, ..., opts?), box:sh(line, opts?) */
int lbx_box_exec(lua_State *L);
int lbx_core_exec(lua_State *L); /* of its files, too */
int lbx_box_sh(lua_State *L);

void lbx_open_exec(lua_State *L);

/* Adds `tail` and `exec` to the core table on top. */
void lbx_open_exec_core(lua_State *L);

#endif
