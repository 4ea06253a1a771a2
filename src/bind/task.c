#include "task.h"

#include <lauxlib.h>

#include "../core/observe.h"
#include "await.h"
#include "clock.h"
#include "error.h"
#include "record.h"
#include "task_private.h"
#include "type.h"

#define TYPE "boxd.Task"
#define SPAWN_DEPTH_MAX 16 /* contexts on the C stack before a spawn is put off */

/* User values of a Task. The results are one value, or a list of them: on the
** coroutine's stack a script could reach them. */
#define UV_COROUTINE 1
#define UV_RESULTS 2

static char anchor_key; /* in the registry: the anchor table */

static lbx_task *check_task(lua_State *L, int idx) {
  return luaL_checkudata(L, idx, TYPE);
}

static lbx_task *task_of(lbx_context *c) {
  return c->co ? (lbx_task *)((char *)c - offsetof(lbx_task, context)) : NULL;
}

void lbx_push_anchor(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &anchor_key);
}

static void anchor(lua_State *L, lbx_task *t, int idx) {
  lua_pushvalue(L, idx);
  lbx_push_anchor(L);
  lua_insert(L, -2);
  lua_rawsetp(L, -2, t);
  lua_pop(L, 1);
}

static void unanchor(lua_State *L, lbx_task *t) {
  lbx_push_anchor(L);
  lua_pushnil(L);
  lua_rawsetp(L, -2, t);
  lua_pop(L, 1);
}

/* Running a task. */

static const char *status_of(const lbx_task *t);

/* Adds a new task to the trace; its function is at idx. */
static void observe_task(lua_State *L, const lbx_task *t, int idx) {
  lua_Debug ar;
  char where[LUA_IDSIZE + 16];
  if (!(bx_observers & BX_TRACE)) return;
  lua_pushvalue(L, idx);
  lua_getinfo(L, ">S", &ar);
  snprintf(where, sizeof where, "%s:%d", ar.short_src, ar.linedefined);
  bx_trace_task((uint64_t)t->id, where);
}

static void finish(lua_State *L, lbx_task *t) {
  lbx_state *S = t->context.state;
  bx_timer_stop(S->loop, &t->cleanup);
  bx_timer_stop(S->loop, &t->context.timer);
  bx_waiter_drop(&t->context.waiter);
  lbx_end_scopes(&t->context);
  S->tasks--;
  lbx_tell_host(L, S);
  bx_event_set(S->loop, &t->ended);
  if (bx_observers & BX_TRACE)
    bx_trace_task_end((uint64_t)t->id, status_of(t));
  unanchor(L, t);
}

/* Pushes the Task, which the anchor has while it has not ended. */
static void push_task(lua_State *L, lbx_task *t) {
  lbx_push_anchor(L);
  lua_rawgetp(L, -1, t);
  lua_remove(L, -2);
}

/* Takes all that is on the coroutine's stack as the results. */
static void keep_results(lua_State *co, lbx_task *t) {
  int n = lua_gettop(co);
  lbx_room(co, 4);
  if (n > 1) {
    lua_createtable(co, n, 0);
    lua_insert(co, 1);
    for (int i = n; i > 0; i--) lua_rawseti(co, 1, i);
  }
  if (n > 0) {
    push_task(co, t);
    lua_insert(co, 1);
    lua_setiuservalue(co, 1, UV_RESULTS);
  }
  t->results = n;
  lua_settop(co, 0);
}

static lbx_phase phase_after(lua_State *co, const lbx_task *t, int status) {
  if (status == LUA_OK || status == LUA_YIELD) return LBX_DONE;
  bool cancelled = t->context.cancel != LBX_UNASKED &&
                   lbx_error_test(co, -1) == BX_CANCELLED;
  return cancelled ? LBX_CANCELLED : LBX_FAILED;
}

static int body_k(lua_State *co, int status, lua_KContext ctx) {
  lbx_task *t = (lbx_task *)ctx;
  lbx_phase phase = phase_after(co, t, status);
  keep_results(co, t);
  t->context.phase = phase;
  return 0;
}

static int cancelled_before(lua_State *co) {
  return lbx_error_class(co, BX_CANCELLED,
                         "the task was cancelled before it started");
}

/* Under a protected call, so that an error runs <close> where waiting works. */
static int body(lua_State *co) {
  lbx_task *t = task_of(lbx_state_get(co)->current);
  if (lbx_is_due(t->context.cancel)) {
    t->context.cancel = LBX_RAISED;
    lua_settop(co, 0);
    lua_pushcfunction(co, cancelled_before);
  }
  int status =
      lua_pcallk(co, lua_gettop(co) - 1, LUA_MULTRET, 0, (lua_KContext)t, body_k);
  return body_k(co, status, (lua_KContext)t);
}

/* It was ended from outside of its body: closed, say. */
static void take_error(lua_State *L, lbx_task *t) {
  push_task(L, t);
  lua_xmove(t->context.co, L, 1);
  lua_setiuservalue(L, -2, UV_RESULTS);
  lua_pop(L, 1);
  t->results = 1;
}

