/* What is done with many tasks: boxd.run, and the end of a script. */
#include <lauxlib.h>

#include "await.h"
#include "task.h"
#include "task_private.h"

/* Pushes the list of all tasks, or of those of a boxd.run: not those on the C
** stack. Returns how many. */
static lua_Integer push_tasks(lua_State *L, lua_Integer of_run) {
  lua_Integer n = 0;
  lua_newtable(L);
  int list = lua_gettop(L);
  lbx_push_anchor(L);
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    lbx_task *t = lua_touserdata(L, -1);
    if ((of_run && t->context.run != of_run) ||
        t->context.phase == LBX_RUNS)
      continue;
    lua_pushvalue(L, -1);
    lua_rawseti(L, list, ++n);
  }
  lua_pop(L, 1);
  return n;
}

static lbx_task *task_in(lua_State *L, int list, lua_Integer i) {
  lua_rawgeti(L, list, i);
  lbx_task *t = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return t;
}

static void cancel_listed(lua_State *L, int list, lua_Integer n) {
  for (lua_Integer i = 1; i <= n; i++)
    lbx_task_cancel(L, &task_in(L, list, i)->context);
}

lua_Integer lbx_count_tasks(lua_State *L) {
  lua_Integer n = 0;
  lbx_push_anchor(L);
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) n++;
  lua_pop(L, 1);
  return n;
}

/* Also those that a cancelled task's handlers spawn, within the time. */
void lbx_cancel_all(lua_State *L) {
  lbx_state *S = lbx_state_get(L);
  double until = bx_now() + LBX_CLEANUP_SECONDS + 1;
  while (S && S->tasks > 0 && bx_now() < until) {
    lua_Integer n = push_tasks(L, 0);
    int list = lua_gettop(L);
    cancel_listed(L, list, n);
    for (lua_Integer i = 1; i <= n; i++) {
      lbx_task *t = task_in(L, list, i);
      while (!t->ended.set && bx_now() < until)
        lbx_await(L, &(lbx_wait){.event = &t->ended, .until = until}, 0, NULL);
    }
    lua_pop(L, 1);
    if (n == 0) return;
  }
}

/* 1: the task; 2: what ended the waiting, or nil; 3: the list of leftovers. */
static int run_k(lua_State *L, int status, lua_KContext n) {
  (void)status;
  lbx_task *t = lua_touserdata(L, 1);
  for (lua_KContext i = 1; i <= n; i++) {
    lbx_task *u = task_in(L, 3, i);
    while (!u->ended.set)
      lbx_await(L, &(lbx_wait){.event = &u->ended}, n, run_k);
  }
  if (!lua_isnil(L, 2)) {
    lua_settop(L, 2);
    return lua_error(L);
  }
  return lbx_task_results(L, t);
}

static int run_joined_k(lua_State *L, int status, lua_KContext ctx) {
  lbx_task *t = lua_touserdata(L, 1);
  (void)ctx;
  if (status == LUA_OK || status == LUA_YIELD || t->joined)
    lua_settop(L, 1); /* lbx_task_results has the task's own error */
  lua_settop(L, 2);
  lua_Integer n = push_tasks(L, t->id);
  cancel_listed(L, 3, n);
  return run_k(L, LUA_OK, (lua_KContext)n);
}

static int run_join(lua_State *L) {
  lbx_stop(L);
  return lbx_task_join(L);
}

int lbx_task_run(lua_State *L) {
  lbx_context *c = lbx_state_get(L)->current;
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_Integer outer = c->run;
  c->run = c->state->last_task + 1; /* the task's and its descendants' */
  lua_pushcfunction(L, lbx_task_spawn);
  lua_insert(L, 1);
  int status = lua_pcall(L, lua_gettop(L) - 1, 1, 0);
  c->run = outer;
  if (status != LUA_OK) return lua_error(L);
  lua_pushcfunction(L, run_join);
  lua_pushvalue(L, 1);
  status = lua_pcallk(L, 1, 0, 0, 0, run_joined_k);
  return run_joined_k(L, status, 0);
}
