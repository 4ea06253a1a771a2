/* Compute: a client, and the services made of it. */
#include <lauxlib.h>
#include <string.h>

#include "client.h"
#include "error.h"
#include "method_private.h"
#include "module.h"
#include "stream.h"
#include "type.h"
#include "types.h"

#define UV_SERVICES 1 /* a user value */

static const struct {
  const char *name;
  const lbx_type *type;
} services[] = {
    {"box", &lbx_boxes_type},         {"disk", &lbx_disks_type},
    {"template", &lbx_templates_type}, {"snapshot", &lbx_snapshots_type},
    {"checkpoint", &lbx_checkpoints_type}, {"backup", &lbx_backups_type},
    {"domain", &lbx_domains_type},    {"network", &lbx_networks_type},
    {"token", &lbx_tokens_type},      {"api_key", &lbx_api_keys_type},
    {"env", &lbx_env_type},           {"secret", &lbx_secrets_type}};
#define COUNT (sizeof services / sizeof *services)

static const char *const more[] = {
    "box", "disk", "template", "snapshot", "checkpoint", "backup", "domain",
    "network", "token", "api_key", "env", "secret", "api_url", "timeout",
    NULL};

static int closed_k(lua_State *L, int status, lua_KContext ctx) {
  (void)L, (void)status, (void)ctx;
  return 0;
}

/* What a closed client still has to do is waited for, by LBX_AT_CLOSE. */
static int m_close(lua_State *L) {
  lbx_type_check(L, &lbx_compute_type, "close");
  lua_settop(L, 1);
  lbx_client_close(L);
  if (lua_getfield(L, LUA_REGISTRYINDEX, LBX_AT_CLOSE) == LUA_TNIL) return 0;
  lua_pushvalue(L, 1);
  lua_callk(L, 1, 0, 0, closed_k);
  return 0;
}

/* Checks (rpc, request, options), and leaves (rpc, request, seconds or nil). */
static void check_call(lua_State *L, const char *method) {
  const lbx_method m = {.name = method};
  lbx_type_check(L, &lbx_compute_type, method);
  lua_settop(L, 4);
  if (lua_type(L, 2) != LUA_TSTRING)
    lbx_error_usage(L, "bad argument #1 to '%s' (string expected, got %s)",
                    method, lbx_type_name(L, 2));
  if (!lua_isnil(L, 3) && !lua_istable(L, 3))
    lbx_error_usage(L, "bad argument #2 to '%s' (table expected, got %s)",
                    method, lbx_type_name(L, 3));
  double timeout = lbx_read_options(L, &m, NULL, 4, 3);
  if (timeout > 0)
    lua_pushnumber(L, timeout);
  else
    lua_pushnil(L);
  lua_replace(L, 4);
}

/* c:call(rpc, request [, { timeout= }]): any unary RPC by its name. */
static int m_call(lua_State *L) {
  check_call(L, "call");
  if (lua_isnil(L, 3)) {
    lua_newtable(L);
    lua_replace(L, 3);
  }
  return lbx_core_call(L);
}

/* c:stream(rpc, request [, { timeout= }]): for message in c:stream(...) do. */
static int m_stream(lua_State *L) {
  check_call(L, "stream");
  lbx_stream_open(L);
  lua_pushnil(L);
  lua_pushnil(L);
  lua_pushvalue(L, -3);
  return 4;
}

static const lbx_method methods[] = {
    {"call", .lua = m_call},
    {"stream", .lua = m_stream},
    {"whoami", "Whoami", .result = LBX_WHOLE},
    {"config", "GetConfig", .result = LBX_WHOLE},
    {"close", .lua = m_close},
    {0}};

/* c.box and its like, made at the first use. */
static int push_service(lua_State *L, const lbx_type *t) {
  if (lua_getiuservalue(L, 1, UV_SERVICES) != LUA_TTABLE) {
    lua_newtable(L);
    lua_replace(L, -2);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, 1, UV_SERVICES);
  }
  if (lua_rawgetp(L, -1, t) != LUA_TNIL) return 1;
  lbx_push_service(L, 1, t);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, -4, t);
  return 1;
}

static int other(lua_State *L) {
  const char *name = lua_tostring(L, 2);
  for (size_t i = 0; i < COUNT; i++)
    if (strcmp(services[i].name, name) == 0)
      return push_service(L, services[i].type);
  if (strcmp(name, "timeout") == 0) {
    lua_pushnumber(L, lbx_client_timeout(L, 1));
    return 1;
  }
  if (strcmp(name, "api_url") != 0) return 0;
  return lbx_client_push_url(L);
}

const lbx_type lbx_compute_type = {
    .name = "Compute", .metatable = "boxd.Compute", .methods = methods,
    .other = other, .more = more};

static int m__tostring(lua_State *L) {
  lua_settop(L, 1);
  lbx_type_check(L, &lbx_compute_type, "__tostring");
  lua_pushliteral(L, "api_url");
  other(L);
  lua_pushfstring(L, "boxd.Compute (%s)", lua_tostring(L, -1));
  return 1;
}

/* core.compute_new(options [, timeout, killable]): the options of core.client */
static int compute_new(lua_State *L) {
  lua_Number timeout = luaL_optnumber(L, 2, BX_CLIENT_TIMEOUT);
  bool killable = lua_toboolean(L, 3);
  lbx_client *c = lbx_client_new(L, 1, 1, lbx_compute_type.metatable);
  c->timeout = timeout;
  c->killable = killable;
  return 1;
}

static const lbx_type *const types[] = {
    &lbx_compute_type, &lbx_box_type, &lbx_files_type, &lbx_boxes_type,
    &lbx_disk_type, &lbx_disks_type, &lbx_template_type, &lbx_templates_type,
    &lbx_snapshot_type, &lbx_snapshots_type, &lbx_checkpoints_type,
    &lbx_backups_type, &lbx_domains_type, &lbx_networks_type,
    &lbx_tokens_type, &lbx_api_keys_type, &lbx_env_type, &lbx_secrets_type};

const lbx_type *lbx_type_named(const char *name) {
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (strcmp(types[i]->name, name) == 0) return types[i];
  return NULL;
}

void lbx_open_types(lua_State *L) {
  static const luaL_Reg meta[] = {{"__gc", lbx_client_gc},
                                  {"__close", m_close},
                                  {"__tostring", m__tostring},
                                  {NULL, NULL}};
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    lbx_type_open(L, types[i]);
  luaL_getmetatable(L, lbx_compute_type.metatable);
  luaL_setfuncs(L, meta, 0);
  lua_pop(L, 1);
  lbx_open_box_core(L);
  lua_pushcfunction(L, compute_new);
  lua_setfield(L, -2, "compute_new");
  lua_pushcfunction(L, lbx_core_call);
  lua_setfield(L, -2, "call");
}
