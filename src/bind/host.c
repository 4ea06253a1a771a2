#include "host.h"

#include <lauxlib.h>

#include "await.h"
#include "error.h"
#include "type.h"

/* boxd.pollfd(). A signal that boxdlua takes is for a step to raise. */
static int pollfd(lua_State *L) {
  bx_error e;
  lbx_state *S = lbx_state_get(L);
  if (S->watch) S->watch(L);
  int fd = bx_loop_pollfd(lbx_loop(L), &e);
  if (fd < 0) lbx_throw(L, &e, NULL);
  lua_pushinteger(L, fd);
  return 1;
}

/* boxd.events() */
static int events(lua_State *L) {
  lua_pushliteral(L, "r");
  return 1;
}

/* boxd.timeout() */
static int timeout(lua_State *L) {
  double left = bx_loop_timeout(lbx_loop(L));
  if (left < BX_FOREVER)
    lua_pushnumber(L, left);
  else
    lua_pushnil(L);
  return 1;
}

/* boxd.pending() */
static int pending(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)lbx_pending(lbx_state_get(L)));
  return 1;
}

/* boxd.step([seconds]) */
static int step(lua_State *L) {
  double seconds = luaL_optnumber(L, 1, 0);
  luaL_argcheck(L, seconds >= 0, 1, "a time can't be negative");
  lbx_loop(L);
  lbx_step(L, seconds);
  return pending(L);
}

/* boxd.hooks{ park=, wake=, can_park=, watch= } or boxd.hooks(nil) */
static int hooks(lua_State *L) {
  static const char *const names[] = {"park", "wake", "can_park", "watch", NULL};
  if (!lua_isnil(L, 1)) luaL_checktype(L, 1, LUA_TTABLE);
  lbx_options(L, 1, "hooks", names);
  lbx_loop(L);
  lbx_set_hooks(L, 1);
  return 0;
}

void lbx_open_host(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"pollfd", pollfd},   {"events", events}, {"timeout", timeout},
      {"pending", pending}, {"step", step},     {"hooks", hooks},
      {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
