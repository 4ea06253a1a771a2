/*
** folder: what this machine has at a path, for what uploads and downloads it.
** Modes are integers of the permission bits, 0 to 0777. Those that do something
** return true, or nil and the system's words.
*/
#ifndef LBX_FOLDER_H
#define LBX_FOLDER_H

#include <lua.h>

/* core.folder(path) -> { { name=, kind=, mode=, size=, mtime=, target= }, ... }
   without "." and "..", unsorted; kind is "file", "folder", "link" or "other",
   mtime in nanoseconds since 1970, target a link's. Links are not followed, but for the path itself. nil and the system's
   words when it can't be read; nil and "not a folder" when it is something
   else. */
int lbx_folder(lua_State *L);

/* core.kind(path) -> its kind, of a link itself; nil: it cannot be seen. */
int lbx_folder_kind(lua_State *L);

/* core.stat(path) -> { kind=, mode=, size=, mtime= } of a path; a link
   is followed; nil and the system's words. */
int lbx_folder_stat(lua_State *L);

/* core.open(path) -> a file that Lua's io reads, { kind="file", mode=, size=,
   mtime= }; nil and the system's words. Anything but a regular file is refused
   without waiting for it. */
int lbx_folder_open(lua_State *L);

/* core.make_folder(path [, mode]) */
int lbx_folder_make(lua_State *L);

/* core.set_mode(path, mode): no link is followed. */
int lbx_folder_set_mode(lua_State *L);

/* core.make_private(path): a new empty file that only its owner may read. */
int lbx_folder_private(lua_State *L);

/* core.set_time(path, ns): its mtime, of a link itself. */
int lbx_folder_set_time(lua_State *L);

/* core.link(target, path): a symbolic link. */
int lbx_folder_link(lua_State *L);

/* core.umask() -> the bits that new files do not get */
int lbx_folder_mask(lua_State *L);

#endif
