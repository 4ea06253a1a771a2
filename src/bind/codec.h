/*
** codec: a message of the contract <-> a Lua table by proto field names. Both
** directions work from the protobuf-c descriptor alone; the way to Lua is in
** decode.
**
** Lua to message: integers (also floats with an integral value) within the
** field's range; uint64 up to 2^63-1, as a Lua integer ends there; booleans;
** strings, UTF-8 without NUL for text, anything for bytes; a sequence for
** repeated; a table with string keys for maps, sent in the order of the keys.
** Numbers and strings are never converted into each other. Tables are read raw.
** Everything else is an InvalidArgumentError that names the field.
**
** Message to Lua: unset optional, oneof and message fields and empty strings
** are nil; bytes "", repeated and map {}; numbers and booleans their value. A
** uint64 from 2^63 on reads as a negative integer. Text ends at a NUL, since
** encoding refuses one; fields that the contract lacks are dropped.
*/
#ifndef LBX_CODEC_H
#define LBX_CODEC_H

#include <lua.h>
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#include "arena.h"

/* Builds the message from the table at idx inside the arena. Strings and
   bytes point into the Lua strings: the table stays on the stack, and nothing
   that could change it runs until the message is packed: no Lua code, and no
   allocation of Lua's, which may run a finalizer. */
ProtobufCMessage *lbx_encode(lua_State *L, int idx,
                             const ProtobufCMessageDescriptor *d,
                             lbx_arena *a);

/* The same a field at a time: a message with nothing in it, then the value at
   idx, or text that outlives it, into a field. */
ProtobufCMessage *lbx_encode_new(lua_State *L,
                                 const ProtobufCMessageDescriptor *d,
                                 lbx_arena *a);
void lbx_encode_field(lua_State *L, int idx, ProtobufCMessage *m,
                      const ProtobufCFieldDescriptor *f, lbx_arena *a);
void lbx_encode_text(ProtobufCMessage *m, const ProtobufCFieldDescriptor *f,
                     const char *s);

/* Pushes the bytes of that message. */
void lbx_push_encoded(lua_State *L, int idx,
                      const ProtobufCMessageDescriptor *d);

/* "GetVmRequest" or "MachineSpec" to its descriptor; NULL when the contract
   has no such message. Walks the contract: not for every call. */
const ProtobufCMessageDescriptor *lbx_message(const char *short_name);

/* encode(name, table) -> bytes; decode(name, bytes) -> table. Bytes that are
   no such message: InternalError. */
int lbx_codec_encode(lua_State *L);
int lbx_codec_decode(lua_State *L);

#endif
