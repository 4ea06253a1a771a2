/*
** client: the userdata under a Compute: a client of core (../core/client.h),
** and the calls made with it.
*/
#ifndef LBX_CLIENT_H
#define LBX_CLIENT_H

#include <lua.h>

#include "../core/client.h"
#include "arena.h"

typedef struct lbx_client {
  bx_client *client;
  double timeout; /* seconds, of a call that says no other: a Compute's */
  bool killable;  /* commands are, unless they say otherwise */
  bool turned;    /* its service knows the other era's RPCs (method.h) */
} lbx_client;

/* A call of the client at idx that has not begun, the caller's at once: no Lua
** function may come before it is in a userdata. Raises, with nothing acquired,
** where the client is closed or its ca_file can't be read. */
bx_call *lbx_client_prepare(lua_State *L, int idx, const bx_rpc *rpc,
                            double deadline);

/* Seconds that a call of the client at idx has which says no other time. */
double lbx_client_timeout(lua_State *L, int idx);

/* Are the commands of the client at idx killable by default? */
bool lbx_client_killable(lua_State *L, int idx);

/* Rows of two eras: the one that the client at idx was found to need. */
bool lbx_client_is_turned(lua_State *L, int idx);
void lbx_client_turn_era(lua_State *L, int idx);

/* Pushes, or raises, the error a call ended with; ConnectionErrors name the
** target of the client at index `client`. */
void lbx_client_push_error(lua_State *L, int client, const bx_error *e,
                           const bx_rpc *rpc);
_Noreturn int lbx_client_throw(lua_State *L, int client, const bx_error *e,
                               const bx_rpc *rpc);

/* The RPC named by the string at idx; raises, naming the nearest. */
const bx_rpc *lbx_client_rpc(lua_State *L, int idx);

/* Seconds at idx (a number, or nil: none) as the time when a call ends. */
double lbx_client_deadline(lua_State *L, int idx);

/* Encodes the request table at idx; the caller owns the buffer and calls no
** Lua function before it has given it away. Pushes nothing. */
grpc_byte_buffer *lbx_client_encode(lua_State *L, int idx, const bx_rpc *rpc);

/* The message in the arena, which is emptied, as gRPC sends it; the same holds.
** Raises where it is longer than it may be; what: for the error. */
grpc_byte_buffer *lbx_client_pack(lua_State *L, const ProtobufCMessage *m,
                                  lbx_arena *arena, const char *what);

/* Decodes a reply and pushes its table; the buffer stays the caller's, in a
** userdata: it may be replaced (see lbx_decode_buffer). */
void lbx_client_decode(lua_State *L, grpc_byte_buffer **buffer,
                       const bx_rpc *rpc);

/* Pushes one, of the type `type`; the options table is at `options`, all of it
** of the right types: token, api_key, api_url, exchange_url, ca_file,
** keepalive, max_retries. Raises what bx_client_new refuses. */
lbx_client *lbx_client_new(lua_State *L, int options, int uservalues,
                           const char *type);

/* Methods: close, __gc, and the service's URL, as far as known. */
int lbx_client_close(lua_State *L);
int lbx_client_push_url(lua_State *L);
int lbx_client_gc(lua_State *L);

/* Adds client(options) to the table on top: the constructor. */
void lbx_open_client(lua_State *L);

#endif
