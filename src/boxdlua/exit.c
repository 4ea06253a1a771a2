/*
** How boxdlua ends: tasks are cancelled, then the state is closed, so that
** every <close> runs, also when os.exit is called in a task: such a task waits,
** and the main context leaves in its stead, at its next wait or instruction.
** Once that has begun, os.exit sets the status, and ends its caller as an error
** does: what closes after it closes.
*/
#include "boxdlua.h"

#include <stdlib.h>

#include <lauxlib.h>
#include <lualib.h>

#include "../bind/await.h"
#include "../bind/error.h"
#include "../bind/module.h"
#include "../bind/task.h"
#include "../core/observe.h"

/* So often an error of os.exit may be caught while the state closes. */
#define AGAIN_MAX 100

static struct {
  bool asked, closing;
  int status;
  int again; /* calls of os.exit since */
} leaving;

/* 1: have the tasks ended? */
static int run_at_exit(lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LBX_AT_EXIT);
  lua_Integer n = (lua_Integer)lua_rawlen(L, 2);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, 2, i);
    lua_pushvalue(L, 1);
    host_report(L, host_call(L, 1, 0));
  }
  return 0;
}

static int cancel_tasks(lua_State *L) {
  lbx_cancel_all(L);
  return 0;
}

static void call_at_exit(lua_State *L, bool last) {
  lua_pushcfunction(L, run_at_exit);
  lua_pushboolean(L, last);
  host_report(L, host_call(L, 1, 0));
}

void host_close(lua_State *L) {
  leaving.closing = true;
  host_signal_closing();
  if (lua_checkstack(L, LUA_MINSTACK)) {
    call_at_exit(L, false);
    lua_pushcfunction(L, cancel_tasks);
    host_report(L, host_call(L, 0, 0));
    call_at_exit(L, true);
  }
  lua_close(L);
  bx_error e;
  if (!bx_trace_close(&e)) host_complain(e.message);
}

static void leave(lua_State *L) {
  lbx_state *S = lbx_state_get(L);
  S->leave = NULL; /* what closes now may wait, and run code, as usual */
  lua_sethook(S->main, NULL, 0, 0);
  host_close(L);
  exit(leaving.status);
}

int host_exit_status(int status) {
  return leaving.asked ? leaving.status : status;
}

static void on_instruction(lua_State *L, lua_Debug *ar) {
  (void)ar;
  leave(L);
}

/* Waits to be cancelled, which runs the <close> of the task. */
static int wait_k(lua_State *L, int status, lua_KContext ctx) {
  lbx_state *S = lbx_state_get(L);
  (void)status;
  while (!S->never.set)
    lbx_await(L, &(lbx_wait){.event = &S->never}, ctx, wait_k);
  return 0;
}

/* While the state closes. */
static int leave_again(lua_State *L, const lbx_context *c) {
  if (++leaving.again > AGAIN_MAX) exit(leaving.status);
  if (lbx_may_yield(L, c) && !lbx_was_raised(c->cancel))
    return wait_k(L, LUA_OK, 0);
  return lbx_error_class(L, BX_CANCELLED, "os.exit: the program ends already");
}

/* os.exit([code [, close]]): closes the state first unless close is false. */
static int m_exit(lua_State *L) {
  lbx_state *S = lbx_state_get(L);
  lbx_context *c = S->current;
  if (lua_isboolean(L, 1))
    leaving.status = lua_toboolean(L, 1) ? EXIT_SUCCESS : EXIT_FAILURE;
  else
    leaving.status = (int)luaL_optinteger(L, 1, EXIT_SUCCESS);
  leaving.asked = true;
  if (lua_isboolean(L, 2) && !lua_toboolean(L, 2)) exit(leaving.status);
  if (leaving.closing) return leave_again(L, c);
  /* In a callback inside a task nothing can yield: it ends from here. */
  if (!lbx_may_yield(L, c)) leave(L);
  S->leave = leave;
  lua_sethook(S->main, on_instruction, LUA_MASKCOUNT, 1);
  return wait_k(L, LUA_OK, 0);
}

void host_exit_install(lua_State *L) {
  lua_getglobal(L, LUA_OSLIBNAME);
  lua_pushcfunction(L, m_exit);
  lua_setfield(L, -2, "exit");
  lua_pop(L, 1);
}
