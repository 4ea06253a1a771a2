/*
** folder: reading folders of this machine, for what uploads them.
*/
#ifndef LBX_FOLDER_H
#define LBX_FOLDER_H

#include <lua.h>

/* core.folder(path) -> { { name=, kind=, executable= }, ... } without "." and
   "..", unsorted; kind is "file", "folder", "link" or "other". Links are not
   followed, but for the path itself. nil and the system's words when it can't
   be read; nil and "not a folder" when it is something else. */
int lbx_folder(lua_State *L);

#endif
