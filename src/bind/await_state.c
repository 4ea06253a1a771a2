/*
** The state of a family of coroutines, and what ends its waits: signals,
** task:cancel, with_timeout, os.exit.
*/
#include <lauxlib.h>

#include "../core/observe.h"
#include "await_private.h"
#include "error.h"
#include "type.h"

#define STATE_TYPE "boxd.State"

static char state_key;

lbx_state *lbx_state_get(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &state_key);
  lbx_state *S = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return S;
}

lbx_state *lbx_state_alive(lua_State *L) {
  lbx_state *S = lbx_state_get(L);
  if (!S->loop) lbx_error_class(L, BX_CANCELLED, "the Lua state is closing");
  return S;
}

bx_loop *lbx_loop(lua_State *L) { return lbx_state_alive(L)->loop; }

int lbx_gone(lua_State *L, const char *what) {
  lbx_error_class(L, BX_CANCELLED, "%s is gone: it was collected before the "
                  "finalizer that uses it", what);
}

/* The last finalizer of all: everything else was made after the state. */
static int m__gc(lua_State *L) {
  lbx_state *S = lua_touserdata(L, 1);
  bx_loop_free(S->loop);
  S->loop = NULL;
  return 0;
}

static void on_signal_again(bx_timer *t) {
  lbx_state *S = (lbx_state *)((char *)t - offsetof(lbx_state, signal_again));
  S->signal = lbx_ask(S->signal);
}

void lbx_open_state(lua_State *L) {
  static const luaL_Reg meta[] = {{"__gc", m__gc}, {NULL, NULL}};
  if (lbx_state_get(L)) return;
  lbx_newtype(L, STATE_TYPE, NULL, meta);
  lbx_state *S = lbx_new(L, sizeof *S, 0, STATE_TYPE);
  bx_log_open();
  S->loop = bx_loop_new();
  if (!S->loop) luaL_error(L, "not enough memory");
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  S->main = lua_tothread(L, -1);
  lua_pop(L, 1);
  S->root.state = S;
  S->root.phase = LBX_RUNS;
  S->current = &S->root;
  S->running = S->main;
  S->host = true;
  S->signal_again.fire = on_signal_again;
  lua_rawsetp(L, LUA_REGISTRYINDEX, &state_key);
  lbx_open_pump(L);
  lbx_open_guest(L);
}

/* Not while it has yielded a value: a waiter then is outside of it. */
static bool is_over(const lbx_scope *s) {
  return lbx_is_due(s->over) && lua_status(s->co) != LUA_YIELD;
}

/* The outermost whose time is over; NULL: none. */
static lbx_scope *scope_over(lbx_context *c) {
  lbx_scope *found = NULL;
  for (lbx_scope *s = c->scope; s; s = s->outer)
    if (is_over(s)) found = s;
  return found;
}

lbx_reason lbx_reason_to_end(lbx_context *c) {
  lbx_state *S = c->state;
  bool root = c == &S->root;
  if (root && S->leave) return LBX_LEAVE;
  if (lbx_is_due(c->cancel)) return LBX_CANCEL;
  if (root && lbx_is_signalled(S)) return LBX_SIGNAL;
  return c->scope && scope_over(c) ? LBX_TIMEOUT : LBX_GO_ON;
}

/* The next raise comes when the handlers took too long. */
static void raise_signal(lua_State *L, lbx_state *S) {
  S->signal = LBX_RAISED;
  if (!bx_timer_start(S->loop, &S->signal_again,
                      bx_now() + LBX_CLEANUP_SECONDS))
    luaL_error(L, "not enough memory");
  lbx_error_class(L, BX_CANCELLED, "interrupted (%s)", S->signal_name);
}

/* The raise ends all that is inside the scope: an inner one has no say. */
static void raise_timeout(lua_State *L, lbx_context *c) {
  lbx_scope *s = scope_over(c);
  for (lbx_scope *in = c->scope; in != s; in = in->outer)
    if (is_over(in)) in->over &= ~(unsigned)LBX_ASKED;
  s->over = LBX_RAISED;
  s->raised = c->state->raises;
  lbx_error_class(L, BX_TIMEOUT, "the time of with_timeout (%g s) is over",
                  s->seconds);
}

void lbx_raise_reason(lua_State *L, lbx_context *c, const lbx_wait *w) {
  lbx_state *S = c->state;
  lbx_reason reason = lbx_reason_to_end(c);
  if (reason == LBX_GO_ON) return;
  if (w->cancel) w->cancel(w->arg);
  S->raises++;
  if (reason != LBX_TIMEOUT) c->raised = S->raises;
  switch (reason) {
    case LBX_GO_ON: return;
    case LBX_LEAVE: S->leave(L); return;
    case LBX_CANCEL:
      c->cancel = LBX_RAISED;
      lbx_error_class(L, BX_CANCELLED, "the task was cancelled");
      return;
    case LBX_SIGNAL: raise_signal(L, S); return;
    case LBX_TIMEOUT: raise_timeout(L, c); return;
  }
}

bool lbx_was_ended(const lbx_context *c, unsigned since) {
  if (c->raised > since) return true;
  for (const lbx_scope *s = c->scope; s; s = s->outer)
    if (s->raised > since) return true;
  return false;
}

void lbx_stop(lua_State *L) {
  lbx_state *S = lbx_state_get(L);
  lbx_context *c = S->current;
  if (!lbx_is_signalled(S) || c->alone) return;
  if (c->co) lbx_task_cancel(L, c);
  lbx_raise_reason(L, c, &(lbx_wait){0});
}

void lbx_interrupt(lbx_context *c) {
  if (c->waiter.in) bx_waiter_wake(c->state->loop, &c->waiter);
}
