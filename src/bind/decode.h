/*
** decode: a message of the contract, from its wire form straight into a Lua
** table. Nothing is kept of the bytes, and no memory but Lua's is used, so
** that a throw leaks nothing. The form of each field: see codec.h.
*/
#ifndef LBX_DECODE_H
#define LBX_DECODE_H

#include <grpc/grpc.h>
#include <lua.h>
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Pushes the table. False, and nothing pushed: the bytes are another message,
** or would unfold into more than LBX_ARENA_MAX. */
bool lbx_decode(lua_State *L, const ProtobufCMessageDescriptor *d,
                const uint8_t *bytes, size_t len);

/* The same with the names that scripts use (names.h), for what methods give. */
bool lbx_decode_named(lua_State *L, const ProtobufCMessageDescriptor *d,
                      const uint8_t *bytes, size_t len);

/* Pushes the one field f of a valid message, nil where it would be. */
void lbx_push_field(lua_State *L, const ProtobufCMessageDescriptor *d,
                    const ProtobufCFieldDescriptor *f, const uint8_t *bytes,
                    size_t len);

/* The next message of the repeated field f from *at on, which moves behind it, in
** a valid message; false at the end. */
bool lbx_next_message(const ProtobufCFieldDescriptor *f, const uint8_t **at,
                      const uint8_t *end, const uint8_t **bytes, size_t *len);

/* The same for a message as gRPC has it. It stays the caller's, which must hold
** it where a throw finds it; one in pieces is replaced by one that is whole. */
bool lbx_decode_buffer(lua_State *L, const ProtobufCMessageDescriptor *d,
                       grpc_byte_buffer **buffer);

#endif
