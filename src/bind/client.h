/*
** client: the userdata under a Compute: one channel, one source of tokens,
** and the calls made with them. It is made without touching the network or
** gRPC; both start with the first call.
*/
#ifndef LBX_CLIENT_H
#define LBX_CLIENT_H

#include <lua.h>

#include "../core/call.h"
#include "rpc.h"

typedef struct lbx_client {
  bx_channel *channel; /* NULL before the first call */
  bx_auth *auth;
  unsigned retries; /* of what only reads */
  bool closed;
  double timeout;   /* seconds, of a call that says no other: a Compute's */
} lbx_client;

/* The client at idx, open and connected to its channel; raises otherwise. */
lbx_client *lbx_client_check(lua_State *L, int idx);

/* Pushes, or raises, the error a call ended with; ConnectionErrors name the
** target of the client at index `client`. */
void lbx_client_push_error(lua_State *L, int client, const bx_error *e,
                           const lbx_rpc *rpc);
int lbx_client_throw(lua_State *L, int client, const bx_error *e,
                     const lbx_rpc *rpc);

/* The RPC named by the string at idx; raises, naming the nearest. */
const lbx_rpc *lbx_client_rpc(lua_State *L, int idx);

/* Seconds at idx (a number, or nil: none) as the time when a call ends. */
double lbx_client_deadline(lua_State *L, int idx);

/* Encodes the request table at idx; the caller owns the buffer and calls no
** Lua function before it has given it away. Pushes nothing. */
grpc_byte_buffer *lbx_client_encode(lua_State *L, int idx, const lbx_rpc *rpc);

/* Decodes a reply and pushes its table; the buffer stays the caller's, in a
** userdata: it may be replaced (see lbx_decode_buffer). */
void lbx_client_decode(lua_State *L, grpc_byte_buffer **buffer,
                       const lbx_rpc *rpc);

/* Pushes one, of the type `type`; the options table is at `options`. */
lbx_client *lbx_client_new(lua_State *L, int options, int uservalues,
                           const char *type);

/* Methods: close, address, __gc. */
int lbx_client_close(lua_State *L);
int lbx_client_address(lua_State *L);
int lbx_client_gc(lua_State *L);

/* Adds client(options) to the table on top: the constructor. */
void lbx_open_client(lua_State *L);

#endif
