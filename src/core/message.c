#include "message.h"

#include <grpc/byte_buffer.h>
#include <stdlib.h>
#include <string.h>

#include "channel.h"
#include "text.h"
#include "wire.h"

typedef ProtobufCMessageDescriptor Message;
typedef ProtobufCFieldDescriptor Field;

/* The contract nests 4 deep; this guards the C stack. */
#define DEPTH_MAX 100

#define MEMBER(type, m, offset) (*(type *)((char *)(m) + (offset)))

/* ---- to the wire ---- */

grpc_byte_buffer *bx_message_pack(const ProtobufCMessage *m) {
  size_t size = protobuf_c_message_get_packed_size(m);
  if (size > BX_MESSAGE_BYTES_MAX) return NULL;
  grpc_slice slice = grpc_slice_malloc(size);
  protobuf_c_message_pack(m, GRPC_SLICE_START_PTR(slice));
  grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
  grpc_slice_unref(slice);
  return buffer;
}

static bx_class check_message(const ProtobufCMessage *m, bx_error *e);

/* One value of f at `at`; an unset one is fine. */
static bx_class check_value(const ProtobufCMessage *m, const Field *f,
                            const void *at, bx_error *e) {
  const char *s = *(const char *const *)at;
  if (!s) return BX_OK;
  if (f->type == PROTOBUF_C_TYPE_MESSAGE)
    return check_message((const ProtobufCMessage *)(const void *)s, e);
  if (bx_text_utf8(s, strlen(s))) return BX_OK;
  return bx_error_set(e, BX_INVALID_ARGUMENT,
                      "%s.%s: not UTF-8; text must be UTF-8",
                      m->descriptor->short_name, f->name);
}

