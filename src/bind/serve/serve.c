#include "serve.h"

#include <stdio.h>
#include <string.h>

#include "../../server/port.h"
#include "../../server/reflection.h"
#include "../await.h"
#include "../codec.h"
#include "../error.h"
#include "call.h"
#include "crypto.h"
#include "../fd.h"
#include "forward.h"
#include "request.h"
#include "signal.h"
#include "spawn.h"
#include "sys.h"
#include "../task.h"
#include "../type.h"

typedef struct lbx_server {
  bx_server *server;
  bx_port *port; /* NULL: gRPC only */
  bool closed;
  char address[BX_PEER_MAX];
  int number;
} lbx_server;

static lbx_server *check_server(lua_State *L) {
  return luaL_checkudata(L, 1, LBX_SERVER);
}

/* Closing. */

static void close_server(lbx_server *s) {
  s->closed = true;
  if (s->port) bx_port_close(s->port);
  if (s->server) bx_server_stop(s->server);
}

/* server:close(): every call is cancelled, every waiting accept gets nil. */
static int m_close(lua_State *L) {
  close_server(check_server(L));
  return 0;
}

static int m__gc(lua_State *L) {
  lbx_server *s = check_server(L);
  close_server(s);
  bx_port_free(s->port);
  bx_server_unref(s->server);
  s->port = NULL;
  s->server = NULL;
  return 0;
}

/* server:accept() -> ServerCall, or nil once the server is closed */
static int accept_k(lua_State *L, int status, lua_KContext ctx) {
  lbx_server *s = check_server(L);
  (void)status;
  while (!s->closed && !s->server->first)
    lbx_await(L, &(lbx_wait){.event = &s->server->accepted}, ctx, accept_k);
  if (s->closed) return 0;
  lbx_push_server_call(L, s->server);
  return 1;
}

static int m_accept(lua_State *L) {
  lua_settop(L, 1);
  return accept_k(L, LUA_OK, 0);
}

/* server:request() -> HttpRequest, or nil once the server is closed */
static int request_k(lua_State *L, int status, lua_KContext ctx) {
  lbx_server *s = check_server(L);
  (void)status;
  if (!s->port) return lbx_error_invalid(L, "the server has no HTTP port");
  while (!s->closed && !bx_port_requested(s->port)->set)
    lbx_await(L, &(lbx_wait){.event = bx_port_requested(s->port)}, ctx,
              request_k);
  if (s->closed) return 0;
  lbx_push_http_request(L, s->port);
  return 1;
}

static int m_request(lua_State *L) {
  lua_settop(L, 1);
  return request_k(L, LUA_OK, 0);
}

static int server_field(lua_State *L, const char *name) {
  lbx_server *s = check_server(L);
  if (strcmp(name, "address") == 0)
    lua_pushstring(L, s->address);
  else if (strcmp(name, "port") == 0)
    lua_pushinteger(L, s->number);
  else
    return 0;
  return 1;
}

/* Opening. */

static bx_class open_grpc(lbx_server *s, const char *address, const char *cert,
                          const char *key, bx_error *e) {
  const char *colon = strrchr(address, ':');
  if (!colon || colon - address > BX_PEER_MAX - 8)
    return bx_error_set(e, BX_INVALID_ARGUMENT,
                        "can't listen on '%.100s': give HOST:PORT", address);
  if (bx_server_listen(s->server, address, cert, key, &s->number, e))
    return e->class_;
  snprintf(s->address, sizeof s->address, "%.*s:%d", (int)(colon - address),
           address, s->number);
  bx_server_start(s->server);
  return BX_OK;
}

static bx_class open_port(lbx_server *s, bx_loop *loop, const char *address,
                          double seconds, bx_error *e) {
  s->port = bx_port_open(loop, s->server, address, e);
  if (!s->port) return e->class_;
  bx_port_set_seconds(s->port, seconds);
  snprintf(s->address, sizeof s->address, "%s", bx_port_address(s->port));
  s->number = bx_port_number(s->port);
  return BX_OK;
}

/* The table of options.tls, with both texts; 0: there is none. */
static int check_tls(lua_State *L) {
  static const char *const names[] = {"cert", "key", NULL};
  if (lua_isnoneornil(L, 1) || lua_getfield(L, 1, "tls") == LUA_TNIL) return 0;
  int tls = lua_gettop(L);
  if (!lua_istable(L, tls))
    return luaL_error(L, "bad option 'tls' (table expected, got %s)",
                      luaL_typename(L, tls));
  lbx_options(L, tls, "tls", names);
  if (!lbx_opt_string(L, tls, "cert", NULL, NULL) ||
      !lbx_opt_string(L, tls, "key", NULL, NULL))
    return lbx_error_invalid(L, "tls needs both cert and key, as PEM texts");
  return tls;
}

