/*
** stream: any streaming RPC as a userdata that sends and receives tables.
*/
#ifndef LBX_STREAM_H
#define LBX_STREAM_H

#include <lua.h>

/* client:stream(rpc, request or nil, seconds or nil) -> Stream. A request goes
** out first; an RPC with a single request is half-closed by it. */
int lbx_stream_open(lua_State *L);

void lbx_open_stream(lua_State *L);

#endif
