/*
** type: helpers that every userdata type and every options table uses.
*/
#ifndef LBX_TYPE_H
#define LBX_TYPE_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>

/* What Lua's headers do not say: these never return. */
_Noreturn int(lua_error)(lua_State *L);
_Noreturn int(luaL_error)(lua_State *L, const char *fmt, ...);

/* Makes the metatable `name` with the methods (may be NULL) as __index, unless
** meta has its own, and __metatable = name. Pushes nothing. */
void lbx_newtype(lua_State *L, const char *name, const luaL_Reg *methods,
                 const luaL_Reg *meta);

/* A __newindex that raises "Task.status is read-only". */
int lbx_read_only(lua_State *L);

/* Raises "bad argument #1 to 'write' (string expected, got nil)" of a method's
** argument at idx, numbered as the script sees it. luaL_argerror has neither the
** name nor the number under pcall(object.method, object). */
_Noreturn int lbx_wrong_argument(lua_State *L, int idx, const char *method,
                                 const char *expected);

/* A zeroed userdata of the type, with `uservalues` user values. Pushed: from
** here on its __gc runs, so acquire into its fields only. */
void *lbx_new(lua_State *L, size_t size, int uservalues, const char *name);

/* Gives the type an __index that finds the methods, then what `field` pushes:
** (L: the userdata at 1, the name) -> is there such a field? */
typedef int (*lbx_field)(lua_State *L, const char *name);
void lbx_index_fields(lua_State *L, const char *type, const luaL_Reg *methods,
                      lbx_field field);

/* Gives the type `index` as its __index, whose upvalue 1 has the methods. */
void lbx_index_by(lua_State *L, const char *type, const luaL_Reg *methods,
                  lua_CFunction index);

/* Pushes the field of a Lua module, which is loaded at its first use. */
void lbx_require_field(lua_State *L, const char *module, const char *name);

/* Options: a table whose every key must be one of `names` (NULL at the end),
** else an InvalidArgumentError names the key and the nearest known one. idx may
** hold nil or nothing: false then. what: "create", for the message. */
bool lbx_options(lua_State *L, int idx, const char *what,
                 const char *const names[]);

/* Fields of the options table at idx (which may be nil), of the given type or
** an error "bad option 'name' ..."; absent (nil) gives the default. Nothing is
** left pushed, but by lbx_opt_string. */

/* Pushes the field, or nil: the text stays valid while that is on the stack.
** The table does not keep it: an __index may make a string each time, and a
** finalizer may empty the table. */
const char *lbx_opt_string(lua_State *L, int idx, const char *name, size_t *len,
                           const char *def);
lua_Integer lbx_opt_integer(lua_State *L, int idx, const char *name,
                            lua_Integer def);
bool lbx_opt_boolean(lua_State *L, int idx, const char *name, bool def);

/* A positive number of seconds in options; def when absent. */
double lbx_opt_seconds(lua_State *L, int idx, const char *name, double def);

/* Warns of the error on the top, which it pops: "boxd: WHAT: its text". Raises
** nothing, whatever its __tostring does. */
void lbx_warn(lua_State *L, const char *what);

/* Gives the running coroutine room for n more values, or raises. */
#define lbx_room(L, n) luaL_checkstack(L, n, "no memory or too deep")

#endif
