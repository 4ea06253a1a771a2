/*
** await: the one file that yields and resumes.
*/
#include "await.h"

#include <lauxlib.h>

#include "await_private.h"
#include "type.h"

/* What our own yields carry. It stays on the stack of a coroutine that waits,
** so that only the function that passed the wait on resumes it. */
static char sentinel;

static void on_wait_over(bx_timer *t) {
  lbx_context *c = (lbx_context *)((char *)t - offsetof(lbx_context, timer));
  bx_waiter_wake(c->state->loop, &c->waiter);
}

/* Starts what makes the context ready again. */
static void wait_for(lua_State *L, lbx_context *c, const lbx_wait *w) {
  lbx_state *S = c->state;
  c->timer.fire = on_wait_over;
  if (w->turn)
    bx_waiter_wake(S->loop, &c->waiter);
  else if (w->until > 0 && w->until < BX_FOREVER &&
           !bx_timer_start(S->loop, &c->timer, w->until))
    luaL_error(L, "not enough memory");
  else
    bx_event_wait(S->loop, w->event, &c->waiter);
}

/* Leaves the coroutine; it goes on in k once the context is ready. */
static void yield(lua_State *L, lbx_context *c, const lbx_wait *w,
                  lua_KContext ctx, lua_KFunction k) {
  lbx_room(L, 1);
  wait_for(L, c, w);
  lua_pushlightuserdata(L, &sentinel);
  lua_yieldk(L, 1, ctx, k);
}

/* The wait of a guest is over, or its host resumed it for reasons of its own. */
static void end_park(lua_State *L, lbx_guest *g) {
  g->wait.cancel = NULL;
  lua_closeslot(L, -1); /* lua_pop of Lua 5.4.4 loses a stack that moves */
  lua_pop(L, 1);
}

static int parked_k(lua_State *L, int status, lua_KContext ctx) {
  lbx_guest *g = (lbx_guest *)ctx;
  end_park(L, g);
  return g->k(L, status, g->ctx);
}

/* Waits in the host's hook, and goes on in k; returns when the hook did not
** yield. The guest is on top: it is closed when the hook raises, and when the
** coroutine is closed. */
static void park(lua_State *L, lbx_guest *g, const lbx_wait *w,
                 lua_KContext ctx, lua_KFunction k) {
  lbx_room(L, 6);
  g->wait = *w;
  g->k = k;
  g->ctx = ctx;
  lua_toclose(L, -1);
  lbx_mark_parked(L, g);
  wait_for(L, &g->context, w);
  lbx_push_hook(L, LBX_PARK);
  lua_pushthread(L);
  lua_callk(L, 1, 0, (lua_KContext)g, parked_k);
  end_park(L, g);
}

/* The hook may resume the coroutine at once, or some turns later. */
bool lbx_wake(lua_State *L, lbx_guest *g) {
  lbx_state *S = g->context.state;
  lbx_context *outer = S->current;
  lbx_room(L, 4);
  lbx_push_hook(L, LBX_WAKE);
  lbx_push_released(L, g);
  S->current = &S->root;
  S->depth++;
  int status = lua_pcall(L, 1, 0, 0);
  S->depth--;
  S->current = outer;
  return status == LUA_OK;
}

bool lbx_may_yield(lua_State *L, const lbx_context *c) {
  return c->co && L == c->top && lua_isyieldable(L);
}

void lbx_await(lua_State *L, const lbx_wait *w, lua_KContext ctx,
               lua_KFunction k) {
  lbx_state *S = lbx_state_alive(L);
  lbx_context *c = S->current;
  lbx_raise_reason(L, c, w);
  if (w->event->set) return;
  if (lbx_may_yield(L, c)) yield(L, c, w, ctx, k);
  lbx_context *guest = k ? lbx_push_guest(L, S) : NULL;
  if (guest)
    park(L, (lbx_guest *)guest, w, ctx, k);
  else
    lbx_block(L, S, w);
  lbx_raise_reason(L, c, w);
}

static bool is_waiting(lua_State *co) {
  return lua_status(co) == LUA_YIELD && lua_touserdata(co, -1) == &sentinel;
}

/* A signal stops what computes: whichever runs when it comes has the hook. */
static void set_running(lbx_state *S, lua_State *co) {
  S->running = co;
  if (S->stop && lbx_is_signalled(S)) lua_sethook(co, S->stop, LUA_MASKCOUNT, 1);
}

/* lua_resume, for a coroutine that a signal may have to stop. */
static int resume(lua_State *L, lbx_state *S, lua_State *co, int nargs, int *n) {
  lua_State *outer = S->running;
  set_running(S, co);
  int status = lua_resume(co, L, nargs, n);
  set_running(S, outer);
  return status;
}

/* Lua has no C stack left for it: it waits on. The message took the place of
** the sentinel. */
static void put_back(lbx_context *c) {
  lua_pop(c->co, 1);
  lua_pushlightuserdata(c->co, &sentinel);
  bx_waiter_wake(c->state->loop, &c->waiter);
}

