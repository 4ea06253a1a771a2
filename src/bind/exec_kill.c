/* The end of a command that lives in the box whatever becomes of its call. How
** its processes are found: lua/boxd/internal/killable.lua. */
#include <lauxlib.h>

#include "error.h"
#include "exec_private.h"
#include "type.h"

void lbx_exec_call(lua_State *L, const char *file, const char *function,
                   int nargs, lua_KContext ctx, lua_KFunction k) {
  lbx_require_field(L, file, function);
  lua_insert(L, -1 - nargs);
  lua_callk(L, nargs, 1, ctx, k);
}

/* Did the call end so that its command may still run? */
static bool is_left(const lbx_process *p) {
  if (!p->call->finished.set) return true;
  switch (p->call->error.class_) {
    case BX_TIMEOUT: case BX_CANCELLED: case BX_CONNECTION: case BX_INTERNAL:
      return true;
    default: return false;
  }
}

/* Pushes what its killer needs, and whether the command has begun for certain;
** false, and nothing pushed: there is nothing to end. */
static bool push_target(lua_State *L, lbx_process *p) {
  if (p->killed || !is_left(p)) return false;
  if (lua_getiuservalue(L, 1, LBX_EXEC_TARGET) == LUA_TTABLE) {
    p->killed = true;
    lua_pushboolean(L, p->spoke);
    return true;
  }
  lua_pop(L, 1);
  return false;
}

static int nothing_k(lua_State *L, int status, lua_KContext ctx) {
  (void)L, (void)status, (void)ctx;
  return 0;
}

int lbx_exec_close(lua_State *L) {
  lbx_process *p = lua_touserdata(L, 1);
  if (!p->call) return 0;
  lua_settop(L, 1);
  bool left = push_target(L, p);
  bx_call_cancel(p->call, "the process was closed");
  if (left)
    lbx_exec_call(L, "boxd.internal.killable", "finish", 2, 0, nothing_k);
  return 0;
}

/* Begins to end the processes in the box of the one at 1. */
static int forget(lua_State *L) {
  if (!push_target(L, lua_touserdata(L, 1))) return 0;
  lbx_require_field(L, "boxd.internal.killable", "forget");
  lua_rotate(L, 2, 1);
  lua_call(L, 2, 0);
  return 0;
}

/* Its errors are of no use: its client is closed, say, and the box ends the
** command. */
void lbx_exec_forget(lua_State *L) {
  const lbx_process *p = lua_touserdata(L, 1);
  if (!p->call) return;
  lua_pushcfunction(L, forget);
  lua_pushvalue(L, 1);
  (void)lua_pcall(L, 1, 0, 0);
}

int lbx_exec_kill(lua_State *L) {
  lbx_process *p = lua_touserdata(L, 1);
  lua_settop(L, 2);
  lua_getiuservalue(L, 1, LBX_EXEC_TARGET);
  if (!lua_isnil(L, 3) && p->done.set && !is_left(p)) return 0;
  lua_insert(L, 2);
  lbx_exec_call(L, "boxd.internal.killable", "kill", 2, 0, nothing_k);
  return 0;
}

static int throw_k(lua_State *L, int status, lua_KContext error) {
  (void)status;
  lua_settop(L, (int)error);
  return lua_error(L);
}

int lbx_exec_throw(lua_State *L, lbx_process *p) {
  int error = lua_gettop(L);
  lbx_room(L, 8);
  if (push_target(L, p))
    lbx_exec_call(L, "boxd.internal.killable", "finish", 2, error, throw_k);
  return throw_k(L, LUA_OK, error);
}
