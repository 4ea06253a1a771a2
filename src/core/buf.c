#include "buf.h"

#include <stdlib.h>
#include <string.h>

bool bx_buf_reserve(bx_buf *b, size_t more) {
  if (more > (size_t)-1 / 2 - b->len) return false;
  size_t need = b->len + more;
  if (need <= b->cap) return true;
  size_t cap = b->cap ? b->cap : 64;
  while (cap < need) cap *= 2;
  char *data = realloc(b->data, cap);
  if (!data) return false;
  b->data = data;
  b->cap = cap;
  return true;
}

bool bx_buf_add(bx_buf *b, const void *data, size_t len) {
  if (!bx_buf_reserve(b, len)) return false;
  if (len) memcpy(b->data + b->len, data, len);
  b->len += len;
  return true;
}

bool bx_buf_adds(bx_buf *b, const char *s) {
  return bx_buf_add(b, s, strlen(s));
}

bool bx_buf_terminate(bx_buf *b) {
  if (!bx_buf_reserve(b, 1)) return false;
  b->data[b->len] = '\0';
  return true;
}

void bx_buf_free(bx_buf *b) {
  free(b->data);
  *b = (bx_buf){0};
}
