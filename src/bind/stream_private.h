/*
** stream_private: the Stream userdata, for stream.c and stream_file.c only. It
** owns its call; user value 1 keeps the client alive.
*/
#ifndef LBX_STREAM_PRIVATE_H
#define LBX_STREAM_PRIVATE_H

#include <lua.h>
#include <stdbool.h>

#include "../core/call.h"
#include "../core/rpc.h"

typedef struct lbx_stream {
  bx_call *call;
  const bx_rpc *rpc;
  bool closed;
} lbx_stream;

/* The stream at 1, open, and without another reader; a message is asked for or
** there. */
lbx_stream *lbx_stream_reader(lua_State *L);

/* The stream at 1, open, which takes messages and has no other writer. */
lbx_stream *lbx_stream_sender(lua_State *L);

/* Waits for the next message, in continuation k. False: the stream has ended
** well. Raises what else ended it. */
bool lbx_stream_await_message(lua_State *L, lua_KContext ctx, lua_KFunction k);

/* Waits until the next message may be sent, in continuation k. */
void lbx_stream_await_room(lua_State *L, lua_KContext ctx, lua_KFunction k);

/* The message has been used. */
void lbx_stream_drop_message(lbx_stream *s);

/* stream:send_file and stream:recv_file: see stream_file.c. */
int lbx_stream_send_file(lua_State *L);
int lbx_stream_recv_file(lua_State *L);

#endif
