/*
** folder: reading folders of this machine, for what uploads them, and making
** them, for what downloads them.
*/
#ifndef LBX_FOLDER_H
#define LBX_FOLDER_H

#include <lua.h>

/* core.folder(path) -> { { name=, kind=, executable= }, ... } without "." and
   "..", unsorted; kind is "file", "folder", "link" or "other". Links are not
   followed, but for the path itself. nil and the system's words when it can't
   be read; nil and "not a folder" when it is something else. */
int lbx_folder(lua_State *L);

/* core.kind(path) -> its kind, as above; nil: it cannot be seen. */
int lbx_folder_kind(lua_State *L);

/* core.make_folder(path) -> true, or nil and the system's words. */
int lbx_folder_make(lua_State *L);

/* core.make_executable(path): a file, for every user that may read it; no link
   is followed. True, or nil and the system's words. */
int lbx_folder_executable(lua_State *L);

#endif
