#include "call.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <lauxlib.h>
#include <string.h>

#include "../../core/channel.h"
#include "../../core/message.h"
#include "../../server/reflection.h"
#include "../arena.h"
#include "../await.h"
#include "boxd.pb-c.h"
#include "../codec.h"
#include "../decode.h"
#include "../error.h"
#include "serve.h"
#include "../type.h"

#define SERVICE "/boxd.api.v1.BoxdApi/"
#define TRAILING_MAX 16

/* User value 1: the arena that messages are coded in, once there is one. */
typedef struct lbx_server_call {
  bx_server_call *call;
  const ProtobufCMethodDescriptor *method; /* NULL: not in the contract */
  const char *rpc;                         /* the path's last part */
  bool asked;   /* a message was asked for and not given out */
  bool reading; /* it is awaited */
} lbx_server_call;

static lbx_server_call *check_call(lua_State *L) {
  lbx_server_call *x = luaL_checkudata(L, 1, LBX_SERVER_CALL);
  if (!x->call) lbx_gone(L, "the call");
  return x;
}

void lbx_push_server_call(lua_State *L, bx_server *s) {
  lbx_server_call *x = lbx_new(L, sizeof *x, 1, LBX_SERVER_CALL);
  x->call = bx_server_take(s);
  const char *path = x->call->method, *slash = strrchr(path, '/');
  x->rpc = slash ? slash + 1 : path;
  if (strncmp(path, SERVICE, sizeof SERVICE - 1) == 0)
    x->method = protobuf_c_service_descriptor_get_method_by_name(
        &boxd__api__v1__boxd_api__descriptor, x->rpc);
}

static int raise_cancelled(lua_State *L, const lbx_server_call *x) {
  bx_error e;
  bx_error_set(&e, BX_CANCELLED, "the client has cancelled the call, or is "
                                 "gone");
  e.status = GRPC_STATUS_CANCELLED;
  return lbx_throw(L, &e, x->rpc);
}

static const ProtobufCMethodDescriptor *check_method(lua_State *L,
                                                     lbx_server_call *x) {
  if (!x->method)
    lbx_error_invalid(L, "'%s' is not in the contract: use recv_bytes and "
                         "send_bytes", x->call->method);
  return x->method;
}

static lbx_arena *get_arena(lua_State *L) {
  if (lua_getiuservalue(L, 1, 1) == LUA_TNIL) {
    lua_pop(L, 1);
    lbx_arena_new(L);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, 1, 1);
  }
  lbx_arena *a = lua_touserdata(L, -1);
  lua_pop(L, 1);
  lbx_arena_reset(a);
  return a;
}

/* Receiving. */

static void stop_reading(void *arg) {
  ((lbx_server_call *)arg)->reading = false;
}

static void push_bytes(lua_State *L, grpc_byte_buffer *message) {
  grpc_byte_buffer_reader reader;
  grpc_slice *part;
  luaL_Buffer b;
  size_t len = grpc_byte_buffer_length(message), n = 0;
  char *out = luaL_buffinitsize(L, &b, len);
  grpc_byte_buffer_reader_init(&reader, message);
  while (grpc_byte_buffer_reader_peek(&reader, &part)) {
    memcpy(out + n, GRPC_SLICE_START_PTR(*part), GRPC_SLICE_LENGTH(*part));
    n += GRPC_SLICE_LENGTH(*part);
  }
  grpc_byte_buffer_reader_destroy(&reader);
  luaL_pushresultsize(&b, len);
}

static void push_message(lua_State *L, lbx_server_call *x) {
  if (!lbx_decode_buffer(L, x->method->input, &x->call->message))
    lbx_error_class(L, BX_INTERNAL,
                    "the client sent bytes that are not a valid %s",
                    x->method->input->short_name);
}

static void drop_message(bx_server_call *c) {
  grpc_byte_buffer_destroy(c->message);
  c->message = NULL;
}

static int recv_k(lua_State *L, int status, lua_KContext raw) {
  lbx_server_call *x = check_call(L);
  bx_server_call *c = x->call;
  (void)status;
  while (!c->received.set)
    lbx_await(L, &(lbx_wait){.event = &c->received, .cancel = stop_reading,
                             .arg = x}, raw, recv_k);
  x->asked = x->reading = false;
  if (!c->message && (c->torn || c->cancelled.set)) raise_cancelled(L, x);
  if (!c->message) return 0;
  if (raw)
    push_bytes(L, c->message);
  else
    push_message(L, x);
  drop_message(c);
  return 1;
}

