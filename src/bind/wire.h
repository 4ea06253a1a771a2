/*
** wire: protobuf's wire format, one field at a time, read in place. Whoever
** gave the bytes owns them.
*/
#ifndef LBX_WIRE_H
#define LBX_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LBX_WIRE_VARINT 0
#define LBX_WIRE_FIXED64 1
#define LBX_WIRE_BYTES 2
#define LBX_WIRE_FIXED32 5

#define LBX_WIRE_KEY_MAX 5 /* bytes of a field's number and type */

typedef struct lbx_reader {
  const uint8_t *p, *end;
} lbx_reader;

/* n: a number's bits, or how many bytes there are from s on. */
typedef struct lbx_field {
  uint32_t id;
  unsigned type; /* LBX_WIRE_* */
  uint64_t n;
  const uint8_t *s;
} lbx_field;

/* False: cut short, or longer than any is. */
static inline bool lbx_read_varint(lbx_reader *r, uint64_t *n) {
  *n = 0;
  for (unsigned shift = 0; r->p < r->end && shift < 70; shift += 7) {
    uint8_t byte = *r->p++;
    *n |= (uint64_t)(byte & 127) << shift;
    if (byte < 128) return true;
  }
  return false;
}

/* Fixed numbers are little-endian, on the wire and on what we run on. */
static inline bool lbx_read_fixed(lbx_reader *r, size_t len, uint64_t *n) {
  *n = 0;
  if ((size_t)(r->end - r->p) < len) return false;
  memcpy(n, r->p, len);
  r->p += len;
  return true;
}

/* The next field. False: malformed; at the end r->p == r->end, so ask first. */
static inline bool lbx_read_field(lbx_reader *r, lbx_field *f) {
  uint64_t key;
  const uint8_t *start = r->p;
  if (!lbx_read_varint(r, &key) || key >> 32 ||
      r->p - start > LBX_WIRE_KEY_MAX)
    return false;
  f->id = (uint32_t)(key >> 3);
  f->type = key & 7;
  f->s = NULL;
  if (f->id == 0) return false; /* no field has that number */
  switch (f->type) {
    case LBX_WIRE_VARINT: return lbx_read_varint(r, &f->n);
    case LBX_WIRE_FIXED64: return lbx_read_fixed(r, 8, &f->n);
    case LBX_WIRE_FIXED32: return lbx_read_fixed(r, 4, &f->n);
    case LBX_WIRE_BYTES: break;
    default: return false;
  }
  if (!lbx_read_varint(r, &f->n) || f->n > (size_t)(r->end - r->p))
    return false;
  f->s = r->p;
  r->p += f->n;
  return true;
}

#endif
