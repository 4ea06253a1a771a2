#include "wire.h"

#include <string.h>

bx_wire bx_wire_of(bx_wire_bytes message) {
  return (bx_wire){.at = message.data, .end = message.data + message.len};
}

static bool read_varint(bx_wire *w, uint64_t *out) {
  *out = 0;
  for (unsigned shift = 0; shift < 64 && w->at < w->end; shift += 7) {
    unsigned char byte = *w->at++;
    *out |= (uint64_t)(byte & 0x7f) << shift;
    if (byte < 0x80) return true;
  }
  w->bad = true;
  return false;
}

static bool take(bx_wire *w, uint64_t n, bx_wire_bytes *out) {
  if (n > (uint64_t)(w->end - w->at)) {
    w->bad = true;
    return false;
  }
  *out = (bx_wire_bytes){w->at, (size_t)n};
  w->at += n;
  return true;
}

bool bx_wire_next(bx_wire *w, bx_wire_field *f) {
  uint64_t key;
  if (w->bad || w->at == w->end || !read_varint(w, &key)) return false;
  *f = (bx_wire_field){.number = (uint32_t)(key >> 3),
                       .type = (unsigned)(key & 7)};
  uint64_t n = 0;
  switch (f->type) {
    case 0: return read_varint(w, &f->value);
    case 1: return take(w, 8, &f->bytes);
    case 2: return read_varint(w, &n) && take(w, n, &f->bytes);
    case 5: return take(w, 4, &f->bytes);
    default: w->bad = true; return false;
  }
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

bool bx_wire_add_varint(bx_buf *b, uint32_t number, uint64_t value) {
  return add_raw(b, (uint64_t)number << 3) && add_raw(b, value);
}

bool bx_wire_add_bytes(bx_buf *b, uint32_t number, bx_wire_bytes bytes) {
  return add_raw(b, (uint64_t)number << 3 | 2) && add_raw(b, bytes.len) &&
         bx_buf_add(b, bytes.data, bytes.len);
}

bool bx_wire_equal(bx_wire_bytes a, bx_wire_bytes b) {
  return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}
