/*
** buf: a growing run of bytes. Zeroed is empty; the owner frees it.
*/
#ifndef BX_BUF_H
#define BX_BUF_H

#include <stdbool.h>
#include <stddef.h>

typedef struct bx_buf {
  char *data;
  size_t len, cap;
} bx_buf;

/* False when memory is out; the buffer is then as it was. */
bool bx_buf_reserve(bx_buf *b, size_t more);
bool bx_buf_add(bx_buf *b, const void *data, size_t len);
bool bx_buf_adds(bx_buf *b, const char *s);
/* Puts a NUL behind the data (not counted in len). */
bool bx_buf_terminate(bx_buf *b);
void bx_buf_free(bx_buf *b);

#endif
