/*
** wire: protobuf's wire form, read in place and written to a buffer: as much
** of it as reflection needs. Pure functions; nothing is owned.
*/
#ifndef BX_WIRE_H
#define BX_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../core/buf.h"

typedef struct bx_wire_bytes {
  const unsigned char *data;
  size_t len;
} bx_wire_bytes;

/* Where a message is being read. */
typedef struct bx_wire {
  const unsigned char *at, *end;
  bool bad; /* the bytes are no message */
} bx_wire;

typedef struct bx_wire_field {
  uint32_t number;
  unsigned type;       /* 0 varint, 1 fixed64, 2 bytes, 5 fixed32 */
  uint64_t value;      /* of a varint */
  bx_wire_bytes bytes; /* of type 2 */
} bx_wire_field;

bx_wire bx_wire_of(bx_wire_bytes message);

/* The next field; false at the end, or when the bytes are bad. */
bool bx_wire_next(bx_wire *w, bx_wire_field *f);

/* False when memory is out. */
bool bx_wire_add_varint(bx_buf *b, uint32_t number, uint64_t value);
bool bx_wire_add_bytes(bx_buf *b, uint32_t number, bx_wire_bytes bytes);

bool bx_wire_equal(bx_wire_bytes a, bx_wire_bytes b);

#endif