static int receive(lua_State *L, bool raw) {
  lbx_server_call *x = check_call(L);
  lua_settop(L, 1);
  if (!raw) check_method(L, x);
  if (x->reading)
    return lbx_error_invalid(L, "the call is busy: another task receives");
  if (!x->asked) bx_server_call_recv(x->call);
  x->asked = x->reading = true;
  return recv_k(L, LUA_OK, raw);
}

/* call:recv() -> the request as a table, or nil when the client has sent all.
** Raises CancelledError when the call was cancelled. */
static int m_recv(lua_State *L) { return receive(L, false); }

/* call:recv_bytes(): the same, as it came. */
static int m_recv_bytes(lua_State *L) { return receive(L, true); }

/* Sending. */

static grpc_byte_buffer *encode(lua_State *L, lbx_server_call *x) {
  lbx_arena *a = get_arena(L);
  ProtobufCMessage *m = lbx_encode(L, 2, check_method(L, x)->output, a);
  grpc_byte_buffer *message = bx_message_pack(m);
  lbx_arena_reset(a);
  return message;
}

static grpc_byte_buffer *copy_bytes(lua_State *L) {
  size_t len;
  const char *bytes = lua_tolstring(L, 2, &len);
  if (len > BX_MESSAGE_BYTES_MAX) return NULL;
  grpc_slice slice = grpc_slice_from_copied_buffer(bytes, len);
  grpc_byte_buffer *message = grpc_raw_byte_buffer_create(&slice, 1);
  grpc_slice_unref(slice);
  return message;
}

static int send_k(lua_State *L, int status, lua_KContext raw) {
  lbx_server_call *x = check_call(L);
  bx_server_call *c = x->call;
  (void)status;
  while (!c->sent.set)
    lbx_await(L, &(lbx_wait){.event = &c->sent}, raw, send_k);
  if (c->cancelled.set || !c->send_ok) raise_cancelled(L, x);
  if (c->finishing) return lbx_error_invalid(L, "the call is finished");
  grpc_byte_buffer *message = raw ? copy_bytes(L) : encode(L, x);
  if (!message)
    return lbx_error_invalid(L, "a message must not be longer than 64 MiB");
  bx_server_call_send(c, message);
  return 0;
}

/* call:send(table): once earlier messages are on their way. Raises
** CancelledError when the client is gone. */
static int m_send(lua_State *L) {
  check_method(L, check_call(L));
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  return send_k(L, LUA_OK, 0);
}

static int m_send_bytes(lua_State *L) {
  check_call(L);
  luaL_checktype(L, 2, LUA_TSTRING);
  lua_settop(L, 2);
  return send_k(L, LUA_OK, 1);
}

/* Finishing. */

static int check_status(lua_State *L, int idx) {
  if (lua_isnoneornil(L, idx)) return GRPC_STATUS_OK;
  for (int i = GRPC_STATUS_OK; i <= GRPC_STATUS_UNAUTHENTICATED; i++) {
    bool same = lua_isinteger(L, idx)
                    ? lua_tointeger(L, idx) == i
                    : strcmp(luaL_checkstring(L, idx), bx_status_name(i)) == 0;
    if (same) return i;
  }
  return luaL_argerror(L, idx, "no gRPC status, such as \"NOT_FOUND\"");
}

static bool can_be_sent(const bx_server_pair *pair) {
  grpc_slice name = grpc_slice_from_static_string(pair->name);
  grpc_slice value = grpc_slice_from_static_buffer(pair->value, pair->len);
  return grpc_header_key_is_legal(name) &&
         (grpc_is_binary_header(name) ||
          grpc_header_nonbin_value_is_legal(value));
}

/* The table of strings by name at idx, which keeps what the pairs point to. */
static size_t read_trailing(lua_State *L, int idx, bx_server_pair *pairs) {
  size_t n = 0;
  if (lua_isnoneornil(L, idx)) return 0;
  luaL_checktype(L, idx, LUA_TTABLE);
  for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
      lbx_error_invalid(L, "trailing metadata is a table of strings by name");
    if (n == TRAILING_MAX) lbx_error_invalid(L, "too much trailing metadata");
    pairs[n].name = lua_tostring(L, -2);
    pairs[n].value = lua_tolstring(L, -1, &pairs[n].len);
    if (!can_be_sent(&pairs[n]))
      lbx_error_invalid(L, "'%.80s' can't be sent as trailing metadata",
                        pairs[n].name);
    n++;
  }
  return n;
}

