/*
** wire: protobuf's wire format: read in place, one field at a time, and written
** to a buffer. Nothing is owned or kept: the caller's bytes outlive what points
** into them.
*/
#ifndef BX_WIRE_H
#define BX_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "buf.h"

#define BX_WIRE_VARINT 0
#define BX_WIRE_FIXED64 1
#define BX_WIRE_BYTES 2
#define BX_WIRE_FIXED32 5

#define BX_WIRE_KEY_MAX 5 /* bytes of a field's number and type */

typedef struct bx_reader {
  const uint8_t *p, *end;
} bx_reader;

/* n: a number's bits, or how many bytes there are from s on. */
typedef struct bx_field {
  uint32_t id;
  unsigned type; /* BX_WIRE_* */
  uint64_t n;
  const uint8_t *s;
} bx_field;

typedef struct bx_bytes {
  const uint8_t *data;
  size_t len;
} bx_bytes;

static inline bx_reader bx_reader_of(bx_bytes message) {
  return (bx_reader){message.data, message.data + message.len};
}

bool bx_read_long_varint(bx_reader *r, uint64_t *n);

/* False: cut short, or longer than a varint can be. Most are one byte. */
static inline bool bx_read_varint(bx_reader *r, uint64_t *n) {
  if (r->p == r->end || *r->p > 127) return bx_read_long_varint(r, n);
  *n = *r->p++;
  return true;
}

/* Fixed numbers are little-endian, on the wire and on what we run on. */
static inline bool bx_read_fixed(bx_reader *r, size_t len, uint64_t *n) {
  *n = 0;
  if ((size_t)(r->end - r->p) < len) return false;
  memcpy(n, r->p, len);
  r->p += len;
  return true;
}

/* A field's number and type, which its value follows. */
static inline bool bx_read_key(bx_reader *r, bx_field *f) {
  uint64_t key;
  const uint8_t *start = r->p;
  if (!bx_read_varint(r, &key) || key >> 32 || r->p - start > BX_WIRE_KEY_MAX)
    return false;
  f->id = (uint32_t)(key >> 3);
  f->type = key & 7;
  return f->id != 0; /* no field has that number */
}

static inline bool bx_read_value(bx_reader *r, bx_field *f) {
  f->s = NULL;
  switch (f->type) {
    case BX_WIRE_VARINT: return bx_read_varint(r, &f->n);
    case BX_WIRE_FIXED64: return bx_read_fixed(r, 8, &f->n);
    case BX_WIRE_FIXED32: return bx_read_fixed(r, 4, &f->n);
    case BX_WIRE_BYTES: break;
    default: return false;
  }
  if (!bx_read_varint(r, &f->n) || f->n > (size_t)(r->end - r->p))
    return false;
  f->s = r->p;
  r->p += f->n;
  return true;
}

/* The next field. False: malformed; at the end r->p == r->end, so ask first. */
static inline bool bx_read_field(bx_reader *r, bx_field *f) {
  return bx_read_key(r, f) && bx_read_value(r, f);
}

/* In place of bx_read_value, where the value is of no use. */
static inline bool bx_skip_value(bx_reader *r, bx_field *f) {
  if (f->type != BX_WIRE_VARINT) return bx_read_value(r, f);
  while (r->p < r->end)
    if (*r->p++ < 128) return true;
  return false;
}

/* The next field that holds bytes; the others are skipped. False at the end,
** and where the message is malformed. */
static inline bool bx_read_bytes(bx_reader *r, uint32_t *id, bx_bytes *bytes) {
  bx_field f;
  while (r->p < r->end && bx_read_field(r, &f)) {
    if (f.type != BX_WIRE_BYTES) continue;
    *id = f.id;
    *bytes = (bx_bytes){f.s, (size_t)f.n};
    return true;
  }
  return false;
}

/* Append a field. False when memory is out. */
bool bx_wire_add_varint(bx_buf *b, uint32_t id, uint64_t value);
bool bx_wire_add_bytes(bx_buf *b, uint32_t id, bx_bytes bytes);

static inline bool bx_bytes_equal(bx_bytes a, bx_bytes b) {
  return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

#endif
