/*
** error: boxd's error values and classes. An error is a table with class,
** message, grpc_code, code, method and, for tostring, the position `where` of
** the script's line; classes are tables that compare by identity.
*/
#ifndef LBX_ERROR_H
#define LBX_ERROR_H

#include <lua.h>

#include "../core/error.h"

/* Pushes the error value for e. method: the RPC's name, or NULL. */
void lbx_push_error(lua_State *L, const bx_error *e, const char *method);

/* Raises it. */
_Noreturn int lbx_throw(lua_State *L, const bx_error *e, const char *method);

/* Raises an InvalidArgumentError, before any call. */
_Noreturn int lbx_error_invalid(lua_State *L, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Raises an error of a class with no gRPC status. */
_Noreturn int lbx_error_class(lua_State *L, bx_class c, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Raises text with the position of the script's line: a mistake of the
** caller's, as luaL_error says it, but never with a line of our own files.
** lua_pushfstring has the conversions. */
_Noreturn int lbx_error_usage(lua_State *L, const char *fmt, ...);

/* The class of the error value at idx; BX_OK when it is none of ours. */
bx_class lbx_error_test(lua_State *L, int idx);

/* Adds raise and internal, for our Lua files, to the table on top. */
void lbx_open_error_core(lua_State *L);

/* Adds the classes, `errors` and `is_error` to the module table on top. */
void lbx_open_error(lua_State *L);

#endif