/* call:finish([code [, message [, trailing]]]): "OK", "NOT_FOUND", 5, ... */
static int m_finish(lua_State *L) {
  lbx_server_call *x = check_call(L);
  bx_server_pair pairs[TRAILING_MAX];
  size_t len;
  lua_settop(L, 4);
  int code = check_status(L, 2);
  const char *message = luaL_optlstring(L, 3, "", &len);
  size_t n = read_trailing(L, 4, pairs);
  if (x->call->finishing)
    return lbx_error_invalid(L, "the call is finished");
  bx_server_call_finish(x->call, (grpc_status_code)code, message, len, pairs,
                        n);
  return 0;
}

/* The client. */

/* call:metadata(name) -> string or nil */
static int m_metadata(lua_State *L) {
  lbx_server_call *x = check_call(L);
  const char *value;
  size_t len;
  if (!bx_server_call_metadata(x->call, luaL_checkstring(L, 2), &value, &len))
    return 0;
  lua_pushlstring(L, value, len);
  return 1;
}

/* call:cancelled() -> boolean */
static int m_cancelled(lua_State *L) {
  lua_pushboolean(L, check_call(L)->call->cancelled.set);
  return 1;
}

static int wait_cancelled_k(lua_State *L, int status, lua_KContext ctx) {
  bx_server_call *c = check_call(L)->call;
  (void)status;
  while (!c->ended.set)
    lbx_await(L, &(lbx_wait){.event = &c->ended}, ctx, wait_cancelled_k);
  lua_pushboolean(L, c->cancelled.set);
  return 1;
}

/* call:wait_cancelled() -> true, or false when the call ended by a finish */
static int m_wait_cancelled(lua_State *L) {
  lua_settop(L, 1);
  return wait_cancelled_k(L, LUA_OK, 0);
}

/* call:admit(): it has shown a token; its connection is bounded no longer. */
static int m_admit(lua_State *L) {
  bx_server_call_admit(check_call(L)->call);
  return 0;
}

/* call:cancel(code, message): ends it at once with that status, as if the
** client had left. */
static int m_cancel(lua_State *L) {
  bx_server_call *c = check_call(L)->call;
  int code = check_status(L, 2);
  bx_server_call_cancel(c, (grpc_status_code)code, luaL_checkstring(L, 3));
  return 0;
}

/* call:abort(): breaks the connection, for tests of clients. */
static int m_abort(lua_State *L) {
  lua_pushboolean(L, bx_server_call_abort(check_call(L)->call));
  return 1;
}

static int m__close(lua_State *L) {
  lbx_server_call *x = luaL_checkudata(L, 1, LBX_SERVER_CALL);
  if (x->call) bx_server_call_close(x->call);
  return 0;
}

static int m__gc(lua_State *L) {
  lbx_server_call *x = luaL_checkudata(L, 1, LBX_SERVER_CALL);
  bx_server_call *c = x->call;
  x->call = NULL;
  if (c) bx_server_call_release(c);
  return 0;
}

static int call_field(lua_State *L, const char *name) {
  lbx_server_call *x = check_call(L);
  if (strcmp(name, "rpc") == 0)
    lua_pushstring(L, x->rpc);
  else if (strcmp(name, "path") == 0)
    lua_pushstring(L, x->call->method);
  else if (strcmp(name, "peer") == 0)
    lua_pushstring(L, x->call->peer);
  else if (strcmp(name, "known") == 0)
    lua_pushboolean(L, x->method != NULL);
  else if (strcmp(name, "reflection") == 0)
    lua_pushboolean(L, bx_reflection_serves(x->call->method));
  else if (strcmp(name, "deadline") == 0 && x->call->deadline < BX_FOREVER)
    lua_pushnumber(L, x->call->deadline);
  else
    return 0;
  return 1;
}

void lbx_open_server_call(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"recv", m_recv},           {"recv_bytes", m_recv_bytes},
      {"send", m_send},           {"send_bytes", m_send_bytes},
      {"finish", m_finish},       {"metadata", m_metadata},
      {"cancelled", m_cancelled}, {"wait_cancelled", m_wait_cancelled},
      {"abort", m_abort},         {"admit", m_admit},
      {"cancel", m_cancel},       {NULL, NULL}};
  static const luaL_Reg meta[] = {
      {"__gc", m__gc}, {"__close", m__close}, {NULL, NULL}};
  lbx_newtype(L, LBX_SERVER_CALL, NULL, meta);
  lbx_index_fields(L, LBX_SERVER_CALL, methods, call_field);
}
