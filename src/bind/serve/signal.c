#include "signal.h"

#include "../await.h"
#include "../type.h"

#define TYPE "boxd.Signal"

typedef struct signal_ud {
  bx_event event;
  lua_KContext count; /* of firings: a waiter looks for a change of it */
} signal_ud;

/* 1: the signal, 2: until when */
static int wait_k(lua_State *L, int status, lua_KContext seen) {
  (void)status;
  signal_ud *s = lua_touserdata(L, 1);
  double until = lua_tonumber(L, 2);
  while (s->count == seen && bx_now() < until) {
    bx_event_reset(&s->event);
    lbx_await(L, &(lbx_wait){.event = &s->event, .until = until}, seen, wait_k);
  }
  lua_pushboolean(L, s->count != seen);
  return 1;
}

/* signal:wait([seconds]) -> true, or false when the time was over. For tasks:
** it waits for the next firing, one before it does not count. */
static int m_wait(lua_State *L) {
  signal_ud *s = luaL_checkudata(L, 1, TYPE);
  double until = bx_now() + luaL_optnumber(L, 2, BX_FOREVER);
  lua_settop(L, 1);
  lua_pushnumber(L, until);
  return wait_k(L, LUA_OK, s->count);
}

/* signal:fire(): all waiters go on. */
static int m_fire(lua_State *L) {
  signal_ud *s = luaL_checkudata(L, 1, TYPE);
  s->count++;
  bx_event_set(lbx_loop(L), &s->event);
  return 0;
}

static int f_signal(lua_State *L) {
  lbx_new(L, sizeof(signal_ud), 0, TYPE);
  return 1;
}

void lbx_open_signal(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"wait", m_wait}, {"fire", m_fire}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{NULL, NULL}};
  lbx_newtype(L, TYPE, methods, meta);
  lua_pushcfunction(L, f_signal);
}
