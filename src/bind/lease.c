#include "lease.h"

#include <lauxlib.h>

#include "../core/lease.h"
#include "await.h"
#include "client.h"
#include "error.h"
#include "type.h"
#include "types.h"

#define TYPE "boxd.Lease"

typedef struct lease {
  bx_lease *lease; /* NULL: there is none, or it was collected */
} lease;

static lease *check_lease(lua_State *L) { return luaL_checkudata(L, 1, TYPE); }

/* lease:finish() -> true once no renewal is under way any more; none begins
** from here on. */
static int m_finish(lua_State *L) {
  lease *l = check_lease(L);
  lua_pushboolean(L, !l->lease || bx_lease_end(l->lease));
  return 1;
}

/* lease:failure() -> why it could not be renewed until it was over, or nil */
static int m_failure(lua_State *L) {
  lease *l = check_lease(L);
  bx_error e;
  if (!l->lease || !bx_lease_failed(l->lease, &e)) return 0;
  lua_pushstring(L, e.message);
  return 1;
}

static int m__gc(lua_State *L) {
  lease *l = check_lease(L);
  bx_lease *gone = l->lease;
  l->lease = NULL;
  bx_lease_free(gone);
  return 0;
}

int lbx_lease(lua_State *L) {
  bx_error e;
  lbx_client *c = luaL_checkudata(L, 1, lbx_compute_type.metatable);
  const char *box = luaL_checkstring(L, 2);
  lua_Integer seconds = luaL_checkinteger(L, 3);
  luaL_argcheck(L, seconds > 0 && seconds < INT32_MAX, 3, "no time");
  bx_loop *loop = lbx_loop(L);
  if (!c->client) lbx_gone(L, "the Compute");
  lease *l = lbx_new(L, sizeof *l, 0, TYPE);
  l->lease = bx_lease_start(loop, c->client, box, (unsigned)seconds, &e);
  if (!l->lease) lbx_throw(L, &e, NULL);
  return 1;
}

void lbx_open_lease(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"finish", m_finish}, {"failure", m_failure}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", m__gc}, {NULL, NULL}};
  lbx_newtype(L, TYPE, methods, meta);
}
