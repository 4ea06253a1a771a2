/* embedded: the Lua files that boxd.so has inside (made by the build). */
#ifndef LBX_EMBEDDED_H
#define LBX_EMBEDDED_H

#include <stddef.h>

typedef struct lbx_file {
  const char *name, *chunk, *code;
  size_t size;
} lbx_file;

extern const lbx_file lbx_files[];
extern const size_t lbx_file_count;

#endif
