#include "client.h"

#include <grpc/byte_buffer.h>
#include <lauxlib.h>
#include <string.h>

#include "../core/message.h"
#include "../core/proxy.h"
#include "await.h"
#include "codec.h"
#include "decode.h"
#include "error.h"
#include "exec.h"
#include "stream.h"
#include "type.h"
#include "types.h"

/* Its `client` is NULL once it has been collected: a finalizer may still have
** it. */
static lbx_client *check_client(lua_State *L, int idx) {
  return luaL_checkudata(L, idx, lbx_compute_type.metatable);
}

bx_call *lbx_client_prepare(lua_State *L, int idx, const bx_rpc *rpc,
                            double deadline) {
  lbx_client *c = check_client(L, idx);
  bx_error e;
  if (!c->client) lbx_error_class(L, BX_CANCELLED, BX_CLIENT_CLOSED);
  bool lasting = lbx_state_get(L)->current->alone;
  bx_call *call = bx_client_prepare(c->client, rpc, deadline, lasting, &e);
  if (!call) lbx_throw(L, &e, NULL);
  return call;
}

double lbx_client_timeout(lua_State *L, int idx) {
  return check_client(L, idx)->timeout;
}

bool lbx_client_killable(lua_State *L, int idx) {
  return check_client(L, idx)->killable;
}

bool lbx_client_is_turned(lua_State *L, int idx) {
  return check_client(L, idx)->turned;
}

void lbx_client_turn_era(lua_State *L, int idx) {
  lbx_client *c = check_client(L, idx);
  c->turned = !c->turned;
}

void lbx_client_push_error(lua_State *L, int client, const bx_error *e,
                           const bx_rpc *rpc) {
  bx_error named = *e;
  bool tls;
  const lbx_client *c = lua_touserdata(L, client);
  if (e->class_ == BX_CONNECTION && e->status != BX_NO_STATUS && c->client) {
    bx_error_set(&named, BX_CONNECTION, "%s: %s",
                 bx_client_target(c->client, &tls), e->message);
    named.status = e->status;
  }
  lbx_push_error(L, &named, rpc->name);
}

int lbx_client_throw(lua_State *L, int client, const bx_error *e,
                     const bx_rpc *rpc) {
  lbx_client_push_error(L, client, e, rpc);
  lua_error(L);
}

const bx_rpc *lbx_client_rpc(lua_State *L, int idx) {
  size_t len;
  const char *name = luaL_checklstring(L, idx, &len);
  const bx_rpc *rpc = bx_rpc_find(name);
  if (rpc && strlen(name) == len) return rpc;
  const char *near = bx_rpc_nearest(name);
  if (near)
    lbx_error_invalid(L, "the contract has no RPC '%s' (did you mean '%s'?)",
                      name, near);
  lbx_error_invalid(L, "the contract has no RPC '%s'", name);
  return NULL;
}

double lbx_client_deadline(lua_State *L, int idx) {
  if (lua_isnoneornil(L, idx)) return BX_FOREVER;
  return bx_now() + luaL_checknumber(L, idx);
}

grpc_byte_buffer *lbx_client_pack(lua_State *L, const ProtobufCMessage *m,
                                  lbx_arena *arena, const char *what) {
  grpc_byte_buffer *buffer = bx_message_pack(m);
  lbx_arena_reset(arena);
  if (!buffer)
    lbx_error_invalid(L, "%s: the message is longer than 64 MiB; send large "
                         "data as a stream", what);
  return buffer;
}

grpc_byte_buffer *lbx_client_encode(lua_State *L, int idx, const bx_rpc *rpc) {
  lbx_arena *arena = lbx_arena_scratch(L);
  return lbx_client_pack(L, lbx_encode(L, idx, bx_rpc_request(rpc), arena),
                         arena, rpc->name);
}

void lbx_client_decode(lua_State *L, grpc_byte_buffer **buffer,
                       const bx_rpc *rpc) {
  bx_error e;
  if (lbx_decode_buffer(L, bx_rpc_reply(rpc), buffer)) return;
  bx_error_set(&e, BX_INTERNAL, "the server's message is not a valid %s",
               bx_rpc_reply(rpc)->short_name);
  lbx_throw(L, &e, rpc->name);
}

int lbx_client_close(lua_State *L) {
  lbx_client *c = check_client(L, 1);
  if (c->client) bx_client_close(c->client);
  return 0;
}

/* core.is_open(compute) -> boolean */
static int is_open(lua_State *L) {
  const lbx_client *c = check_client(L, 1);
  lua_pushboolean(L, c->client && bx_client_is_open(c->client));
  return 1;
}

int lbx_client_push_url(lua_State *L) {
  bool tls;
  const lbx_client *c = check_client(L, 1);
  if (!c->client) return 0;
  const char *target = bx_client_target(c->client, &tls);
  lua_pushfstring(L, "%s://%s", tls ? "https" : "http", target);
  return 1;
}

int lbx_client_gc(lua_State *L) {
  lbx_client *c = check_client(L, 1);
  bx_client *client = c->client;
  c->client = NULL;
  bx_client_free(client);
  return 0;
}