/* serve.listen{address = "127.0.0.1:0", http = true, tls = {cert =, key =}}
** -> Server. With tls, or http = false, it speaks gRPC only. http_seconds: what
** an HTTP client has to send a request, and again to take the answer. tokens: a
** connection of gRPC is bounded until call:admit() was called for a call on it,
** and ends when it is without one for that time. */
static int f_listen(lua_State *L) {
  static const char *const names[] = {"address", "http", "http_seconds", "tls",
                                      "tokens", NULL};
  bx_error e;
  bx_class failed;
  lua_settop(L, 1);
  lbx_options(L, 1, "listen", names);
  const char *address = lbx_opt_string(L, 1, "address", NULL, "127.0.0.1:0");
  int tls = check_tls(L);
  bool http = lbx_opt_boolean(L, 1, "http", tls == 0);
  if (tls && http)
    return lbx_error_invalid(L, "HTTP is not served over TLS: http = false");
  const char *cert = tls ? lbx_opt_string(L, tls, "cert", NULL, NULL) : NULL;
  const char *key = tls ? lbx_opt_string(L, tls, "key", NULL, NULL) : NULL;
  double seconds = lbx_opt_seconds(L, 1, "http_seconds", BX_PORT_SECONDS);
  bx_loop *loop = lbx_loop(L);
  lbx_server *s = lbx_new(L, sizeof *s, 0, LBX_SERVER);
  s->server = bx_server_new(loop, &e);
  if (!s->server) return lbx_throw(L, &e, NULL);
  if (lbx_opt_boolean(L, 1, "tokens", false) &&
      !bx_server_bound_strangers(s->server, seconds))
    return luaL_error(L, "not enough memory");
  failed = http ? open_port(s, loop, address, seconds, &e)
                : open_grpc(s, address, cert, key, &e);
  if (failed) return lbx_throw(L, &e, NULL);
  return 1;
}

/* serve.reflect(bytes) -> bytes: a ServerReflectionRequest's answer. */
static int f_reflect(lua_State *L) {
  size_t len;
  const char *request = luaL_checklstring(L, 1, &len);
  bx_buf answer = {0};
  luaL_Buffer b;
  /* How much it can be is known: no Lua while C memory is held. */
  size_t room = bx_proto_descriptor_len + len + 1024;
  char *out = luaL_buffinitsize(L, &b, room);
  bool ok = bx_reflection_answer(bx_proto_descriptor, bx_proto_descriptor_len,
                                 request, len, &answer);
  size_t n = answer.len;
  ok = ok && n <= room;
  if (ok) memcpy(out, answer.data, n);
  bx_buf_free(&answer);
  if (!ok) return lbx_error_invalid(L, "no reflection request");
  luaL_pushresultsize(&b, n);
  return 1;
}

/* serve.pending() -> how many tasks have not ended: for specs. */
static int f_pending(lua_State *L) {
  lua_pushinteger(L, lbx_count_tasks(L));
  return 1;
}

static void open_type(lua_State *L) {
  static const luaL_Reg methods[] = {{"accept", m_accept},
                                     {"request", m_request},
                                     {"close", m_close},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {
      {"__gc", m__gc}, {"__close", m_close}, {NULL, NULL}};
  lbx_newtype(L, LBX_SERVER, NULL, meta);
  lbx_index_fields(L, LBX_SERVER, methods, server_field);
}

int luaopen_boxd_serve(lua_State *L) {
  static const luaL_Reg functions[] = {{"listen", f_listen},
                                       {"reflect", f_reflect},
                                       {"pending", f_pending},
                                       {"encode", lbx_codec_encode},
                                       {"decode", lbx_codec_decode},
                                       {NULL, NULL}};
  lbx_open_state(L);
  open_type(L);
  lbx_open_server_call(L);
  lbx_open_http_request(L);
  luaL_newlib(L, functions);
  lbx_open_forward(L);
  lbx_open_signal(L);
  lua_setfield(L, -2, "signal");
  lbx_open_spawn(L);
  lua_setfield(L, -2, "spawner");
  lbx_open_crypto(L);
  lua_setfield(L, -2, "crypto");
  lbx_open_sys(L);
  lua_setfield(L, -2, "sys");
  return 1;
}