static void give_up(lua_State *L, lbx_task *t) {
  lua_warning(L, "boxd: a cancelled task did not end within 10 s and was "
                 "abandoned", 0);
  finish(L, t);
}

/* Raises nothing: a wait in place calls it, with room on the stack. */
void lbx_task_step(lua_State *L, lbx_context *c) {
  lbx_task *t = task_of(c);
  if (t->ended.set) return;
  if (c->phase == LBX_ABANDONED) {
    give_up(L, t);
    return;
  }
  t->joins = NULL;
  bool traced = bx_observers & BX_TRACE;
  if (traced) bx_trace_run((uint64_t)t->id);
  bool waits = c->phase < LBX_DONE && lbx_run(L, c);
  if (traced) bx_trace_rest();
  if (waits) return;
  if (lua_gettop(c->co) > 0) take_error(L, t);
  finish(L, t);
}

/* One that waits in a callback holds up all below it on the C stack and can't
** be left there: it is cancelled again, until it ends or waits elsewhere. */
static void on_cleanup_over(bx_timer *timer) {
  lbx_task *t = (lbx_task *)((char *)timer - offsetof(lbx_task, cleanup));
  if (t->context.phase == LBX_RUNS) {
    t->context.cancel = lbx_ask(t->context.cancel);
    bx_timer_start(t->context.state->loop, timer,
                   bx_now() + LBX_CLEANUP_SECONDS);
    return;
  }
  t->context.phase = LBX_ABANDONED;
  lbx_interrupt(&t->context);
}

/* Starts a task with the function and nargs values on top of the stack, which it
** replaces by the Task. */
static void spawn_task(lua_State *L, int nargs, bool alone) {
  lbx_state *S = lbx_state_alive(L);
  lbx_room(L, 8);
  /* A host's hook may raise here, where there is no task yet. */
  bool at_once = S->depth < SPAWN_DEPTH_MAX && !lbx_is_deep(L, S);
  lbx_task *t = lbx_new(L, sizeof *t, 2, TYPE);
  t->context.state = S;
  t->cleanup.fire = on_cleanup_over;
  t->id = ++S->last_task;
  t->context.run = alone ? 0 : S->current->run;
  t->context.alone = alone;
  observe_task(L, t, -(nargs + 2));
  lua_State *co = lua_newthread(L);
  lua_setiuservalue(L, -2, UV_COROUTINE);
  lua_insert(L, -(nargs + 2)); /* the task below the function */
  if (!lua_checkstack(co, nargs + 4)) luaL_error(L, "too many arguments");
  anchor(L, t, -(nargs + 2));
  lua_pushcfunction(co, body);
  lua_xmove(L, co, nargs + 1);
  t->context.co = co;
  S->tasks++;
  lbx_tell_host(L, S);
  if (at_once)
    lbx_task_step(L, &t->context);
  else
    bx_waiter_wake(S->loop, &t->context.waiter);
}

int lbx_task_spawn(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  spawn_task(L, lua_gettop(L) - 1, false);
  return 1;
}

/* boxd.spawn(fn, ...) */
static int spawn(lua_State *L) {
  lbx_task_spawn(L);
  lbx_stop(L); /* a signal that ended the task's first step is for us */
  return 1;
}

/* core.spawn_alone(list, value, fn): a task of no boxd.run, which neither a
** signal ends nor the closing of a client whose calls it makes. list[task] is
** the value before a signal can raise in its parent. */
static int spawn_alone(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 3, LUA_TFUNCTION);
  lua_settop(L, 3);
  spawn_task(L, 0, true);
  lua_pushvalue(L, 3);
  lua_pushvalue(L, 2);
  lua_settable(L, 1);
  return 1;
}

void lbx_open_task_core(lua_State *L) {
  lua_pushcfunction(L, spawn_alone);
  lua_setfield(L, -2, "spawn_alone");
}

/* Methods. */

static bool may_park(lua_State *L, lbx_state *S) {
  if (!lbx_push_guest(L, S)) return false;
  lua_pop(L, 1);
  return true;
}

/* Would waiting for t from here never end? */
static void check_join(lua_State *L, lbx_task *t) {
  lbx_context *c = lbx_state_get(L)->current;
  lbx_task *self = task_of(c);
  for (lbx_task *u = t; u; u = u->joins)
    if (u == self) luaL_error(L, "a task can't join itself");
  if (lbx_may_yield(L, c) || may_park(L, c->state)) return;
  if (t->context.phase == LBX_RUNS)
    luaL_error(L, "can't join a task from a callback that runs inside it");
  if (lbx_is_deep(L, c->state))
    luaL_error(L, "can't join a task here: too many callbacks of other tasks "
                  "wait already, and it would get no turn");
}

