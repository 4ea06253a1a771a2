#include "forward.h"

#include "../../sandbox/client/forward.h"
#include "../await.h"
#include "../error.h"
#include "fd.h"
#include "../type.h"

#define GATE_TYPE "boxd.Gate"
#define RELAY_TYPE "boxd.Relay"

static bx_gate *check_gate(lua_State *L) {
  return luaL_checkudata(L, 1, GATE_TYPE);
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

/* serve.gate(port) -> Gate on 127.0.0.1; 0: any free port. Or nil, message */
static int f_gate(lua_State *L) {
  bx_error e;
  lua_Integer port = luaL_checkinteger(L, 1);
  luaL_argcheck(L, port >= 0 && port < 65536, 1, "no port");
  bx_gate *g = lbx_new(L, sizeof *g, 0, GATE_TYPE);
  if (bx_gate_open(g, lbx_loop(L), (uint16_t)port, &e) == BX_OK)
    return 1;
  lua_pushnil(L);
  lua_pushstring(L, e.message);
  return 2;
}

static void close_relay(void *arg) { bx_relay_close(arg); }

static int m__gc_relay(lua_State *L) {
  bx_relay_close(lua_touserdata(L, 1));
  return 0;
}

static int relay_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  bx_relay *r = lua_touserdata(L, 3);
  while (!r->done.set)
    lbx_await(L, &(lbx_wait){.event = &r->done, .cancel = close_relay,
                             .arg = r}, ctx, relay_k);
  return 0;
}

/* serve.relay(fd, fd [, for_first]): takes two connected sockets, copies both
** ways, and returns when both sides have ended or one has failed; for_first:
** also when the first has ended. Cancelling its task closes both. */
static int f_relay(lua_State *L) {
  bx_error e;
  bool for_first = lua_toboolean(L, 3);
  lua_settop(L, 2);
  if (lbx_check_fd(L, 1) < 0 || lbx_check_fd(L, 2) < 0)
    return lbx_error_invalid(L, "a relay needs two open descriptors");
  bx_relay *r = lbx_new(L, sizeof *r, 0, RELAY_TYPE);
  r->for_first = for_first;
  int a = lbx_take_fd(L, 1), b = lbx_take_fd(L, 2);
  if (bx_relay_start(r, lbx_loop(L), a, b, &e))
    return lbx_throw(L, &e, NULL);
  return relay_k(L, LUA_OK, 0);
}

void lbx_open_forward(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"gate", f_gate}, {"relay", f_relay}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"accept", m_accept},
                                     {"port", m_port},
                                     {"close", m_close},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {
      {"__gc", m_close}, {"__close", m_close}, {NULL, NULL}};
  static const luaL_Reg relay_meta[] = {{"__gc", m__gc_relay}, {NULL, NULL}};
  lbx_newtype(L, GATE_TYPE, methods, meta);
  lbx_newtype(L, RELAY_TYPE, NULL, relay_meta);
  luaL_setfuncs(L, functions, 0);
}