/* The wait of another scheduler, which a task can't resume when it is over: to
** go on at once would be silently wrong. */
static void refuse_values(lua_State *co) {
  lua_resetthread(co);
  lua_settop(co, 0);
  lua_pushliteral(co, "a task yielded values to boxd: only boxd's own functions "
                  "wait in a task; a wait of another library works in the "
                  "coroutines of that library's loop (see boxd.loop)");
}

bool lbx_run(lua_State *L, lbx_context *c) {
  lbx_state *S = c->state;
  lbx_context *outer = S->current;
  int n, nargs = c->phase == LBX_NEW ? lua_gettop(c->co) - 1 : 0;
  if (is_waiting(c->co)) lua_pop(c->co, 1);
  S->current = c;
  S->depth++;
  c->top = c->co;
  c->phase = LBX_RUNS;
  int status = resume(L, S, c->co, nargs, &n);
  S->depth--;
  S->current = outer;
  if (status == LUA_YIELD && n > 0 && !is_waiting(c->co)) refuse_values(c->co);
  if (lua_status(c->co) != LUA_YIELD) {
    if (c->phase == LBX_RUNS) c->phase = LBX_FAILED;
    return false;
  }
  c->phase = LBX_WAITS;
  if (status != LUA_YIELD) {
    put_back(c);
  } else if (!is_waiting(c->co)) {
    /* coroutine.yield in a task: the others get a turn. */
    lua_pop(c->co, n);
    bx_waiter_wake(S->loop, &c->waiter);
  }
  return true;
}

/* Coroutines of the user's own. */

#define AGAIN (-1) /* instead of a number of arguments: its wait is over */

/* Closes the variables of co, which failed with the error on L; the error may
** become another one. */
static void close_failed(lua_State *L, lua_State *co) {
  lua_xmove(L, co, 1);
  lua_resetthread(co);
  lua_xmove(co, L, 1);
}

/* Resumes co; the count of values it left on L, or -1 with an error there. What
** ends the context is not for a resume to catch: it is raised. */
static int resume_once(lua_State *L, lua_State *co, lua_KContext nargs,
                       lua_KFunction k) {
  lbx_context *c = lbx_state_get(L)->current;
  unsigned before = c->state->raises;
  bool pass = lbx_may_yield(L, c);
  int n;
  if (is_waiting(co) && nargs == AGAIN) lua_pop(co, 1);
  if (pass) c->top = co;
  int status = resume(L, c->state, co, nargs == AGAIN ? 0 : (int)nargs, &n);
  if (pass) c->top = L;
  if (status != LUA_OK && status != LUA_YIELD) {
    lua_xmove(co, L, 1);
    if (!lbx_was_ended(c, before)) return -1;
    close_failed(L, co);
    lua_error(L);
  }
  if (status == LUA_YIELD && is_waiting(co)) {
    lua_pushlightuserdata(L, &sentinel);
    return lua_yieldk(L, 1, AGAIN, k);
  }
  if (!lua_checkstack(L, n + 1)) {
    lua_pop(co, n);
    lua_pushliteral(L, "too many results to resume");
    return -1;
  }
  lua_xmove(co, L, n);
  return n;
}

/* False: the coroutine waits in another task; that is as if it ran. */
static bool may_resume(lua_State *L, lua_State *co) {
  if (!is_waiting(co)) return true;
  lua_pushliteral(L, "cannot resume non-suspended coroutine");
  return false;
}

static int give_arguments(lua_State *L, lua_State *co, int nargs) {
  if (!lua_checkstack(co, nargs)) luaL_error(L, "too many arguments to resume");
  lua_xmove(L, co, nargs);
  return nargs;
}

static int resume_k(lua_State *L, int status, lua_KContext nargs) {
  (void)status;
  int n = resume_once(L, lua_tothread(L, 1), nargs, resume_k);
  lua_pushboolean(L, n >= 0);
  if (n < 0) n = 1;
  lua_insert(L, -(n + 1));
  return n + 1;
}

/* boxd.resume(co, ...) */
int lbx_resume(lua_State *L) {
  luaL_argexpected(L, lua_isthread(L, 1), 1, "coroutine");
  lua_State *co = lua_tothread(L, 1);
  if (!may_resume(L, co)) {
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
  }
  return resume_k(L, LUA_OK, give_arguments(L, co, lua_gettop(L) - 1));
}

/* Raises the value on top, a text with its place, as coroutine.wrap does. */
static int raise_wrapped(lua_State *L) {
  if (lua_type(L, -1) == LUA_TSTRING) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

static int wrapped_k(lua_State *L, int status, lua_KContext nargs) {
  lua_State *co = lua_tothread(L, lua_upvalueindex(1));
  (void)status;
  int n = resume_once(L, co, nargs, wrapped_k);
  if (n >= 0) return n;
  status = lua_status(co);
  if (status != LUA_OK && status != LUA_YIELD) close_failed(L, co);
  return raise_wrapped(L);
}

static int wrapped(lua_State *L) {
  lua_State *co = lua_tothread(L, lua_upvalueindex(1));
  if (!may_resume(L, co)) return raise_wrapped(L);
  return wrapped_k(L, LUA_OK, give_arguments(L, co, lua_gettop(L)));
}

/* boxd.wrap(f) */
int lbx_wrap(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_State *co = lua_newthread(L);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  lua_pushcclosure(L, wrapped, 1);
  return 1;
}