int lbx_task_results(lua_State *L, lbx_task *t) {
  bx_error e;
  t->joined = true;
  if (t->context.phase == LBX_ABANDONED) {
    bx_error_set(&e, BX_CANCELLED, "the task was cancelled and abandoned");
    lbx_throw(L, &e, NULL);
  }
  if (!lua_checkstack(L, t->results + 1)) luaL_error(L, "too many results");
  if (t->results > 0) lua_getiuservalue(L, 1, UV_RESULTS);
  if (t->context.phase != LBX_DONE) return lua_error(L);
  if (t->results < 2) return t->results;
  int list = lua_gettop(L);
  for (int i = 1; i <= t->results; i++) lua_rawgeti(L, list, i);
  return t->results;
}

/* It joins no task any more. */
static void leave_join(void *self) {
  if (self) ((lbx_task *)self)->joins = NULL;
}

static int join_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  lbx_task *t = lua_touserdata(L, 1);
  lbx_task *self = task_of(lbx_state_get(L)->current);
  double until = lua_tonumber(L, 2);
  leave_join(self);
  while (!t->ended.set) {
    if (until > 0 && bx_now() >= until)
      lbx_error_class(L, BX_TIMEOUT, "the task did not end in time");
    if (self) self->joins = t;
    lbx_await(L, &(lbx_wait){.event = &t->ended, .until = until,
                             .cancel = leave_join, .arg = self}, ctx, join_k);
    leave_join(self);
  }
  return lbx_task_results(L, t);
}

/* t:join{ timeout= } */
int lbx_task_join(lua_State *L) {
  static const char *const options[] = {"timeout", NULL};
  lbx_task *t = check_task(L, 1);
  lbx_options(L, 2, "join", options);
  double timeout = lbx_opt_seconds(L, 2, "timeout", 0);
  lua_settop(L, 1);
  lua_pushnumber(L, timeout > 0 ? bx_now() + timeout : 0);
  if (!t->ended.set) check_join(L, t);
  return join_k(L, LUA_OK, 0);
}

static void cancel(lua_State *L, lbx_task *t) {
  lbx_state *S = t->context.state;
  if (t->ended.set || t->context.cancel != LBX_UNASKED || !S->loop) return;
  t->context.cancel = LBX_ASKED;
  if (!bx_timer_start(S->loop, &t->cleanup, bx_now() + LBX_CLEANUP_SECONDS))
    lua_warning(L, "boxd: no memory to bound a cancelled task's time", 0);
  lbx_interrupt(&t->context);
}

void lbx_task_cancel(lua_State *L, lbx_context *c) { cancel(L, task_of(c)); }

static int m_cancel(lua_State *L) {
  cancel(L, check_task(L, 1));
  return 0;
}

static const char *status_of(const lbx_task *t) {
  if (!t->ended.set) return "running";
  if (t->context.phase == LBX_DONE) return "done";
  return t->context.phase == LBX_FAILED ? "failed" : "cancelled";
}

static int m__index(lua_State *L) {
  static const char *const fields[] = {"status", NULL};
  lbx_task *t = check_task(L, 1);
  const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : NULL;
  lua_pushvalue(L, 2);
  if (lua_rawequal(L, 2, lua_upvalueindex(2)))
    lua_pushstring(L, status_of(t));
  else if (lua_rawget(L, lua_upvalueindex(1)) == LUA_TNIL && key && *key != '_')
    lbx_no_method(L, "Task", key, lua_upvalueindex(1), fields);
  return 1;
}

static int m__tostring(lua_State *L) {
  lbx_task *t = check_task(L, 1);
  lua_pushfstring(L, "boxd.Task %I (%s)", (LUAI_UACINT)t->id, status_of(t));
  return 1;
}

static int m__gc(lua_State *L) {
  lbx_task *t = check_task(L, 1);
  lbx_state *S = t->context.state;
  if (S && S->loop) {
    bx_timer_stop(S->loop, &t->cleanup);
    bx_timer_stop(S->loop, &t->context.timer);
  }
  bx_waiter_drop(&t->context.waiter);
  if (t->context.phase != LBX_FAILED || t->joined) return 0;
  lua_getiuservalue(L, 1, UV_RESULTS);
  lbx_warn(L, "a task failed and was not joined");
  return 0;
}

void lbx_open_task(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"join", lbx_task_join}, {"cancel", m_cancel}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", m__gc},
                                  {"__newindex", lbx_read_only},
                                  {"__tostring", m__tostring},
                                  {NULL, NULL}};
  static const luaL_Reg functions[] = {
      {"spawn", spawn},
      {"run", lbx_task_run},
      {"resume", lbx_resume},
      {"wrap", lbx_wrap},
      {NULL, NULL}};
  lbx_newtype(L, TYPE, NULL, meta);
  luaL_getmetatable(L, TYPE);
  luaL_newlib(L, methods);
  lua_pushliteral(L, "status");
  lua_pushcclosure(L, m__index, 2);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &anchor_key) == LUA_TNIL) {
    lua_newtable(L); /* once: a second require finds tasks under way */
    lua_rawsetp(L, LUA_REGISTRYINDEX, &anchor_key);
  }
  lua_pop(L, 1);
  luaL_setfuncs(L, functions, 0);
}
