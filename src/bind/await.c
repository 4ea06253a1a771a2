#include "await.h"

#include <lauxlib.h>

#include "error.h"
#include "type.h"

#define STATE_TYPE "boxd.State"
#define HOST_SLICE 0.1  /* seconds between a host's chances to interrupt us */
#define POLL_EVERY 64   /* task switches between looks at the network */

static char sentinel; /* what our own yields carry */
static char state_key, tick_key;

lbx_state *lbx_state_get(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &state_key);
  lbx_state *S = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return S;
}

/* The last finalizer of all: everything else was made after the state. */
static int m__gc(lua_State *L) {
  lbx_state *S = lua_touserdata(L, 1);
  bx_loop_free(S->loop);
  S->loop = NULL;
  return 0;
}

static void on_wait_over(bx_timer *t) {
  lbx_context *c = (lbx_context *)((char *)t - offsetof(lbx_context, timer));
  bx_waiter_wake(c->state->loop, &c->waiter);
}

void lbx_open_state(lua_State *L) {
  static const luaL_Reg meta[] = {{"__gc", m__gc}, {NULL, NULL}};
  if (lbx_state_get(L)) return;
  lbx_newtype(L, STATE_TYPE, NULL, meta);
  lbx_state *S = lbx_new(L, sizeof *S, 0, STATE_TYPE);
  S->loop = bx_loop_new();
  if (!S->loop) luaL_error(L, "not enough memory");
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  S->main = lua_tothread(L, -1);
  lua_pop(L, 1);
  S->root.state = S;
  S->current = &S->root;
  S->host = true;
  lua_rawsetp(L, LUA_REGISTRYINDEX, &state_key);
  if (luaL_loadstring(L, "") != LUA_OK) lua_error(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &tick_key);
}

/* What the context was told, outermost first; NULL: nothing new. */
static lbx_scope *fired_scope(lbx_context *c) {
  lbx_scope *found = NULL;
  for (lbx_scope *s = c->scope; s; s = s->outer)
    if (s->fired && !s->raised) found = s;
  return found;
}

static bool is_interrupted(lbx_context *c) {
  lbx_state *S = c->state;
  return (c->cancel && !c->cancelled) ||
         (c == &S->root && S->interrupt && !S->interrupt_raised) ||
         (c == &S->root && S->leave) ||
         fired_scope(c);
}

static void raise_interruption(lua_State *L, lbx_context *c,
                               const lbx_wait *w) {
  lbx_state *S = c->state;
  if (w->cancel) w->cancel(w->arg);
  if (c == &S->root && S->leave) S->leave(L);
  if (c->cancel && !c->cancelled) {
    c->cancelled = true;
    lbx_error_class(L, BX_CANCELLED, "the task was cancelled");
  }
  if (c == &S->root && S->interrupt && !S->interrupt_raised) {
    S->interrupt_raised = true;
    lbx_error_class(L, BX_CANCELLED, "interrupted (%s)", S->interrupt);
  }
  lbx_scope *s = fired_scope(c);
  s->raised = true;
  lbx_error_class(L, BX_TIMEOUT, "the time of with_timeout (%g s) is over",
                  s->seconds);
}

void lbx_interrupt(lbx_context *c) {
  if (c->waiter.in) bx_waiter_wake(c->state->loop, &c->waiter);
}

static void run_ready(lua_State *L, lbx_state *S) {
  bx_waiter *w = bx_loop_ready(S->loop);
  lbx_context *c = (lbx_context *)((char *)w - offsetof(lbx_context, waiter));
  bx_timer_stop(S->loop, &c->timer);
  lbx_task_step(L, c);
}

/* A host stops us by a hook on the main thread, as lua(1) does: enter Lua, so
** that the hook runs. False: it raised, the error is on the stack. */
static bool host_turn(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &tick_key);
  return lua_pcall(L, 0, 0, 0) == LUA_OK;
}

/* One turn of the loop. False: an error is on the stack. */
static bool pump_once(lua_State *L, lbx_state *S, double until, bool look) {
  bx_error e;
  double limit = look ? 0 : until;
  if (S->host && bx_now() + HOST_SLICE < limit) limit = bx_now() + HOST_SLICE;
  if (bx_loop_poll(S->loop, limit, &e)) {
    lbx_push_error(L, &e, NULL);
    return false;
  }
  return !S->host || look || host_turn(L);
}

/* False: an error is on the stack. */
static bool pump(lua_State *L, lbx_state *S, const lbx_wait *w) {
  lbx_context *c = S->current;
  double until = w->until > 0 ? w->until : BX_FOREVER;
  unsigned switches = 0;
  while (!w->event->set && !is_interrupted(c)) {
    bool ready = bx_loop_has_ready(S->loop);
    if (ready) run_ready(L, S);
    if (until < BX_FOREVER && bx_now() >= until) break;
    if (ready && ++switches % POLL_EVERY != 0) continue;
    if (!pump_once(L, S, until, ready)) return false;
  }
  return true;
}

