#include "await.h"

#include <lauxlib.h>

#include "../core/observe.h"
#include "error.h"
#include "type.h"

#define STATE_TYPE "boxd.State"
#define HOST_SLICE 0.1  /* seconds between a host's chances to interrupt us */
#define WATCH_AFTER 0.02 /* seconds that a wait may take before signals end it */
#define POLL_EVERY 64   /* task switches between looks at the network */

/* What our own yields carry. It stays on the stack of a coroutine that waits,
** so that nobody but who passed the wait on resumes it. */
static char sentinel;
static char state_key, tick_key;

lbx_state *lbx_state_get(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &state_key);
  lbx_state *S = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return S;
}

bx_loop *lbx_loop(lua_State *L) {
  bx_loop *loop = lbx_state_get(L)->loop;
  if (!loop) lbx_error_class(L, BX_CANCELLED, "the Lua state is closing");
  return loop;
}

int lbx_gone(lua_State *L, const char *what) {
  return lbx_error_class(L, BX_CANCELLED, "%s is gone: it was collected before "
                         "the finalizer that uses it", what);
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

static void on_interrupt_again(bx_timer *t) {
  lbx_state *S =
      (lbx_state *)((char *)t - offsetof(lbx_state, interrupt_again));
  S->interrupt_raised = false;
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
  S->current = &S->root;
  S->running = S->main;
  S->host = true;
  S->interrupt_again.fire = on_interrupt_again;
  lua_rawsetp(L, LUA_REGISTRYINDEX, &state_key);
  if (luaL_loadstring(L, "") != LUA_OK) lua_error(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &tick_key);
}

/* Not while it has yielded a value: who waits then is no part of it. */
static bool is_due(const lbx_scope *s) {
  return s->due && lua_status(s->co) != LUA_YIELD;
}

/* What the context, which runs, was told, outermost first; NULL: nothing new. */
static lbx_scope *due_scope(lbx_context *c) {
  lbx_scope *found = NULL;
  for (lbx_scope *s = c->scope; s; s = s->outer)
    if (is_due(s)) found = s;
  return found;
}

static bool is_signalled(const lbx_state *S) {
  return S->interrupt && !S->interrupt_raised;
}

static bool is_interrupted(lbx_context *c) {
  lbx_state *S = c->state;
  return (c->cancel && !c->cancelled) ||
         (c == &S->root && (S->leave || is_signalled(S))) || due_scope(c);
}

/* The next raise comes when the handlers took too long. */
static void raise_signal(lua_State *L, lbx_state *S) {
  S->interrupt_raised = true;
  if (!bx_timer_start(S->loop, &S->interrupt_again,
                      bx_now() + LBX_CLEANUP_SECONDS))
    luaL_error(L, "not enough memory");
  lbx_error_class(L, BX_CANCELLED, "interrupted (%s)", S->interrupt);
}

/* The raise ends all that is inside the scope: an inner one has no say. */
static void raise_scope(lua_State *L, lbx_context *c) {
  lbx_scope *s = due_scope(c);
  for (lbx_scope *in = c->scope; in != s; in = in->outer)
    if (is_due(in)) in->due = false;
  s->due = false;
  s->raised = true;
  lbx_error_class(L, BX_TIMEOUT, "the time of with_timeout (%g s) is over",
                  s->seconds);
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
  if (c == &S->root && is_signalled(S)) raise_signal(L, S);
  raise_scope(L, c);
}

void lbx_stop(lua_State *L) {
  lbx_state *S = lbx_state_get(L);
  lbx_context *c = S->current;
  if (!is_signalled(S) || c->alone) return;
  if (c->co) lbx_task_cancel(L, c);
  if (is_interrupted(c)) raise_interruption(L, c, &(lbx_wait){0});
}

bool lbx_is_deep(const lbx_state *S) { return S->depth >= LBX_DEPTH_MAX; }

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

/* A task that waits inside a callback holds up the main context, which a
** signal is for. */
static bool must_end(lua_State *L, lbx_context *c) {
  if (c->co && !c->alone && is_signalled(c->state)) lbx_task_cancel(L, c);
  return is_interrupted(c);
}

/* A turn for whoever is ready. False: an error is on the stack. */
static bool pump_turn(lua_State *L, lbx_state *S) {
  if (!pump_once(L, S, 0, true)) return false;
  for (int i = 0; i < POLL_EVERY && bx_loop_has_ready(S->loop); i++)
    run_ready(L, S);
  return true;
}

/* False: an error is on the stack. */
static bool pump(lua_State *L, lbx_state *S, const lbx_wait *w) {
  lbx_context *c = S->current;
  double until = w->until > 0 ? w->until : BX_FOREVER;
  unsigned switches = 0;
  if (w->turn) return pump_turn(L, S);
  while (!w->event->set && !must_end(L, c)) {
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

/* Waits in place; the deepest lets no other task begin. */
static bool block(lua_State *L, lbx_state *S, const lbx_wait *w) {
  bool hold = lbx_is_deep(S);
  lbx_room(L, 8);
  w->event->blocked++;
  if (hold) bx_loop_hold(S->loop, true);
  bool ok = pump(L, S, w);
  if (hold) bx_loop_hold(S->loop, false);
  w->event->blocked--;
  return ok;
}

/* Waits for a moment at most: what is there soon needs no watch for signals,
** which costs a thread. True: that was all. False: an error is on the stack, or
** (*ok) the wait goes on. */
static bool block_briefly(lua_State *L, lbx_state *S, const lbx_wait *w,
                          bool *ok) {
  lbx_wait brief = *w;
  double soon = bx_now() + WATCH_AFTER;
  bool whole = w->turn || (w->until > 0 && w->until <= soon);
  if (!whole) brief.until = soon;
  *ok = block(L, S, &brief);
  return *ok && (whole || w->event->set || is_interrupted(S->current));
}

/* False: an error is on the stack. */
static bool block_watched(lua_State *L, lbx_state *S, const lbx_wait *w) {
  bool ok;
  if (S->watch) {
    if (block_briefly(L, S, w, &ok)) return true;
    if (!ok) return false;
    if (S->watch) S->watch(L); /* what ran meanwhile may have waited longer */
  }
  return block(L, S, w);
}

void lbx_await(lua_State *L, const lbx_wait *w, lua_KContext ctx,
               lua_KFunction k) {
  lbx_loop(L);
  lbx_state *S = lbx_state_get(L);
  lbx_context *c = S->current;
  if (is_interrupted(c)) raise_interruption(L, c, w);
  if (w->event->set) return;
  if (c->co && L == c->top && lua_isyieldable(L)) yield(L, c, w, ctx, k);
  if (!block_watched(L, S, w)) lua_error(L);
  if (is_interrupted(c)) raise_interruption(L, c, w);
}

static bool is_waiting(lua_State *co) {
  return lua_status(co) == LUA_YIELD && lua_touserdata(co, -1) == &sentinel;
}

/* lua_resume, for a coroutine that a signal may have to stop. */
static int resume(lua_State *L, lua_State *co, int nargs, int *n) {
  lbx_state *S = lbx_state_get(L);
  lua_State *outer = S->running;
  if (S->stop && is_signalled(S)) lua_sethook(co, S->stop, LUA_MASKCOUNT, 1);
  S->running = co;
  int status = lua_resume(co, L, nargs, n);
  S->running = outer;
  return status;
}

int lbx_run(lua_State *L, lbx_context *c, int nargs) {
  lbx_state *S = c->state;
  lbx_context *outer = S->current;
  int n;
  if (is_waiting(c->co)) lua_pop(c->co, 1);
  S->current = c;
  S->depth++;
  c->top = c->co;
  c->running = true;
  int status = resume(L, c->co, nargs, &n);
  c->running = false;
  S->depth--;
  S->current = outer;
  if (status == LUA_YIELD && !is_waiting(c->co)) {
    /* coroutine.yield in a task: the others get a turn. */
    lua_pop(c->co, n);
    bx_waiter_wake(S->loop, &c->waiter);
  }
  return status;
}

/* Coroutines of the user's own. */

#define AGAIN (-1) /* instead of a number of arguments: its wait is over */

/* Resumes co; the count of values it left on L, or -1 with an error there. */
static int resume_once(lua_State *L, lua_State *co, lua_KContext nargs,
                       lua_KFunction k) {
  lbx_context *c = lbx_state_get(L)->current;
  bool pass = c->co && L == c->top && lua_isyieldable(L);
  int n;
  if (is_waiting(co) && nargs == AGAIN) lua_pop(co, 1);
  if (pass) c->top = co;
  int status = resume(L, co, nargs == AGAIN ? 0 : (int)nargs, &n);
  if (pass) c->top = L;
  if (status != LUA_OK && status != LUA_YIELD) {
    lua_xmove(co, L, 1);
    return -1;
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

/* Raises what is on top, a text with its place, as coroutine.wrap does. */
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
  if (status != LUA_OK && status != LUA_YIELD) {
    /* Close its variables; the error may become another one. */
    lua_xmove(L, co, 1);
    lua_resetthread(co);
    lua_xmove(co, L, 1);
  }
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
