#include "stream.h"

#include <grpc/byte_buffer.h>
#include <lauxlib.h>

#include "await.h"
#include "client.h"
#include "error.h"
#include "record.h"
#include "stream_private.h"
#include "type.h"

#define TYPE "boxd.Stream"

typedef lbx_stream stream;

/* The stream at 1, of which that is known. */
static stream *get_stream(lua_State *L) {
  stream *s = lua_touserdata(L, 1);
  if (!s->call) lbx_gone(L, "the stream");
  return s;
}

static stream *check_stream(lua_State *L) {
  stream *s = luaL_checkudata(L, 1, TYPE);
  get_stream(L);
  if (s->closed) lbx_error_class(L, BX_CANCELLED, "this stream is closed");
  return s;
}

/* Pushes the client, which the stream keeps alive, and raises. */
static int throw_ended(lua_State *L, stream *s) {
  lua_getiuservalue(L, 1, 1);
  return lbx_client_throw(L, lua_gettop(L), &s->call->error, s->rpc);
}

int lbx_stream_open(lua_State *L) {
  const bx_rpc *rpc = lbx_client_rpc(L, 2);
  if (rpc->kind == BX_UNARY)
    lbx_error_invalid(L, "%s is not a stream: use call for it", rpc->name);
  bool half_close = !(rpc->kind & BX_CLIENT);
  if (half_close || !lua_isnoneornil(L, 3)) luaL_checktype(L, 3, LUA_TTABLE);
  double deadline = lbx_client_deadline(L, 4);
  stream *s = lbx_new(L, sizeof *s, 1, TYPE);
  int at = lua_gettop(L);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, at, 1);
  s->rpc = rpc;
  s->call = lbx_client_prepare(L, 1, rpc, deadline);
  grpc_byte_buffer *request =
      lua_istable(L, 3) ? lbx_client_encode(L, 3, rpc) : NULL;
  bx_call_start(s->call, request, half_close);
  lua_settop(L, at);
  return 1;
}

void lbx_stream_drop_message(lbx_stream *s) {
  grpc_byte_buffer_destroy(s->call->message);
  s->call->message = NULL;
}

bool lbx_stream_await_message(lua_State *L, lua_KContext ctx,
                              lua_KFunction k) {
  stream *s = get_stream(L);
  bx_call *c = s->call;
  while (c->receiving)
    lbx_await(L, &(lbx_wait){.event = &c->received}, ctx, k);
  if (c->message) return true;
  while (!c->finished.set)
    lbx_await(L, &(lbx_wait){.event = &c->finished}, ctx, k);
  if (c->error.class_) throw_ended(L, s);
  return false;
}

static int recv_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  stream *s = get_stream(L);
  if (lbx_stream_await_message(L, ctx, recv_k)) {
    lbx_client_decode(L, &s->call->message, s->rpc);
    lbx_stream_drop_message(s);
  } else {
    lua_pushnil(L);
  }
  return 1;
}

lbx_stream *lbx_stream_reader(lua_State *L) {
  stream *s = check_stream(L);
  bx_call *c = s->call;
  if (bx_event_claimed(&c->received) || bx_event_awaited(&c->finished))
    lbx_error_class(L, BX_BOXD, "busy: another task reads this stream");
  /* A reader that was cancelled left its message behind. */
  if (!c->receiving && !c->message) bx_call_recv(c);
  return s;
}

/* stream:recv() -> the next message, or nil at the end. Also stream(). */
static int m_recv(lua_State *L) {
  lbx_stream_reader(L);
  lua_settop(L, 1);
  return recv_k(L, LUA_OK, 0);
}

void lbx_stream_await_room(lua_State *L, lua_KContext ctx, lua_KFunction k) {
  stream *s = get_stream(L);
  bx_call *c = s->call;
  while (c->sending) lbx_await(L, &(lbx_wait){.event = &c->sent}, ctx, k);
  if (c->finished.set) {
    if (c->error.class_) throw_ended(L, s);
    lbx_error_class(L, BX_BOXD, "the server has ended this stream");
  }
  if (c->closing)
    lbx_error_class(L, BX_BOXD, "this stream's sending side is closed");
}

/* Waits until the last message is out; 1: the stream, 2: the next one. */
static int send_k(lua_State *L, int status, lua_KContext half_close) {
  (void)status;
  stream *s = get_stream(L);
  lbx_stream_await_room(L, half_close, send_k);
  grpc_byte_buffer *message =
      half_close ? NULL : lbx_client_encode(L, 2, s->rpc);
  bx_call_send(s->call, message, half_close != 0);
  return 0;
}

lbx_stream *lbx_stream_sender(lua_State *L) {
  stream *s = check_stream(L);
  if (!(s->rpc->kind & BX_CLIENT))
    lbx_error_class(L, BX_BOXD, "%s takes one request only", s->rpc->name);
  if (bx_event_claimed(&s->call->sent))
    lbx_error_class(L, BX_BOXD, "busy: another task writes to this stream");
  return s;
}

/* stream:send(message): waits while the transport is full. */
static int m_send(lua_State *L) {
  lbx_stream_sender(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  return send_k(L, LUA_OK, 0);
}

/* stream:half_close(): no more messages from here. Idempotent. */
static int m_half_close(lua_State *L) {
  stream *s = lbx_stream_sender(L);
  if (s->call->closing) return 0;
  lua_settop(L, 1);
  return send_k(L, LUA_OK, 1);
}

static int m_close(lua_State *L) {
  stream *s = luaL_checkudata(L, 1, TYPE);
  s->closed = true;
  if (s->call) bx_call_cancel(s->call, "the stream was closed");
  return 0;
}

static int m__gc(lua_State *L) {
  stream *s = lua_touserdata(L, 1);
  m_close(L);
  bx_call_unref(s->call);
  s->call = NULL;
  return 0;
}

void lbx_open_stream(lua_State *L) {
  static const luaL_Reg methods[] = {{"recv", m_recv},
                                     {"send", m_send},
                                     {"send_file", lbx_stream_send_file},
                                     {"recv_file", lbx_stream_recv_file},
                                     {"half_close", m_half_close},
                                     {"close", m_close},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__call", m_recv},
                                  {"__close", m_close},
                                  {"__gc", m__gc},
                                  {"__newindex", lbx_read_only},
                                  {NULL, NULL}};
  lbx_newtype(L, TYPE, methods, meta);
  lbx_refuse_unknown(L, TYPE);
}
