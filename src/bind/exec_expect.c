/* p:expect: waits for a pattern in a command's output. */
#include <lauxlib.h>

#include "await.h"
#include "client.h"
#include "error.h"
#include "exec_private.h"
#include "type.h"

#define WINDOW (1 << 20) /* bytes of output that a match is looked for in */
#define SHOWN 80         /* bytes of output in an error */

/* 1: the process, 2: the pattern, 3: until when. */

/* Calls string.find(text, pattern), whose results are pushed; their number. */
static int find(lua_State *L, const char *text, size_t len) {
  int top = lua_gettop(L);
  lua_getglobal(L, "string");
  lua_getfield(L, -1, "find");
  lua_remove(L, -2);
  lua_pushlstring(L, text, len);
  lua_pushvalue(L, 2);
  lua_call(L, 2, LUA_MULTRET);
  return lua_gettop(L) - top;
}

/* Pushes the captures of a match, or all of it; their number. 0: none yet. */
static int match(lua_State *L, lbx_process *p) {
  const char *text = p->line.len ? p->line.data + p->line_at : "";
  int top = lua_gettop(L), n = find(L, text, p->line.len - p->line_at);
  if (lua_isnil(L, top + 1)) {
    lua_settop(L, top);
    return 0;
  }
  size_t from = (size_t)lua_tointeger(L, top + 1) - 1;
  size_t to = (size_t)lua_tointeger(L, top + 2);
  if (n == 2) {
    lua_pushlstring(L, text + from, to - from);
    n++;
  }
  p->line_at += to;
  p->line_scanned = p->line_at;
  return n - 2;
}

/* Raises: no match came. */
static int fail(lua_State *L, lbx_process *p, bx_class c, const char *why) {
  size_t rest = p->line.len - p->line_at;
  size_t n = rest < SHOWN ? rest : SHOWN;
  lua_pushlstring(L, n ? p->line.data + p->line.len - n : "", n);
  return lbx_error_class(L, c, "expect: %s without \"%.200s\" in the output, "
                         "which ends with \"%s\"", why, lua_tostring(L, 2),
                         lua_tostring(L, -1));
}

static int no_match(lua_State *L, lbx_process *p) {
  if (!p->call->error.class_) return fail(L, p, BX_BOXD, "the command ended");
  lua_getiuservalue(L, 1, LBX_EXEC_CLIENT);
  lbx_client_push_error(L, lua_gettop(L), &p->call->error, bx_rpc_find("Exec"));
  return lbx_exec_throw(L, p);
}

/* Takes the next chunk in, and drops output too far back. */
static void take(lua_State *L, lbx_process *p) {
  if (!lbx_process_take(p)) luaL_error(L, "not enough memory");
  size_t rest = p->line.len - p->line_at;
  if (rest > WINDOW) {
    p->out.dropped += rest - WINDOW;
    p->line_at += rest - WINDOW;
    p->line_scanned = p->line_at;
  }
  lbx_process_receive(p, NULL);
}

static int expect_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  lbx_process *p = lbx_exec_process(L);
  double until = lua_tonumber(L, 3);
  for (;;) {
    int n = match(L, p);
    if (n) return n;
    if (p->out.first) {
      take(L, p);
      continue;
    }
    if (p->done.set) return no_match(L, p);
    if (until > 0 && bx_now() >= until)
      return fail(L, p, BX_TIMEOUT, "the time was over");
    lbx_process_receive(p, &p->out.readable);
    lbx_await(L, &(lbx_wait){.event = &p->out.readable, .until = until}, ctx,
              expect_k);
  }
}

int lbx_exec_expect(lua_State *L) {
  static const char *const options[] = {"timeout", NULL};
  if (!lua_isstring(L, 2)) lbx_wrong_argument(L, 2, "expect", "string");
  lbx_options(L, 3, "expect", options);
  double timeout = lbx_opt_seconds(L, 3, "timeout", 0);
  lua_settop(L, 2);
  find(L, "", 0); /* raises for an invalid pattern */
  lua_settop(L, 2);
  lua_pushnumber(L, timeout > 0 ? bx_now() + timeout : 0);
  return expect_k(L, LUA_OK, 0);
}
