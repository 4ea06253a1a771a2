#include "clock.h"

#include <lauxlib.h>

#include "await.h"
#include "error.h"
#include "type.h"

#define SCOPE_TYPE "boxd.Scope"

static int sleep_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  lbx_state *S = lbx_state_get(L);
  double until = lua_tonumber(L, 1);
  while (bx_now() < until)
    lbx_await(L, &(lbx_wait){.event = &S->never, .until = until}, ctx, sleep_k);
  return 0;
}

/* boxd.sleep(seconds): at least one turn for the others, also for 0. */
static int sleep_(lua_State *L) {
  double seconds = luaL_checknumber(L, 1), start = bx_now();
  luaL_argcheck(L, seconds >= 0, 1, "a time can't be negative");
  lua_settop(L, 0);
  lua_pushnumber(L, start + seconds);
  lbx_state *S = lbx_state_get(L);
  lbx_wait w = {.event = &S->never, .until = start + seconds,
                .turn = seconds == 0};
  lbx_await(L, &w, 0, sleep_k);
  return sleep_k(L, LUA_OK, 0);
}

/* boxd.now() */
static int now(lua_State *L) {
  lua_pushnumber(L, bx_now());
  return 1;
}

/* Raises once more when the handlers of a first raise took too long; without
** memory for that timer they may. */
static void on_scope_over(bx_timer *timer) {
  lbx_scope *s = (lbx_scope *)((char *)timer - offsetof(lbx_scope, timer));
  s->over = lbx_ask(s->over);
  bx_timer_start(s->state->loop, timer, bx_now() + LBX_CLEANUP_SECONDS);
  lbx_interrupt(s->guest ? s->guest : s->context);
}

/* Takes the scope off its context; idempotent. */
static int m__gc_scope(lua_State *L) {
  lbx_scope *s = lua_touserdata(L, 1);
  if (!s->context) return 0;
  if (s->state->loop) bx_timer_stop(s->state->loop, &s->timer);
  for (lbx_scope **at = &s->context->scope; *at; at = &(*at)->outer)
    if (*at == s) {
      *at = s->outer;
      break;
    }
  s->context = NULL;
  return 0;
}

void lbx_end_scopes(lbx_context *c) {
  for (lbx_scope *s = c->scope; s; s = s->outer) {
    bx_timer_stop(c->state->loop, &s->timer);
    s->context = NULL;
  }
  c->scope = NULL;
}

static int with_timeout_k(lua_State *L, int status, lua_KContext ctx) {
  (void)ctx;
  lbx_scope *s = lua_touserdata(L, 1);
  bool late = lbx_was_raised(s->over) || /* and fn has caught it */
              (s->guest && status == LUA_YIELD && bx_now() >= s->until);
  double seconds = s->seconds;
  m__gc_scope(L);
  if (status != LUA_OK && status != LUA_YIELD) return lua_error(L);
  if (late)
    lbx_error_class(L, BX_TIMEOUT, "the time of with_timeout (%g s) is over",
                    seconds);
  return lua_gettop(L) - 1;
}

/* boxd.with_timeout(seconds, fn, ...) */
static int with_timeout(lua_State *L) {
  double seconds = luaL_checknumber(L, 1);
  luaL_argcheck(L, seconds > 0, 1, "seconds must be positive");
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lbx_state *S = lbx_state_alive(L);
  lbx_context *guest = lbx_push_guest(L, S);
  if (!guest) lua_pushnil(L);
  lbx_scope *s = lbx_new(L, sizeof *s, 2, SCOPE_TYPE);
  s->guest = guest;
  lua_pushthread(L);
  lua_setiuservalue(L, -2, 1);
  lua_insert(L, -2);
  lua_setiuservalue(L, -2, 2);
  lua_replace(L, 1);
  lua_toclose(L, 1); /* of a coroutine that is closed, the scope ends too */
  s->co = L;
  s->timer.fire = on_scope_over;
  s->state = S;
  s->seconds = seconds;
  s->until = bx_now() + seconds;
  if (!bx_timer_start(S->loop, &s->timer, s->until))
    return luaL_error(L, "not enough memory");
  s->context = S->current;
  s->outer = s->context->scope;
  s->context->scope = s;
  int status =
      lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, with_timeout_k);
  return with_timeout_k(L, status, 0);
}

void lbx_open_clock(lua_State *L) {
  static const luaL_Reg scope_meta[] = {
      {"__gc", m__gc_scope}, {"__close", m__gc_scope}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"sleep", sleep_},
                                       {"now", now},
                                       {"with_timeout", with_timeout},
                                       {NULL, NULL}};
  lbx_newtype(L, SCOPE_TYPE, NULL, scope_meta);
  luaL_setfuncs(L, functions, 0);
}
