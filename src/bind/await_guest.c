/*
** Coroutines that another library's scheduler resumes, and the hooks by which
** they wait. All of them run in the main context: what they wait for is theirs,
** what interrupts them is not.
*/
#include <lauxlib.h>

#include "await_private.h"
#include "type.h"

#define GUEST_TYPE "boxd.Guest"

/* hooks: a list; guests: coroutine -> guest, weak; parked: guest -> coroutine. */
static char hooks_key, guests_key, parked_key;

static const char *const hook_names[LBX_HOOK_COUNT] = {"park", "wake",
                                                        "can_park", "watch"};

/* Of a coroutine that is collected, or while the state closes. */
static int m__gc(lua_State *L) {
  lbx_guest *g = lua_touserdata(L, 1);
  lbx_state *S = g->context.state;
  if (!S || !S->loop) return 0;
  bx_timer_stop(S->loop, &g->context.timer);
  bx_waiter_drop(&g->context.waiter);
  if (!g->parked) return 0;
  g->parked = false;
  S->parked--;
  bx_loop_notice(S->loop); /* a step says that it is gone */
  return 0;
}

/* The wait is over; unless end_park comes first, its coroutine ends. */
static int m__close(lua_State *L) {
  lbx_guest *g = lua_touserdata(L, 1);
  lbx_unpark(L, g);
  if (g->wait.cancel) g->wait.cancel(g->wait.arg);
  g->wait.cancel = NULL;
  return 0;
}

static void new_table(lua_State *L, void *key, const char *mode) {
  lua_newtable(L);
  if (mode) {
    lua_createtable(L, 0, 1);
    lua_pushstring(L, mode);
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
  }
  lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

void lbx_open_guest(lua_State *L) {
  static const luaL_Reg meta[] = {
      {"__gc", m__gc}, {"__close", m__close}, {NULL, NULL}};
  lbx_newtype(L, GUEST_TYPE, NULL, meta);
  new_table(L, &hooks_key, NULL);
  new_table(L, &guests_key, "k");
  new_table(L, &parked_key, NULL);
}

/* Hooks. */

bool lbx_push_hook(lua_State *L, lbx_hook hook) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &hooks_key);
  int type = lua_rawgeti(L, -1, (lua_Integer)hook + 1);
  lua_remove(L, -2);
  return type != LUA_TNIL;
}

static void check_hook(lua_State *L, int idx, lbx_hook hook) {
  bool needed = hook == LBX_PARK || hook == LBX_WAKE;
  int type = lua_getfield(L, idx, hook_names[hook]);
  if (type != LUA_TFUNCTION && (needed || type != LUA_TNIL))
    luaL_error(L, "hooks: %s must be a function, not %s", hook_names[hook],
               lua_typename(L, type));
}

void lbx_set_hooks(lua_State *L, int idx) {
  lbx_state *S = lbx_state_get(L);
  if (S->parked > 0)
    luaL_error(L, "hooks: coroutines wait by the hooks there are (boxd.pending)");
  lua_createtable(L, LBX_HOOK_COUNT, 0);
  int list = lua_gettop(L);
  bool some = !lua_isnoneornil(L, idx);
  for (int i = 0; some && i < LBX_HOOK_COUNT; i++) {
    check_hook(L, idx, (lbx_hook)i);
    lua_rawseti(L, list, i + 1);
  }
  lua_rawsetp(L, LUA_REGISTRYINDEX, &hooks_key);
  S->hooked = some;
  S->watched = false;
  lbx_tell_host(L, S);
}

void lbx_tell_host(lua_State *L, lbx_state *S) {
  if (!S->hooked || S->watched == (lbx_pending(S) > 0)) return;
  S->watched = !S->watched;
  lbx_room(L, 4);
  if (!lbx_push_hook(L, LBX_WATCH)) {
    lua_pop(L, 1);
    return;
  }
  lua_pushboolean(L, S->watched);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) lbx_warn(L, "the watch hook failed");
}

/* Not one that the host's scheduler does not resume itself, such as a generator
** inside one of its coroutines: the host would take its yield for a value. */
static bool may_park(lua_State *L, lbx_state *S) {
  if (!S->hooked || S->current != &S->root || !lua_isyieldable(L)) return false;
  lbx_room(L, 8);
  if (!lbx_push_hook(L, LBX_CAN_PARK)) {
    lua_pop(L, 1);
    return true;
  }
  lua_call(L, 0, 1);
  bool can = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return can;
}

/* Guests. */

/* Replaces the table of guests on top by a new guest, for the coroutine. */
static lbx_guest *new_guest(lua_State *L, lbx_state *S) {
  lbx_guest *g = lbx_new(L, sizeof *g, 0, GUEST_TYPE);
  g->context.state = S;
  g->context.phase = LBX_RUNS;
  g->context.guest = true;
  g->co = L;
  lua_pushthread(L);
  lua_pushvalue(L, -2);
  lua_rawset(L, -4);
  lua_remove(L, -2);
  return g;
}

lbx_context *lbx_push_guest(lua_State *L, lbx_state *S) {
  if (!may_park(L, S)) return NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &guests_key);
  lua_pushthread(L);
  lua_rawget(L, -2);
  lbx_guest *g = lua_touserdata(L, -1);
  if (!g) {
    lua_pop(L, 1);
    return &new_guest(L, S)->context;
  }
  lua_remove(L, -2);
  return &g->context;
}

static void anchor(lua_State *L, lbx_guest *g, bool on) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &parked_key);
  if (on)
    lua_pushthread(L);
  else
    lua_pushnil(L);
  lua_rawsetp(L, -2, g);
  lua_pop(L, 1);
}

void lbx_mark_parked(lua_State *L, lbx_guest *g) {
  anchor(L, g, true);
  g->parked = true;
  g->context.state->parked++;
  lbx_tell_host(L, g->context.state);
}

void lbx_unpark(lua_State *L, lbx_guest *g) {
  lbx_state *S = g->context.state;
  if (!g->parked) return;
  g->parked = false;
  S->parked--;
  if (S->loop) bx_timer_stop(S->loop, &g->context.timer);
  bx_waiter_drop(&g->context.waiter);
  anchor(L, g, false);
  lbx_tell_host(L, S);
}

void lbx_push_released(lua_State *L, lbx_guest *g) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &parked_key);
  lua_rawgetp(L, -1, g);
  lua_remove(L, -2);
  anchor(L, g, false);
}