/* A field that is text or absent; the table keeps it. */
static const char *text(lua_State *L, int options, const char *name) {
  lua_getfield(L, options, name);
  const char *s = lua_tostring(L, -1);
  lua_pop(L, 1);
  return s;
}

/* A field of the service that boxdlua --local has started. */
static const char *provided(lua_State *L, const char *field) {
  lua_pushfstring(L, "boxd.local.%s", field);
  lua_rawget(L, LUA_REGISTRYINDEX);
  const char *s = lua_tostring(L, -1);
  lua_pop(L, 1); /* the registry keeps it */
  return s;
}

/* Fills what the options table says; `given` is what the configuration may
** point to. */
static bx_client_config configure(lua_State *L, int options,
                                  bx_provided *given) {
  bx_client_config config = BX_CLIENT_DEFAULTS;
  config.token = text(L, options, "token");
  config.api_key = text(L, options, "api_key");
  config.api_url = text(L, options, "api_url");
  config.exchange_url = text(L, options, "exchange_url");
  config.ca_file = text(L, options, "ca_file");
  if (lua_getfield(L, options, "keepalive") != LUA_TNIL)
    config.keepalive = lua_tonumber(L, -1);
  if (lua_getfield(L, options, "max_retries") != LUA_TNIL)
    config.max_retries = (unsigned)lua_tointeger(L, -1);
  lua_pop(L, 2);
  given->api_url = provided(L, "api_url");
  given->exchange_url = provided(L, "exchange_url");
  given->api_key = provided(L, "api_key");
  if (given->api_url) config.provided = given;
  return config;
}

lbx_client *lbx_client_new(lua_State *L, int options, int uservalues,
                           const char *type) {
  bx_provided given;
  bx_error e;
  luaL_checktype(L, options, LUA_TTABLE);
  bx_loop *loop = lbx_loop(L);
  bx_client_config config = configure(L, options, &given);
  lbx_client *c = lbx_new(L, sizeof *c, uservalues, type);
  c->client = bx_client_new(loop, &config, &e);
  if (!c->client) lbx_throw(L, &e, NULL);
  return c;
}

/* core.addresses(options) -> { api_url=, host=, port=, tls=, named=,
** exchange_urls=, proxy= } */
static int addresses(lua_State *L) {
  bx_provided given;
  bx_addresses at;
  bx_error e;
  luaL_checktype(L, 1, LUA_TTABLE);
  bx_client_config config = configure(L, 1, &given);
  if (bx_addresses_find(&config, &at, &e)) lbx_throw(L, &e, NULL);
  lua_createtable(L, 0, 7);
  lua_pushfstring(L, "%s://%s", at.api.tls ? "https" : "http", at.api.target);
  lua_setfield(L, -2, "api_url");
  lua_pushstring(L, at.api.host);
  lua_setfield(L, -2, "host");
  lua_pushinteger(L, at.api.port);
  lua_setfield(L, -2, "port");
  lua_pushboolean(L, at.api.tls);
  lua_setfield(L, -2, "tls");
  lua_pushboolean(L, at.named);
  lua_setfield(L, -2, "named");
  lua_pushstring(L, bx_proxy_for(at.api.target));
  lua_setfield(L, -2, "proxy");
  lua_createtable(L, 2, 0);
  for (int i = 0; i < 2 && at.exchange[i]; i++) {
    lua_pushstring(L, at.exchange[i]);
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "exchange_urls");
  return 1;
}

/* core.credentials(options) -> { token= }, { api_key= } or { machine=true },
** with `from`, their source */
static int credentials(lua_State *L) {
  bx_provided given;
  bx_credentials found;
  bx_error e;
  luaL_checktype(L, 1, LUA_TTABLE);
  bx_client_config config = configure(L, 1, &given);
  if (bx_credentials_find(&config, &found, &e)) lbx_throw(L, &e, NULL);
  lua_createtable(L, 0, 2);
  lua_pushstring(L, found.token);
  lua_setfield(L, -2, "token");
  lua_pushstring(L, found.api_key);
  lua_setfield(L, -2, "api_key");
  lua_pushboolean(L, found.machine);
  lua_setfield(L, -2, "machine");
  lua_pushstring(L, found.from);
  lua_setfield(L, -2, "from");
  return 1;
}

/* core.stream(object, ...): of its Compute */
static int stream(lua_State *L) {
  lbx_push_compute(L, 1);
  lua_replace(L, 1);
  return lbx_stream_open(L);
}

/* core.check_open(object): raises where its Compute is closed */
static int check_open(lua_State *L) {
  lbx_push_compute(L, 1);
  const lbx_client *c = check_client(L, -1);
  if (!c->client || !bx_client_is_open(c->client))
    lbx_error_class(L, BX_CANCELLED, BX_CLIENT_CLOSED);
  return 0;
}

void lbx_open_client(lua_State *L) {
  static const luaL_Reg functions[] = {{"addresses", addresses},
                                       {"credentials", credentials},
                                       {"stream", stream},
                                       {"is_open", is_open},
                                       {"check_open", check_open},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
