#include "gate.h"

#include "../core/gate.h"
#include "await.h"
#include "error.h"
#include "fd.h"
#include "type.h"

#define TYPE "boxd.Gate"

static bx_gate *check_gate(lua_State *L) {
  return luaL_checkudata(L, 1, TYPE);
}

static int accept_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  bx_gate *g = lua_touserdata(L, 1);
  int *fd = lua_touserdata(L, 2);
  while (!g->closed) {
    *fd = bx_gate_accept(g);
    if (*fd >= 0) return 1;
    lbx_await(L, &(lbx_wait){.event = &g->knocked}, ctx, accept_k);
  }
  return 0;
}

/* gate:accept() -> Fd, or nil once the gate is closed. One task at a time. */
static int m_accept(lua_State *L) {
  check_gate(L);
  lua_settop(L, 1);
  lbx_new_fd(L);
  return accept_k(L, LUA_OK, 0);
}

/* gate:port() -> number */
static int m_port(lua_State *L) {
  lua_pushinteger(L, check_gate(L)->port);
  return 1;
}

static int m_close(lua_State *L) {
  bx_gate_close(check_gate(L));
  return 0;
}

int lbx_gate(lua_State *L) {
  bx_error e;
  const char *host = luaL_optstring(L, 2, "127.0.0.1");
  lua_Integer port = luaL_checkinteger(L, 1);
  luaL_argcheck(L, port >= 0 && port < 65536, 1, "no port");
  bx_gate *g = lbx_new(L, sizeof *g, 0, TYPE);
  if (bx_gate_open(g, lbx_loop(L), host, (uint16_t)port, &e) == BX_OK)
    return 1;
  lua_pushnil(L);
  lua_pushstring(L, e.message);
  return 2;
}

void lbx_open_gate(lua_State *L) {
  static const luaL_Reg methods[] = {{"accept", m_accept},
                                     {"port", m_port},
                                     {"close", m_close},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {
      {"__gc", m_close}, {"__close", m_close}, {NULL, NULL}};
  lbx_newtype(L, TYPE, methods, meta);
}
