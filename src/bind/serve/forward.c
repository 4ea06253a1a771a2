#include "forward.h"

#include "../../sandbox/client/forward.h"
#include "../await.h"
#include "../error.h"
#include "../fd.h"
#include "../gate.h"
#include "../type.h"

#define RELAY_TYPE "boxd.Relay"

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
      {"gate", lbx_gate}, {"relay", f_relay}, {NULL, NULL}};
  static const luaL_Reg relay_meta[] = {{"__gc", m__gc_relay}, {NULL, NULL}};
  lbx_newtype(L, RELAY_TYPE, NULL, relay_meta);
  luaL_setfuncs(L, functions, 0);
}
