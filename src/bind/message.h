/*
** message: between protobuf-c's messages and gRPC's byte buffers.
*/
#ifndef LBX_MESSAGE_H
#define LBX_MESSAGE_H

#include <grpc/grpc.h>
#include <protobuf-c/protobuf-c.h>
#include <stdint.h>

/* The message's wire form; NULL when it is longer than BX_MESSAGE_BYTES_MAX.
** The caller owns it, or gives it to a call. */
grpc_byte_buffer *lbx_pack(const ProtobufCMessage *m);

/* Copies the whole message; there is room for grpc_byte_buffer_length. It is
** raw and not compressed: gRPC hands out no others. */
void lbx_copy(const grpc_byte_buffer *buffer, uint8_t *to);

/* The same message in one slice; the caller owns both. */
grpc_byte_buffer *lbx_join(const grpc_byte_buffer *buffer);

#endif
