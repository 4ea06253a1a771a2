/*
** path: where in a tree of Lua tables an error is: "config.proxies[2].name".
** A step lives on the C stack of the function that descends and points at the
** one above it; nothing is built unless there is an error.
*/
#ifndef LBX_PATH_H
#define LBX_PATH_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct lbx_path {
  const struct lbx_path *up; /* NULL at the root */
  const char *name;          /* a field, or a map's key; NULL: an index */
  lua_Integer index;         /* of a sequence, from 1 */
  int depth;                 /* 0 at the root */
  const void *table;         /* lua_topointer of the table here, or NULL */
  bool told;                 /* the root: "create: " before the others */
} lbx_path;

/* The root. Its name is shown only when the error is at the root itself. */
#define LBX_PATH_ROOT(what) ((lbx_path){.name = (what)})

#define LBX_PATH_OF(what) ((lbx_path){.name = (what), .told = true})

/* The step below up, by name or by index. */
#define LBX_PATH_NAME(above, what) \
  ((lbx_path){.up = (above), .name = (what), .depth = (above)->depth + 1})
#define LBX_PATH_INDEX(above, i) \
  ((lbx_path){.up = (above), .index = (i), .depth = (above)->depth + 1})

/* Raises an InvalidArgumentError "PATH: message". */
_Noreturn int lbx_path_error(lua_State *L, const lbx_path *at,
                             const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Raises one where the bytes are not UTF-8, or have a NUL; what: for the
** message, "text". */
void lbx_path_check_text(lua_State *L, const lbx_path *at, const char *s,
                         size_t len, const char *what);

/* Pushes the path as messages have it. */
const char *lbx_path_push(lua_State *L, const lbx_path *at);

/* The length of the list on the top of the stack, read raw. Anything but a
   table with the keys 1 to n, and `n` itself if it says so, is an
   InvalidArgumentError at the path. */
size_t lbx_path_list(lua_State *L, const lbx_path *at);

#endif
