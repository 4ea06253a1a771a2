/*
** tar: the headers of an archive, as pax (POSIX.1-2001) has them.
*/
#ifndef LBX_TAR_H
#define LBX_TAR_H

#include <lua.h>

/* core.tar_header(path, type, mode, size, mtime, target) -> the bytes before a
   member's own: with an extended header, which has the mtime (nanoseconds), and
   path and target where they are long. type: "0" a file, "2" a link, "5" a
   folder. */
int lbx_tar_header(lua_State *L);

#endif
