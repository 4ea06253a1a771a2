/*
** message: between protobuf-c's messages and gRPC's byte buffers.
*/
#ifndef LBX_MESSAGE_H
#define LBX_MESSAGE_H

#include <grpc/grpc.h>
#include <protobuf-c/protobuf-c.h>

/* The message's wire form; NULL when it is longer than BX_MESSAGE_BYTES_MAX.
** The caller owns it, or gives it to a call. */
grpc_byte_buffer *lbx_pack(const ProtobufCMessage *m);

/* NULL: the bytes are no such message, or memory is out. The caller frees it
** with the same allocator (NULL: malloc). */
ProtobufCMessage *lbx_unpack(const ProtobufCMessageDescriptor *d,
                             ProtobufCAllocator *allocator,
                             grpc_byte_buffer *buffer);

#endif