/* Leaves the coroutine; it goes on in k once the context is ready. */
static void yield(lua_State *L, lbx_context *c, const lbx_wait *w,
                  lua_KContext ctx, lua_KFunction k) {
  lbx_state *S = c->state;
  lbx_room(L, 1);
  c->timer.fire = on_wait_over;
  if (w->turn)
    bx_waiter_wake(S->loop, &c->waiter);
  else if (w->until > 0 && w->until < BX_FOREVER &&
           !bx_timer_start(S->loop, &c->timer, w->until))
    luaL_error(L, "not enough memory");
  else
    bx_event_wait(S->loop, w->event, &c->waiter);
  lua_pushlightuserdata(L, &sentinel);
  lua_yieldk(L, 1, ctx, k);
}

void lbx_await(lua_State *L, const lbx_wait *w, lua_KContext ctx,
               lua_KFunction k) {
  lbx_state *S = lbx_state_get(L);
  lbx_context *c = S->current;
  if (is_interrupted(c)) raise_interruption(L, c, w);
  if (w->event->set) return;
  if (c->co && L == c->top && lua_isyieldable(L)) yield(L, c, w, ctx, k);
  lbx_room(L, 8);
  w->event->blocked++;
  bool ok = pump(L, S, w);
  w->event->blocked--;
  if (!ok) lua_error(L);
  if (is_interrupted(c)) raise_interruption(L, c, w);
}

/* Takes our own mark off a coroutine that has yielded; false: it is not ours. */
static bool took_sentinel(lua_State *co, int n) {
  if (n != 1 || lua_touserdata(co, -1) != &sentinel) return false;
  lua_pop(co, 1);
  return true;
}

bool lbx_run(lua_State *L, lbx_context *c, int nargs) {
  lbx_state *S = c->state;
  lbx_context *outer = S->current;
  int n;
  S->current = c;
  S->depth++;
  c->top = c->co;
  c->running = true;
  int status = lua_resume(c->co, L, nargs, &n);
  c->running = false;
  S->depth--;
  S->current = outer;
  if (status != LUA_YIELD) return true;
  if (!took_sentinel(c->co, n)) {
    /* coroutine.yield in a task: the others get a turn. */
    lua_pop(c->co, n);
    bx_waiter_wake(S->loop, &c->waiter);
  }
  return false;
}

/* Coroutines of the user's own. */

static int resume_k(lua_State *L, int status, lua_KContext nargs);

/* Resumes co; the count of values it left on L, or -1 with an error there. */
static int resume_once(lua_State *L, lua_State *co, int nargs,
                       lua_KFunction k) {
  lbx_context *c = lbx_state_get(L)->current;
  bool pass = c->co && L == c->top && lua_isyieldable(L);
  int n;
  if (pass) c->top = co;
  int status = lua_resume(co, L, nargs, &n);
  if (pass) c->top = L;
  if (status != LUA_OK && status != LUA_YIELD) {
    lua_xmove(co, L, 1);
    return -1;
  }
  if (status == LUA_YIELD && pass && took_sentinel(co, n)) {
    lua_pushlightuserdata(L, &sentinel);
    return lua_yieldk(L, 1, 0, k);
  }
  if (!lua_checkstack(L, n + 1)) {
    lua_pop(co, n);
    lua_pushliteral(L, "too many results to resume");
    return -1;
  }
  lua_xmove(co, L, n);
  return n;
}

static int give_arguments(lua_State *L, lua_State *co, int nargs) {
  if (!lua_checkstack(co, nargs)) luaL_error(L, "too many arguments to resume");
  lua_xmove(L, co, nargs);
  return nargs;
}

static int resume_k(lua_State *L, int status, lua_KContext nargs) {
  (void)status;
  int n = resume_once(L, lua_tothread(L, 1), (int)nargs, resume_k);
  lua_pushboolean(L, n >= 0);
  if (n < 0) n = 1;
  lua_insert(L, -(n + 1));
  return n + 1;
}

/* boxd.resume(co, ...) */
int lbx_resume(lua_State *L) {
  luaL_argexpected(L, lua_isthread(L, 1), 1, "coroutine");
  int nargs = give_arguments(L, lua_tothread(L, 1), lua_gettop(L) - 1);
  return resume_k(L, LUA_OK, nargs);
}

static int wrapped_k(lua_State *L, int status, lua_KContext nargs) {
  lua_State *co = lua_tothread(L, lua_upvalueindex(1));
  (void)status;
  int n = resume_once(L, co, (int)nargs, wrapped_k);
  if (n >= 0) return n;
  status = lua_status(co);
  if (status != LUA_OK && status != LUA_YIELD) {
    /* Close its variables; the error may become another one. */
    lua_xmove(L, co, 1);
    lua_resetthread(co);
    lua_xmove(co, L, 1);
  }
  if (lua_type(L, -1) == LUA_TSTRING) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

static int wrapped(lua_State *L) {
  lua_State *co = lua_tothread(L, lua_upvalueindex(1));
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
