/*
** exec: ExecProcess, a command that runs in a box. Chunks are taken off the
** wire as they come, in C, and kept in two queues until somebody reads them.
**
** What is received when: while somebody waits for a stream (or for the end),
** whatever comes; else up to READ_AHEAD bytes of what has not been read. So a
** slow reader holds the remote command back, and a stream nobody reads keeps
** its last KEEP_MAX bytes and counts what it let go.
*/
#ifndef LBX_EXEC_H
#define LBX_EXEC_H

#include <lua.h>

/* client:exec(first_chunk, stdin or nil, half_close, collect, seconds or nil)
** -> ExecProcess. stdin: bytes to send, then EOF. collect: keep all output. */
int lbx_exec_open(lua_State *L);

void lbx_open_exec(lua_State *L);

/* Adds `tail` and `collect` to the core table on top. */
void lbx_open_exec_core(lua_State *L);

#endif
