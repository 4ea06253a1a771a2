/* One unary call on the stack, and core.call, which is such a call. */
#include <grpc/byte_buffer.h>
#include <lauxlib.h>

#include "../core/message.h"
#include "await.h"
#include "client.h"
#include "decode.h"
#include "error.h"
#include "method_private.h"
#include "type.h"

#define TYPE "boxd.Call"

static int m__gc(lua_State *L) {
  lbx_unary *u = lua_touserdata(L, 1);
  if (u->call) bx_call_cancel(u->call, "the caller no longer waits");
  lbx_unary_release(u);
  return 0;
}

lbx_unary *lbx_unary_new(lua_State *L, double seconds) {
  static const luaL_Reg meta[] = {{"__gc", m__gc}, {NULL, NULL}};
  if (luaL_getmetatable(L, TYPE) == LUA_TNIL) lbx_newtype(L, TYPE, NULL, meta);
  lua_pop(L, 1);
  lbx_unary *u = lbx_new(L, sizeof *u, 0, TYPE);
  u->deadline = bx_now() + seconds;
  return u;
}

void lbx_unary_prepare(lua_State *L, lbx_unary *u, const bx_rpc *rpc) {
  u->rpc = rpc;
  u->call = lbx_client_prepare(L, LBX_COMPUTE, rpc, u->deadline);
}

void lbx_unary_release(lbx_unary *u) {
  bx_call *c = u->call;
  u->call = NULL;
  if (c) bx_call_unref(c);
}

static void cancel(void *arg) {
  bx_call_cancel(arg, "the caller was cancelled");
}

void lbx_unary_wait(lua_State *L, const lbx_unary *u, lua_KContext ctx,
                    lua_KFunction k) {
  bx_call *c = u->call;
  if (!c)
    lbx_gone(L, "the call");
  else
    while (!c->finished.set)
      lbx_await(L, &(lbx_wait){.event = &c->finished, .cancel = cancel,
                               .arg = c}, ctx, k);
}

lbx_bytes lbx_unary_reply(lbx_unary *u) {
  bx_call *c = u->call;
  if (c->error.class_) return (lbx_bytes){NULL, 0};
  if (c->reply->data.raw.slice_buffer.count != 1) {
    grpc_byte_buffer *pieces = c->reply;
    c->reply = bx_message_join(pieces);
    grpc_byte_buffer_destroy(pieces);
  }
  /* Not a copy of the slice: short ones have their bytes inside. */
  const grpc_slice *s = &c->reply->data.raw.slice_buffer.slices[0];
  return (lbx_bytes){GRPC_SLICE_START_PTR(*s), GRPC_SLICE_LENGTH(*s)};
}

int lbx_unary_malformed(lua_State *L, const lbx_unary *u) {
  bx_error e;
  bx_error_set(&e, BX_INTERNAL, "the server's message is not a valid %s",
               bx_rpc_reply(u->rpc)->short_name);
  lbx_throw(L, &e, u->rpc->name);
}

int lbx_unary_throw(lua_State *L, const lbx_unary *u) {
  const bx_error *e = &u->call->error;
  bx_error told = *e;
  if (u->rpc->successor && e->status == GRPC_STATUS_UNIMPLEMENTED) {
    bx_error_set(&told, e->class_, "%s: %s", e->message, u->rpc->successor);
    told.status = e->status;
  }
  lbx_client_throw(L, LBX_COMPUTE, &told, u->rpc);
}

static int core_call_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  lbx_unary *u = lua_touserdata(L, LBX_CALL);
  lbx_unary_wait(L, u, ctx, core_call_k);
  if (u->call->error.class_) lbx_unary_throw(L, u);
  lbx_bytes b = lbx_unary_reply(u);
  if (!lbx_decode(L, bx_rpc_reply(u->rpc), b.s, b.len))
    lbx_unary_malformed(L, u);
  lbx_unary_release(u);
  return 1;
}

int lbx_core_call(lua_State *L) {
  const bx_rpc *rpc = lbx_client_rpc(L, 2);
  if (rpc->kind != BX_UNARY)
    lbx_error_invalid(L, "%s is a stream: call stream for it", rpc->name);
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_settop(L, LBX_GIVEN);
  lbx_push_compute(L, 1);
  lbx_unary *u = lbx_unary_new(
      L, luaL_optnumber(L, 4, lbx_client_timeout(L, LBX_COMPUTE)));
  lbx_unary_prepare(L, u, rpc);
  grpc_byte_buffer *request = lbx_client_encode(L, 3, rpc);
  bx_call_unary(u->call, request);
  return core_call_k(L, LUA_OK, 0);
}
