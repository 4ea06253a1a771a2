/*
** message: protobuf-c's messages and gRPC's byte buffers, either way, within
** this project's limits. A byte buffer here is raw and not compressed: gRPC
** hands out no others.
*/
#ifndef BX_MESSAGE_H
#define BX_MESSAGE_H

#include <grpc/grpc.h>
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

#include "error.h"

/* Bytes of memory that a received message may unfold into: two bytes on the
** wire make a whole struct. */
#define BX_MESSAGE_MEMORY_MAX ((size_t)512 << 20)

/* The message's wire form, which the caller owns or gives to a call; its text
** must be UTF-8. NULL: it is longer than BX_MESSAGE_BYTES_MAX. */
grpc_byte_buffer *bx_message_pack(const ProtobufCMessage *m);

/* The same after a look at its text. NULL and e filled: BX_INVALID_ARGUMENT,
** naming the field that is not UTF-8, or the size. */
grpc_byte_buffer *bx_message_pack_checked(const ProtobufCMessage *m,
                                          bx_error *e);

/* Are the bytes such a message, to its depths? Allocates nothing. Unknown
** fields are allowed, as protobuf has it. */
bool bx_message_valid(const ProtobufCMessageDescriptor *d, const uint8_t *bytes,
                      size_t len);

/* The message in the buffer, which stays the caller's. The caller frees the
** message with protobuf_c_message_free_unpacked(m, NULL). NULL and e filled:
** BX_INTERNAL, it is not such a message or unfolds into more than
** BX_MESSAGE_MEMORY_MAX. */
ProtobufCMessage *bx_message_unpack(const ProtobufCMessageDescriptor *d,
                                    const grpc_byte_buffer *buffer,
                                    bx_error *e);

/* Is the repeated field f of d a map? */
bool bx_message_is_map(const ProtobufCMessageDescriptor *d,
                       const ProtobufCFieldDescriptor *f);

/* The wire type (BX_WIRE_*) that values of a field have. */
unsigned bx_message_wire_type(const ProtobufCFieldDescriptor *f);

/* Copies the whole message; there is room for grpc_byte_buffer_length. */
void bx_message_copy(const grpc_byte_buffer *buffer, uint8_t *to);

/* The same message in one slice; the caller owns both. */
grpc_byte_buffer *bx_message_join(const grpc_byte_buffer *buffer);

#endif
