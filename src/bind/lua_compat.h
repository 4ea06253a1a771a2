/*
** lua_compat: all that differs, of what we use in C, between Lua 5.4 and 5.5.
** In Lua: the control variable of a for loop can't be assigned to, an error
** whose value is nil becomes the text "<no error object>", the collector takes
** its parameters by name, and # may find another end of a list with holes.
*/
#ifndef LBX_LUA_COMPAT_H
#define LBX_LUA_COMPAT_H

#include <lauxlib.h>
#include <lua.h>

/* lua_newstate; 5.5 wants a seed for its hashes. */
static inline lua_State *lbx_newstate(lua_Alloc alloc, void *ud) {
#if LUA_VERSION_NUM >= 505
  return lua_newstate(alloc, ud, luaL_makeseed(NULL));
#else
  return lua_newstate(alloc, ud);
#endif
}

/* The incremental collector, in steps of 8 bytes without a pause between two
** cycles: for `make gc`. */
static inline void lbx_collect_always(lua_State *L) {
#if LUA_VERSION_NUM >= 505
  lua_gc(L, LUA_GCINC);
  lua_gc(L, LUA_GCPARAM, LUA_GCPPAUSE, 0);
  lua_gc(L, LUA_GCPARAM, LUA_GCPSTEPMUL, 100);
  lua_gc(L, LUA_GCPARAM, LUA_GCPSTEPSIZE, 8);
#else
  lua_gc(L, LUA_GCINC, 0, 100, 3);
  lua_gc(L, LUA_GCSETPAUSE, 0); /* 0 in LUA_GCINC leaves the pause as it is */
#endif
}

#endif
