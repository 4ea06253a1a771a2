#include "message.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>

#include "../core/channel.h"

grpc_byte_buffer *lbx_pack(const ProtobufCMessage *m) {
  size_t size = protobuf_c_message_get_packed_size(m);
  if (size > BX_MESSAGE_BYTES_MAX) return NULL;
  grpc_slice slice = grpc_slice_malloc(size);
  protobuf_c_message_pack(m, GRPC_SLICE_START_PTR(slice));
  grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
  grpc_slice_unref(slice);
  return buffer;
}

static ProtobufCMessage *unpack(const ProtobufCMessageDescriptor *d,
                                ProtobufCAllocator *allocator,
                                grpc_slice slice) {
  return protobuf_c_message_unpack(d, allocator, GRPC_SLICE_LENGTH(slice),
                                   GRPC_SLICE_START_PTR(slice));
}

ProtobufCMessage *lbx_unpack(const ProtobufCMessageDescriptor *d,
                             ProtobufCAllocator *allocator,
                             grpc_byte_buffer *buffer) {
  if (buffer->type == GRPC_BB_RAW &&
      buffer->data.raw.compression == GRPC_COMPRESS_NONE &&
      buffer->data.raw.slice_buffer.count == 1)
    return unpack(d, allocator, buffer->data.raw.slice_buffer.slices[0]);
  grpc_byte_buffer_reader reader;
  if (!grpc_byte_buffer_reader_init(&reader, buffer)) return NULL;
  grpc_slice whole = grpc_byte_buffer_reader_readall(&reader);
  ProtobufCMessage *m = unpack(d, allocator, whole);
  grpc_slice_unref(whole);
  grpc_byte_buffer_reader_destroy(&reader);
  return m;
}
