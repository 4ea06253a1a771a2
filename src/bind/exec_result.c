/* ExecResult: all that a command gave, once it has ended. */
#include <lauxlib.h>

#include "await.h"
#include "client.h"
#include "exec.h"
#include "exec_private.h"
#include "type.h"

#define RESULT_TYPE "boxd.ExecResult"

static void push_all(lua_State *L, lbx_queue *q) {
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (lbx_chunk *c = q->first; c; c = c->next)
    luaL_addlstring(&b, (const char *)c->data, c->len);
  luaL_pushresult(&b);
  while (q->first) lbx_queue_pop(q);
}

static void cancel_process(void *arg) {
  bx_call_cancel(arg, "the caller was cancelled");
}

/* Raises the error of the call, with the output so far in its fields. */
static int throw_with_output(lua_State *L, lbx_process *p) {
  lua_getiuservalue(L, 1, LBX_EXEC_CLIENT);
  lbx_client_push_error(L, lua_gettop(L), &p->call->error, bx_rpc_find("Exec"));
  push_all(L, &p->out);
  lua_setfield(L, -2, "stdout");
  push_all(L, &p->err);
  lua_setfield(L, -2, "stderr");
  return lua_error(L);
}

/* The result of the stdout, stderr and exit code on the top. */
static int push_result(lua_State *L) {
  lua_createtable(L, 0, 4);
  lua_pushboolean(L, lua_tointeger(L, -2) == 0);
  lua_setfield(L, -2, "success");
  for (int i = 0; i < 3; i++) {
    static const char *const fields[] = {"stdout", "stderr", "exit_code"};
    lua_pushvalue(L, -4 + i);
    lua_setfield(L, -2, fields[i]);
  }
  luaL_setmetatable(L, RESULT_TYPE);
  return 1;
}

static int collect_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  lbx_process *p = lbx_exec_process(L);
  while (!p->done.set) {
    lbx_process_receive(p, &p->done);
    lbx_await(L, &(lbx_wait){.event = &p->done, .cancel = cancel_process,
                             .arg = p->call}, ctx, collect_k);
  }
  if (p->call->error.class_) return throw_with_output(L, p);
  push_all(L, &p->out);
  push_all(L, &p->err);
  lua_pushinteger(L, p->exit_code);
  return push_result(L);
}

int lbx_exec_result(lua_State *L) {
  luaL_checkstring(L, 1);
  luaL_checkstring(L, 2);
  luaL_checkinteger(L, 3);
  lua_settop(L, 3);
  return push_result(L);
}

int lbx_exec_collect(lua_State *L) {
  lua_settop(L, 1);
  return collect_k(L, LUA_OK, 0);
}

static int m__tostring_result(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_getfield(L, 1, "exit_code");
  lua_getfield(L, 1, "stdout");
  lua_getfield(L, 1, "stderr");
  lua_pushfstring(L, "ExecResult(exit_code=%I, stdout=%I bytes, "
                  "stderr=%I bytes)", (LUAI_UACINT)lua_tointeger(L, 2),
                  (LUAI_UACINT)lua_rawlen(L, 3), (LUAI_UACINT)lua_rawlen(L, 4));
  return 1;
}

void lbx_open_exec_result(lua_State *L) {
  static const luaL_Reg meta[] = {{"__tostring", m__tostring_result},
                                  {NULL, NULL}};
  lbx_newtype(L, RESULT_TYPE, NULL, meta);
}
