/*
** sys: what the embedded service needs of the file system beside Lua's
** io and os: durable writes, locks, folders. Functions answer like io's: a
** value, or nil, message and errno.
*/
#ifndef LBX_SERVE_SYS_H
#define LBX_SERVE_SYS_H

#include <lua.h>

/* Pushes the table:
**   mkdir(path, mode) -> true, also when the folder is there already
**   write(path, data) -> true: mode 0600, on disk and whole, or as it was
**   unlink(path)      -> true, on disk; also when there is none
**   list(path)        -> names, sorted, without . and ..
**   lock(path)        -> a lock held until it is closed or the process ends;
**                        nil, message and EAGAIN when another process holds it
**   private(path)     -> true when only this process's user can read it; false
**                        when others can; false and a message when it is theirs
**   getuid()          -> the user's number
**   getcwd()          -> the working folder */
int lbx_open_sys(lua_State *L);

#endif
