/*
** json: is a text JSON, and can cJSON and Lua hold it unaltered? cJSON alone
** takes more than JSON and rounds or cuts values that it cannot hold. Pure;
** nothing is kept.
*/
#ifndef BX_JSON_H
#define BX_JSON_H

#include <stddef.h>

#include "error.h"

#define BX_JSON_DEPTH 512            /* of nested arrays and objects */
#define BX_JSON_EXACT (1LL << 53)    /* integers beyond it lose digits */

/* Refuses with line and column: text that is not JSON (RFC 8259, no byte order
   mark), bytes that are not UTF-8, NUL in text, integers beyond 2^53, more than
   BX_JSON_DEPTH levels. len bytes, which may hold anything. */
bx_class bx_json_check(const char *s, size_t len, bx_error *e);

#endif
