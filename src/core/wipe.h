/*
** wipe: memory that is cleared as it is freed, for a library that keeps copies
** of keys and tokens in buffers of its own. It is malloc's memory: whoever
** frees it by free instead loses no more than the clearing.
*/
#ifndef BX_WIPE_H
#define BX_WIPE_H

#include <stddef.h>

/* As the functions of the C library without the prefix. */
void *bx_wipe_malloc(size_t len);
void *bx_wipe_calloc(size_t n, size_t len);
void *bx_wipe_realloc(void *p, size_t len);
char *bx_wipe_strdup(const char *s);
void bx_wipe_free(void *p);

#endif
