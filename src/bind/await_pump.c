/*
** Waiting in place: the loop is pumped, and tasks get their turns, until what
** is waited for is there. No error leaves while a wait is marked or the loop
** held: it is on the stack, or in a bx_error, until they are restored.
*/
#include <lauxlib.h>
#include <string.h>

#include "await_private.h"
#include "error.h"
#include "type.h"

#define HOST_SLICE 0.1  /* seconds between a host's chances to interrupt us */
#define WATCH_AFTER 0.02 /* seconds that a wait may take before signals end it */
#define POLL_EVERY 64   /* task switches between looks at the network */
#define STEP_SECONDS 0.005 /* after which a step begins nothing new */

/* Levels of Lua's C stack, of 200, that a task finds free on top of a wait. The
** main context has used few of them, and looks at each wait. */
#define LEVELS 60
#define LEVELS_MAIN 4

static char tick_key;

void lbx_open_pump(lua_State *L) {
  if (luaL_loadstring(L, "") != LUA_OK) lua_error(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &tick_key);
}

static int descend(lua_State *L) {
  lua_Integer levels = lua_tointeger(L, 1);
  if (levels == 0) return 0;
  lua_pushcfunction(L, descend);
  lua_pushinteger(L, levels - 1);
  lua_call(L, 1, 0);
  return 0;
}

/* Lua does not say: try. A host's hook may raise meanwhile. The main context
** mostly waits from where it waited before, with as many levels. */
bool lbx_is_deep(lua_State *L, lbx_state *S) {
  bool nested = S->depth > 0;
  const void *here = __builtin_frame_address(0);
  if (!nested && S->roomy == here && S->roomy_in == L) return false;
  lbx_room(L, 8);
  lua_pushcfunction(L, descend);
  lua_pushinteger(L, nested ? LEVELS : LEVELS_MAIN);
  int status = lua_pcall(L, 1, 0, 0);
  if (status == LUA_OK) {
    if (!nested) S->roomy = here, S->roomy_in = L;
    return false;
  }
  const char *message = lua_tostring(L, -1);
  if (status != LUA_ERRERR && !(message && strstr(message, "stack overflow")))
    lua_error(L);
  lua_pop(L, 1);
  return true;
}

/* False: a host's hook raised, the error is on the stack. */
static bool run_ready(lua_State *L, lbx_state *S) {
  bx_waiter *w = bx_loop_ready(S->loop);
  lbx_context *c = (lbx_context *)((char *)w - offsetof(lbx_context, waiter));
  bx_timer_stop(S->loop, &c->timer);
  if (c->guest) return lbx_wake(L, (lbx_guest *)c);
  lbx_task_step(L, c);
  return true;
}

/* A host stops us by a hook on the main thread, as lua(1) does: enter Lua, so
** that the hook runs. False: it raised, the error is on the stack. */
static bool host_turn(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &tick_key);
  return lua_pcall(L, 0, 0, 0) == LUA_OK;
}

/* One turn of the loop. False: e says why or, when it has no class, the error
** is on the stack. */
static bool pump_once(lua_State *L, lbx_state *S, double until, bool look,
                      bx_error *e) {
  double limit = look ? 0 : until;
  if (S->host && bx_now() + HOST_SLICE < limit) limit = bx_now() + HOST_SLICE;
  if (bx_loop_poll(S->loop, limit, e)) return false;
  return !S->host || look || host_turn(L);
}

/* A task that waits inside a callback holds up the main context, which a
** signal is for. */
static bool must_end(lua_State *L, lbx_context *c) {
  if (c->co && !c->alone && lbx_is_signalled(c->state))
    lbx_task_cancel(L, c);
  return lbx_reason_to_end(c) != LBX_GO_ON;
}

/* A turn for each ready context. */
static bool pump_turn(lua_State *L, lbx_state *S, bx_error *e) {
  if (!pump_once(L, S, 0, true, e)) return false;
  for (int i = 0; i < POLL_EVERY && bx_loop_has_ready(S->loop); i++)
    if (!run_ready(L, S)) return false;
  return true;
}

