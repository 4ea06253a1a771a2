#include "message.h"

#include <grpc/byte_buffer.h>
#include <string.h>

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

void lbx_copy(const grpc_byte_buffer *buffer, uint8_t *to) {
  const grpc_slice_buffer *sb = &buffer->data.raw.slice_buffer;
  for (size_t i = 0; i < sb->count; i++) {
    memcpy(to, GRPC_SLICE_START_PTR(sb->slices[i]),
           GRPC_SLICE_LENGTH(sb->slices[i]));
    to += GRPC_SLICE_LENGTH(sb->slices[i]);
  }
}

grpc_byte_buffer *lbx_join(const grpc_byte_buffer *buffer) {
  grpc_slice slice = grpc_slice_malloc(
      buffer->data.raw.slice_buffer.length);
  lbx_copy(buffer, GRPC_SLICE_START_PTR(slice));
  grpc_byte_buffer *whole = grpc_raw_byte_buffer_create(&slice, 1);
  grpc_slice_unref(slice);
  return whole;
}
