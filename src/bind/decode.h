/*
** decode: a message of the contract, from its wire form straight into a Lua
** table. Nothing is kept of the bytes, and no memory but Lua's is used, so
** that a throw leaks nothing. What becomes of each field: see codec.h.
*/
#ifndef LBX_DECODE_H
#define LBX_DECODE_H

#include <grpc/grpc.h>
#include <lua.h>
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Pushes the table. False, and nothing pushed: the bytes are no such message,
** or would unfold into more than LBX_ARENA_MAX. */
bool lbx_decode(lua_State *L, const ProtobufCMessageDescriptor *d,
                const uint8_t *bytes, size_t len);

/* The same for a message as gRPC has it. It stays the caller's, who must hold
** it where a throw finds it; one in pieces is replaced by one that is whole. */
bool lbx_decode_buffer(lua_State *L, const ProtobufCMessageDescriptor *d,
                       grpc_byte_buffer **buffer);

#endif