static bool is_unset_member(const ProtobufCMessage *m, const Field *f) {
  return (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
         MEMBER(uint32_t, m, f->quantifier_offset) != f->id;
}

static bx_class check_field(const ProtobufCMessage *m, const Field *f,
                            bx_error *e) {
  if (f->type != PROTOBUF_C_TYPE_STRING && f->type != PROTOBUF_C_TYPE_MESSAGE)
    return BX_OK;
  if (is_unset_member(m, f)) return BX_OK;
  if (f->label != PROTOBUF_C_LABEL_REPEATED)
    return check_value(m, f, (const char *)m + f->offset, e);
  void *const *values = MEMBER(void **, m, f->offset);
  size_t n = MEMBER(size_t, m, f->quantifier_offset);
  bx_class c = BX_OK;
  for (size_t i = 0; i < n && !c; i++) c = check_value(m, f, &values[i], e);
  return c;
}

static bx_class check_message(const ProtobufCMessage *m, bx_error *e) {
  bx_class c = BX_OK;
  for (unsigned i = 0; i < m->descriptor->n_fields && !c; i++)
    c = check_field(m, &m->descriptor->fields[i], e);
  return c;
}

grpc_byte_buffer *bx_message_pack_checked(const ProtobufCMessage *m,
                                          bx_error *e) {
  if (check_message(m, e)) return NULL;
  grpc_byte_buffer *buffer = bx_message_pack(m);
  if (!buffer)
    bx_error_set(e, BX_INVALID_ARGUMENT,
                 "%s is longer than 64 MiB; send large data as a stream",
                 m->descriptor->short_name);
  return buffer;
}

/* ---- from the wire ---- */

/* Maps are repeated messages XxxEntry inside the message that has the field
   xxx; nothing else in the contract has a name of that form. */
bool bx_message_is_map(const Message *d, const Field *f) {
  const Message *entry = f->descriptor;
  size_t n = strlen(d->name);
  return f->label == PROTOBUF_C_LABEL_REPEATED &&
         f->type == PROTOBUF_C_TYPE_MESSAGE && entry->n_fields == 2 &&
         strncmp(entry->name, d->name, n) == 0 && entry->name[n] == '.' &&
         strcmp(entry->fields[0].name, "key") == 0 &&
         strcmp(entry->fields[1].name, "value") == 0;
}

unsigned bx_message_wire_type(const Field *f) {
  switch (f->type) {
    case PROTOBUF_C_TYPE_SFIXED32: case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT: return BX_WIRE_FIXED32;
    case PROTOBUF_C_TYPE_SFIXED64: case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE: return BX_WIRE_FIXED64;
    case PROTOBUF_C_TYPE_STRING: case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE: return BX_WIRE_BYTES;
    default: return BX_WIRE_VARINT;
  }
}

static bool valid(const Message *d, bx_reader r, unsigned depth);

static bool valid_packed(unsigned type, const bx_field *w) {
  bx_reader r = {w->s, w->s + w->n};
  uint64_t n;
  if (type == BX_WIRE_FIXED32) return w->n % 4 == 0;
  if (type == BX_WIRE_FIXED64) return w->n % 8 == 0;
  while (r.p < r.end)
    if (!bx_read_varint(&r, &n)) return false;
  return true;
}

static bool valid_value(const Field *f, const bx_field *w, unsigned depth) {
  unsigned type = bx_message_wire_type(f);
  if (w->type != type)
    return f->label == PROTOBUF_C_LABEL_REPEATED && w->type == BX_WIRE_BYTES &&
           valid_packed(type, w);
  if (f->type != PROTOBUF_C_TYPE_MESSAGE) return true;
  return valid(f->descriptor, (bx_reader){w->s, w->s + w->n}, depth + 1);
}

/* The field of that number, mostly the one after the last. NULL: unknown. */
static const Field *find(const Message *d, uint32_t id, size_t after) {
  if (after < d->n_fields && d->fields[after].id == id)
    return &d->fields[after];
  return protobuf_c_message_descriptor_get_field(d, id);
}

static bool valid(const Message *d, bx_reader r, unsigned depth) {
  bx_field w;
  size_t next = 0;
  if (depth > DEPTH_MAX) return false;
  while (r.p < r.end) {
    if (!bx_read_field(&r, &w)) return false;
    const Field *f = find(d, w.id, next);
    if (!f) continue;
    next = (size_t)(f - d->fields) + 1;
    if (!valid_value(f, &w, depth)) return false;
  }
  return true;
}

bool bx_message_valid(const Message *d, const uint8_t *bytes, size_t len) {
  return valid(d, (bx_reader){bytes, bytes + len}, 0);
}

/* protobuf-c's allocator with a bound; it frees nothing to allocate more. */
static void *allocate(void *left, size_t size) {
  size_t *bytes = left;
  if (size > *bytes) return NULL;
  *bytes -= size;
  return malloc(size);
}

static void release(void *left, void *p) {
  (void)left;
  free(p);
}

static ProtobufCMessage *unpack(const Message *d, const grpc_slice *whole) {
  size_t left = BX_MESSAGE_MEMORY_MAX, len = GRPC_SLICE_LENGTH(*whole);
  ProtobufCAllocator bounded = {allocate, release, &left};
  const uint8_t *bytes = GRPC_SLICE_START_PTR(*whole);
  if (!bx_message_valid(d, bytes, len)) return NULL;
  return protobuf_c_message_unpack(d, &bounded, len, bytes);
}

ProtobufCMessage *bx_message_unpack(const Message *d,
                                    const grpc_byte_buffer *buffer,
                                    bx_error *e) {
  grpc_byte_buffer *whole = bx_message_join(buffer);
  ProtobufCMessage *m = unpack(d, &whole->data.raw.slice_buffer.slices[0]);
  grpc_byte_buffer_destroy(whole);
  if (!m)
    bx_error_set(e, BX_INTERNAL,
                 "the server's message is not a valid %s, or too large",
                 d->short_name);
  return m;
}

void bx_message_copy(const grpc_byte_buffer *buffer, uint8_t *to) {
  const grpc_slice_buffer *sb = &buffer->data.raw.slice_buffer;
  for (size_t i = 0; i < sb->count; i++) {
    memcpy(to, GRPC_SLICE_START_PTR(sb->slices[i]),
           GRPC_SLICE_LENGTH(sb->slices[i]));
    to += GRPC_SLICE_LENGTH(sb->slices[i]);
  }
}

grpc_byte_buffer *bx_message_join(const grpc_byte_buffer *buffer) {
  grpc_slice slice = grpc_slice_malloc(
      buffer->data.raw.slice_buffer.length);
  bx_message_copy(buffer, GRPC_SLICE_START_PTR(slice));
  grpc_byte_buffer *whole = grpc_raw_byte_buffer_create(&slice, 1);
  grpc_slice_unref(slice);
  return whole;
}
