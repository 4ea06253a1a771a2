#include "client.h"

#include <grpc/byte_buffer.h>
#include <lauxlib.h>
#include <string.h>

#include "await.h"
#include "codec.h"
#include "decode.h"
#include "error.h"
#include "exec.h"
#include "message.h"
#include "stream.h"
#include "type.h"
#include "types.h"

#define TYPE "boxd.Client"
#define CALL_TYPE "boxd.ClientCall"

/* User values of a client. */
#define UV_OPTIONS 1

/* A unary call on the stack: cancelled when it is collected. */
typedef struct unary {
  bx_call *call;
  const lbx_rpc *rpc;
} unary;

/* Pushes the option, which keeps the text. */
static const char *push_option(lua_State *L, int options, const char *name) {
  lua_getfield(L, options, name);
  return lua_tostring(L, -1);
}

/* The channel; options at the top of the stack. */
static bx_class connect_channel(lua_State *L, lbx_client *c, bx_error *e) {
  int o = lua_gettop(L);
  bx_channel_config cc = {.target = push_option(L, o, "target"),
                          .ca_file = push_option(L, o, "ca_file")};
  lua_getfield(L, o, "tls");
  cc.tls = lua_toboolean(L, -1);
  lua_getfield(L, o, "keepalive");
  cc.keepalive = lua_tonumber(L, -1);
  lua_getfield(L, o, "max_retries");
  c->retries = (unsigned)lua_tointeger(L, -1);
  lua_getfield(L, o, "follow");
  cc.later = lua_toboolean(L, -1);
  c->channel = bx_channel_new(lbx_loop(L), &cc, e);
  lua_settop(L, o);
  return c->channel ? BX_OK : e->class_;
}

static bx_class connect_auth(lua_State *L, lbx_client *c, bx_error *e) {
  int o = lua_gettop(L);
  bx_auth_config ac = {.token = push_option(L, o, "token"),
                       .api_key = push_option(L, o, "api_key"),
                       .exchange_url = push_option(L, o, "exchange_url"),
                       .ca_file = push_option(L, o, "ca_file")};
  lua_getfield(L, o, "machine");
  ac.machine = lua_toboolean(L, -1);
  lua_getfield(L, o, "follow");
  ac.follow = lua_toboolean(L, -1);
  c->auth = bx_auth_new(lbx_loop(L), &ac, e);
  lua_settop(L, o);
  return c->auth ? BX_OK : e->class_;
}

/* A client, or a Compute, which is one. */
static lbx_client *check_client(lua_State *L, int idx) {
  if (lbx_type_of(L, idx) == &lbx_compute_type) return lua_touserdata(L, idx);
  return luaL_checkudata(L, idx, TYPE);
}

lbx_client *lbx_client_check(lua_State *L, int idx) {
  lbx_client *c = check_client(L, idx);
  bx_error e;
  if (c->closed && !lbx_state_get(L)->current->alone)
    lbx_error_class(L, BX_CANCELLED, "this Compute is closed: make a new one, "
                    "and get its objects from it");
  if (c->channel && c->auth) return c;
  lua_getiuservalue(L, idx, UV_OPTIONS);
  if ((!c->auth && connect_auth(L, c, &e)) ||
      (!c->channel && connect_channel(L, c, &e)))
    lbx_throw(L, &e, NULL);
  lua_pop(L, 1);
  return c;
}

void lbx_client_push_error(lua_State *L, int client, const bx_error *e,
                           const lbx_rpc *rpc) {
  bx_error named = *e;
  const lbx_client *c = lua_touserdata(L, client);
  if (e->class_ == BX_CONNECTION && e->status != BX_NO_STATUS && c->channel) {
    bx_error_set(&named, BX_CONNECTION, "%s: %s", c->channel->target,
                 e->message);
    named.status = e->status;
  }
  lbx_push_error(L, &named, rpc->name);
}

int lbx_client_throw(lua_State *L, int client, const bx_error *e,
                     const lbx_rpc *rpc) {
  lbx_client_push_error(L, client, e, rpc);
  return lua_error(L);
}

const lbx_rpc *lbx_client_rpc(lua_State *L, int idx) {
  size_t len;
  const char *name = luaL_checklstring(L, idx, &len);
  const lbx_rpc *rpc = lbx_rpc_find(name);
  if (rpc && strlen(name) == len) return rpc;
  const char *near = lbx_rpc_nearest(name);
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

grpc_byte_buffer *lbx_client_encode(lua_State *L, int idx, const lbx_rpc *rpc) {
  lbx_arena *arena = lbx_arena_scratch(L);
  ProtobufCMessage *m = lbx_encode(L, idx, lbx_rpc_request(rpc), arena);
  grpc_byte_buffer *buffer = lbx_pack(m);
  lbx_arena_reset(arena);
  if (!buffer)
    lbx_error_invalid(L, "%s: the message is longer than 64 MiB; send large "
                         "data as a stream", rpc->name);
  return buffer;
}

void lbx_client_decode(lua_State *L, grpc_byte_buffer **buffer,
                       const lbx_rpc *rpc) {
  bx_error e;
  if (lbx_decode_buffer(L, lbx_rpc_reply(rpc), buffer)) return;
  bx_error_set(&e, BX_INTERNAL, "the server's message is no %s",
               lbx_rpc_reply(rpc)->short_name);
  lbx_throw(L, &e, rpc->name);
}

static void cancel_unary(void *arg) {
  bx_call_cancel(arg, "the caller was cancelled");
}

/* 1: the client; 4: the unary call. */
static int call_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  unary *u = lua_touserdata(L, 4);
  bx_call *c = u->call;
  if (!c) return lbx_gone(L, "the call");
  while (!c->finished.set)
    lbx_await(L, &(lbx_wait){.event = &c->finished, .cancel = cancel_unary,
                             .arg = c}, ctx, call_k);
  if (c->error.class_) lbx_client_throw(L, 1, &c->error, u->rpc);
  lbx_client_decode(L, &c->reply, u->rpc);
  u->call = NULL; /* not left to the gc: the reply may be large */
  bx_call_unref(c);
  return 1;
}

