/*
** wire: as much of protobuf as the bench needs, and a message as gRPC's byte
** buffer. Buffers that are returned are the caller's; slices that are given
** stay the caller's.
*/
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct wire {
  uint8_t *p;
} wire;

static inline void put_varint(wire *w, uint64_t n) {
  for (; n > 127; n >>= 7) *w->p++ = (uint8_t)(n | 128);
  *w->p++ = (uint8_t)n;
}

static inline void put_number(wire *w, unsigned field, uint64_t n) {
  put_varint(w, field << 3);
  put_varint(w, n);
}

/* Only the head: the bytes follow. */
static inline void put_head(wire *w, unsigned field, size_t len) {
  put_varint(w, field << 3 | 2);
  put_varint(w, len);
}

static inline void put_bytes(wire *w, unsigned field, const void *s,
                             size_t len) {
  put_head(w, field, len);
  memcpy(w->p, s, len);
  w->p += len;
}

static inline void put_text(wire *w, unsigned field, const char *s) {
  put_bytes(w, field, s, strlen(s));
}

typedef struct field {
  unsigned id;
  uint64_t n;       /* a number's value, or the length of bytes */
  const uint8_t *s; /* NULL: a number */
} field;

static inline uint64_t get_varint(const uint8_t **p, const uint8_t *end) {
  uint64_t n = 0;
  for (unsigned shift = 0; *p < end && shift < 64; shift += 7) {
    uint8_t byte = *(*p)++;
    n |= (uint64_t)(byte & 127) << shift;
    if (byte < 128) break;
  }
  return n;
}

/* The next field of [*p, end); false at the end. */
static inline bool get_field(const uint8_t **p, const uint8_t *end, field *f) {
  if (*p >= end) return false;
  uint64_t key = get_varint(p, end);
  f->id = (unsigned)(key >> 3);
  f->n = get_varint(p, end);
  f->s = NULL;
  if ((key & 7) == 0) return true;
  if ((key & 7) != 2 || f->n > (uint64_t)(end - *p)) abort();
  f->s = *p;
  *p += f->n;
  return true;
}

/* Takes the slice. */
static inline grpc_byte_buffer *to_buffer(grpc_slice s) {
  grpc_byte_buffer *b = grpc_raw_byte_buffer_create(&s, 1);
  grpc_slice_unref(s);
  return b;
}

/* A message of `number` in one field and `len` bytes in another (0: neither);
** data NULL: any bytes. */
static inline grpc_byte_buffer *message(unsigned bytes_field, const void *data,
                                        size_t len, unsigned number_field,
                                        uint64_t number) {
  grpc_slice s = grpc_slice_malloc(len + 32);
  wire w = {GRPC_SLICE_START_PTR(s)};
  if (number_field) put_number(&w, number_field, number);
  if (bytes_field) put_head(&w, bytes_field, len);
  if (data)
    memcpy(w.p, data, len);
  else
    memset(w.p, 'x', len);
  w.p += len;
  size_t used = (size_t)(w.p - GRPC_SLICE_START_PTR(s));
  grpc_byte_buffer *b = to_buffer(grpc_slice_sub(s, 0, used));
  grpc_slice_unref(s);
  return b;
}

#endif
