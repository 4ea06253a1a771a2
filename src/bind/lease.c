#include "lease.h"

#include <lauxlib.h>

#include "../core/lease.h"
#include "await.h"
#include "client.h"
#include "error.h"
#include "type.h"
#include "types.h"

#define TYPE "boxd.Lease"
#define LEASES "boxd.leases" /* in the registry */

typedef struct lease {
  bx_lease *lease; /* NULL: there is none, or it was collected */
  lua_Integer seconds;
} lease;

static lease *check_lease(lua_State *L) { return luaL_checkudata(L, 1, TYPE); }

/* lease:finish() -> true once no renewal is under way any more; none begins
** from here on. */
static int m_finish(lua_State *L) {
  lease *l = check_lease(L);
  lua_pushboolean(L, !l->lease || bx_lease_end(l->lease));
  return 1;
}

/* lease:seconds() -> its length */
static int m_seconds(lua_State *L) {
  lua_pushinteger(L, check_lease(L)->seconds);
  return 1;
}

/* Warns where the lease, on the top, could not be renewed until it was over. */
static void warn_of_failure(lua_State *L, int box) {
  lease *l = lua_touserdata(L, -1);
  bx_error e;
  if (!l->lease || !bx_lease_failed(l->lease, &e)) return;
  lbx_record_get(L, box, "id");
  lua_pushfstring(L, "boxd: the lease of box %s (%I s) could not be renewed: %s",
                  lua_tostring(L, -1), l->seconds, e.message);
  lua_warning(L, lua_tostring(L, -1), 0);
  lua_pop(L, 2);
}

/* Pushes the table of the leases of the Compute of the box at idx, or nil. */
static bool push_leases(lua_State *L, int idx) {
  lua_getfield(L, LUA_REGISTRYINDEX, LEASES);
  lbx_push_compute(L, idx);
  lua_rawget(L, -2);
  lua_remove(L, -2);
  return !lua_isnil(L, -1);
}

bool lbx_push_lease(lua_State *L, int idx) {
  idx = lua_absindex(L, idx);
  if (!push_leases(L, idx)) return false;
  lbx_record_get(L, idx, "id");
  lua_rawget(L, -2);
  lua_remove(L, -2);
  return !lua_isnil(L, -1);
}

void lbx_end_lease(lua_State *L, int idx) {
  idx = lua_absindex(L, idx);
  if (lbx_push_lease(L, idx)) {
    lease *l = lua_touserdata(L, -1);
    if (l->lease) bx_lease_end(l->lease);
    warn_of_failure(L, idx);
    push_leases(L, idx);
    lbx_record_get(L, idx, "id");
    lua_pushnil(L);
    lua_rawset(L, -3);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
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
  l->seconds = seconds;
  l->lease = bx_lease_start(loop, c->client, box, (unsigned)seconds, &e);
  if (!l->lease) lbx_throw(L, &e, NULL);
  return 1;
}

void lbx_open_lease(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"finish", m_finish}, {"seconds", m_seconds}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", m__gc}, {NULL, NULL}};
  lbx_newtype(L, TYPE, methods, meta);
  if (luaL_getsubtable(L, LUA_REGISTRYINDEX, LEASES) == 0) {
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "k"); /* a Compute that is gone has no leases */
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
  }
  lua_setfield(L, -2, "leases");
}