/* client:call(rpc, request, seconds or nil) -> reply */
static int m_call(lua_State *L) {
  lbx_client *c = lbx_client_check(L, 1);
  const lbx_rpc *rpc = lbx_client_rpc(L, 2);
  if (rpc->kind != LBX_UNARY)
    lbx_error_invalid(L, "%s is a stream: call stream for it", rpc->name);
  luaL_checktype(L, 3, LUA_TTABLE);
  double deadline = lbx_client_deadline(L, 4);
  lua_settop(L, 3);
  unary *u = lbx_new(L, sizeof *u, 0, CALL_TYPE);
  u->rpc = rpc;
  u->call = bx_call_new(c->channel, c->auth, rpc->path, deadline);
  if (!u->call) return luaL_error(L, "not enough memory");
  u->call->lasting = lbx_state_get(L)->current->alone;
  if (rpc->reads) u->call->retries = c->retries;
  grpc_byte_buffer *request = lbx_client_encode(L, 3, rpc);
  bx_call_unary(u->call, request);
  lua_settop(L, 4);
  return call_k(L, LUA_OK, 0);
}

static int m__gc_call(lua_State *L) {
  unary *u = lua_touserdata(L, 1);
  if (u->call) {
    bx_call_cancel(u->call, "nobody waits for the call");
    bx_call_unref(u->call);
    u->call = NULL;
  }
  return 0;
}

int lbx_client_close(lua_State *L) {
  lbx_client *c = check_client(L, 1);
  c->closed = true;
  if (c->channel) bx_channel_close(c->channel);
  return 0;
}

/* core.is_open(compute) -> boolean */
static int is_open(lua_State *L) {
  lua_pushboolean(L, !check_client(L, 1)->closed);
  return 1;
}

/* client:address() -> "host:port", tls: of the service, as far as known */
int lbx_client_address(lua_State *L) {
  lbx_client *c = check_client(L, 1);
  lua_getiuservalue(L, 1, UV_OPTIONS);
  lua_getfield(L, -1, "target");
  lua_getfield(L, -2, "tls");
  if (!c->channel) return 2;
  lua_pushstring(L, c->channel->target);
  lua_pushboolean(L, c->channel->tls);
  return 2;
}

int lbx_client_gc(lua_State *L) {
  lbx_client *c = check_client(L, 1);
  lbx_client_close(L);
  if (c->channel) bx_channel_unref(c->channel);
  if (c->auth) bx_auth_free(c->auth);
  c->channel = NULL;
  c->auth = NULL;
  return 0;
}

/* client{ target=, tls=, ca_file=, keepalive=, max_retries=, token=, api_key=,
** exchange_url=, machine=, follow= }: checked by its callers in lua/boxd. */
static int client(lua_State *L) {
  lbx_client_new(L, 1, 1, TYPE);
  return 1;
}

lbx_client *lbx_client_new(lua_State *L, int options, int uservalues,
                           const char *type) {
  luaL_checktype(L, options, LUA_TTABLE);
  lbx_client *c = lbx_new(L, sizeof *c, uservalues, type);
  lua_pushvalue(L, options);
  lua_setiuservalue(L, -2, UV_OPTIONS);
  return c;
}

/* core.stream(object, ...), core.exec(object, ...): of its Compute */
static int stream(lua_State *L) {
  lbx_push_compute(L, 1);
  lua_replace(L, 1);
  return lbx_stream_open(L);
}

static int exec(lua_State *L) {
  lbx_push_compute(L, 1);
  lua_replace(L, 1);
  return lbx_exec_open(L);
}

void lbx_open_client(lua_State *L) {
  static const luaL_Reg methods[] = {{"call", m_call},
                                     {"stream", lbx_stream_open},
                                     {"exec", lbx_exec_open},
                                     {"close", lbx_client_close},
                                     {"address", lbx_client_address},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {
      {"__gc", lbx_client_gc}, {"__close", lbx_client_close}, {NULL, NULL}};
  static const luaL_Reg call_meta[] = {{"__gc", m__gc_call}, {NULL, NULL}};
  lbx_newtype(L, TYPE, methods, meta);
  lbx_newtype(L, CALL_TYPE, NULL, call_meta);
  static const luaL_Reg functions[] = {{"client", client},
                                       {"stream", stream},
                                       {"exec", exec},
                                       {"is_open", is_open},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