static bool pump(lua_State *L, lbx_state *S, const lbx_wait *w, bx_error *e) {
  lbx_context *c = S->current;
  double until = w->until > 0 ? w->until : BX_FOREVER;
  unsigned switches = 0;
  if (w->turn) return pump_turn(L, S, e);
  while (!w->event->set && !must_end(L, c)) {
    bool ready = bx_loop_has_ready(S->loop);
    if (ready && !run_ready(L, S)) return false;
    if (until < BX_FOREVER && bx_now() >= until) break;
    if (ready && ++switches % POLL_EVERY != 0) continue;
    if (!pump_once(L, S, until, ready, e)) return false;
  }
  return true;
}

/* The deepest lets no other task begin. */
static void block(lua_State *L, lbx_state *S, const lbx_wait *w, bool deep) {
  bx_error e;
  bx_error_clear(&e);
  w->event->blocked++;
  if (deep) bx_loop_hold(S->loop, true);
  bx_loop_begin_turn(S->loop);
  bool ok = pump(L, S, w, &e);
  if (deep) bx_loop_hold(S->loop, false);
  bx_loop_end_turn(S->loop);
  w->event->blocked--;
  if (ok) return;
  if (e.class_) lbx_push_error(L, &e, NULL);
  lua_error(L);
}

/* Waits for a moment at most: a quick event needs no watch for signals,
** which costs a thread. False: the wait goes on. */
static bool block_briefly(lua_State *L, lbx_state *S, const lbx_wait *w,
                          bool deep) {
  lbx_wait brief = *w;
  double soon = bx_now() + WATCH_AFTER;
  bool whole = w->turn || (w->until > 0 && w->until <= soon);
  if (!whole) brief.until = soon;
  block(L, S, &brief, deep);
  return whole || w->event->set || lbx_reason_to_end(S->current) != LBX_GO_ON;
}

void lbx_block(lua_State *L, lbx_state *S, const lbx_wait *w) {
  lbx_room(L, 8);
  bool deep = lbx_is_deep(L, S);
  if (S->watch) {
    if (block_briefly(L, S, w, deep)) return;
    if (S->watch) S->watch(L); /* what ran meanwhile may have waited longer */
  }
  block(L, S, w, deep);
}

/* Until nothing is ready, or a while has passed. */
static bool step(lua_State *L, lbx_state *S, bx_error *e) {
  double until = bx_now() + STEP_SECONDS;
  do {
    if (!pump_once(L, S, 0, true, e)) return false;
    if (!bx_loop_has_ready(S->loop)) return true;
    for (int i = 0; i < POLL_EVERY && bx_loop_has_ready(S->loop); i++) {
      if (!run_ready(L, S)) return false;
      if (bx_now() >= until) return true;
    }
  } while (bx_now() < until);
  return true;
}

/* Waits for the first ready waiter. */
static bool rest(lua_State *L, lbx_state *S, double until, bx_error *e) {
  if (!pump_once(L, S, 0, true, e)) return false;
  while (!bx_loop_has_ready(S->loop) && bx_now() < until &&
         lbx_reason_to_end(S->current) == LBX_GO_ON)
    if (!pump_once(L, S, until, false, e)) return false;
  return true;
}

void lbx_step(lua_State *L, double seconds) {
  lbx_state *S = lbx_state_get(L);
  bx_error e;
  bx_error_clear(&e);
  lbx_room(L, 8);
  if (lbx_is_deep(L, S)) luaL_error(L, "step: too many callbacks wait already");
  if (seconds > 0 && S->watch) S->watch(L);
  bx_loop_begin_turn(S->loop);
  bool ok = (seconds <= 0 || rest(L, S, bx_now() + seconds, &e)) &&
            step(L, S, &e);
  bx_loop_end_turn(S->loop);
  lbx_tell_host(L, S);
  if (!ok && e.class_) lbx_push_error(L, &e, NULL);
  if (!ok) lua_error(L);
  lbx_raise_reason(L, S->current, &(lbx_wait){0});
}
