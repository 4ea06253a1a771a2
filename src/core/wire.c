#include "wire.h"

bool bx_read_long_varint(bx_reader *r, uint64_t *n) {
  *n = 0;
  for (unsigned shift = 0; r->p < r->end && shift < 70; shift += 7) {
    uint8_t byte = *r->p++;
    *n |= (uint64_t)(byte & 127) << shift;
    if (byte < 128) return true;
  }
  return false;
}

static bool add_raw(bx_buf *b, uint64_t value) {
  unsigned char out[10];
  size_t n = 0;
  do {
    out[n] = value & 0x7f;
    value >>= 7;
    if (value) out[n] |= 0x80;
    n++;
  } while (value);
  return bx_buf_add(b, out, n);
}

bool bx_wire_add_varint(bx_buf *b, uint32_t id, uint64_t value) {
  return add_raw(b, (uint64_t)id << 3) && add_raw(b, value);
}

bool bx_wire_add_bytes(bx_buf *b, uint32_t id, bx_bytes bytes) {
  return add_raw(b, (uint64_t)id << 3 | BX_WIRE_BYTES) &&
         add_raw(b, bytes.len) && bx_buf_add(b, bytes.data, bytes.len);
}
