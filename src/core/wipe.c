#include "wipe.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

void *bx_wipe_malloc(size_t len) { return malloc(len); }

void *bx_wipe_calloc(size_t n, size_t len) { return calloc(n, len); }

char *bx_wipe_strdup(const char *s) { return strdup(s); }

void bx_wipe_free(void *p) {
  if (p) explicit_bzero(p, malloc_usable_size(p));
  free(p);
}

/* Always elsewhere: realloc would leave the old copy. */
void *bx_wipe_realloc(void *p, size_t len) {
  void *to = malloc(len);
  if (!to || !p) return to;
  size_t old = malloc_usable_size(p);
  memcpy(to, p, old < len ? old : len);
  bx_wipe_free(p);
  return to;
}
