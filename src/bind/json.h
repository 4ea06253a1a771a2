/*
** json: boxd.json, on cJSON. A tree of cJSON belongs to a userdata from the
** moment it exists; Lua may throw at any time.
**
**   decode(text) -> value. Objects and arrays are tables, arrays marked as
**     array{} marks them; null is json.null; numbers with an integral value
**     up to 2^53 are integers. Of a key that comes twice the last counts.
**   encode(value) -> text, without spaces, keys in their order. A table with
**     the keys 1 to n is an array, also where it has that n as table.pack gives
**     it; one with string keys is an object; an empty one is {} unless array{}
**     marked it. Tables are read raw.
**   array(table) -> the table, marked as an array by its metatable.
**
** What JSON or a Lua value cannot hold exactly is an InvalidArgumentError:
** integers beyond 2^53, NaN and infinity, NUL and bad UTF-8 in text, tables
** that are mixed, have holes or contain themselves, other types, more than
** BX_JSON_DEPTH levels.
*/
#ifndef LBX_JSON_H
#define LBX_JSON_H

#include <cjson/cJSON.h>
#include <lua.h>

#define LBX_JSON_ARRAY "boxd.json.Array" /* metatable of marked arrays */

/* Owns a tree and its printed text; its __gc frees both. */
typedef struct lbx_json {
  cJSON *tree;
  char *text; /* from cJSON_Print */
} lbx_json;

/* Pushes the userdata, empty. */
lbx_json *lbx_json_new(lua_State *L);

/* Frees its memory; idempotent. */
void lbx_json_release(lbx_json *j);

/* Is the value at idx json.null? */
int lbx_json_is_null(lua_State *L, int idx);

/* json.encode */
int lbx_json_encode(lua_State *L);

/* Pushes the module table. */
int lbx_open_json(lua_State *L);

#endif
