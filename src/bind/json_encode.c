/*
** The tree has copies of all texts: reading a record may run the collector, whose
** finalizers may empty the tables that hold them.
*/
#include <lauxlib.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/json.h"
#include "arena.h"
#include "json.h"
#include "path.h"
#include "record.h"
#include "type.h"

typedef struct encoder {
  lua_State *L;
  lbx_json *out;
  lbx_arena *a; /* for lists of members */
} encoder;

/* Where a new item goes: the root (parent NULL), an array (key NULL) or an
   object. The key is on the Lua stack meanwhile. */
typedef struct place {
  cJSON *parent;
  const char *key;
} place;

static void encode_value(encoder *c, place to, lbx_path *at);

/* Takes the item over, before Lua can throw. */
static cJSON *attach(encoder *c, place to, cJSON *item, const lbx_path *at) {
  bool ok = item != NULL;
  if (!to.parent)
    c->out->tree = item;
  else if (ok && to.key)
    ok = cJSON_AddItemToObject(to.parent, to.key, item);
  else if (ok)
    ok = cJSON_AddItemToArray(to.parent, item);
  if (!ok) {
    if (to.parent) cJSON_Delete(item);
    lbx_path_error(c->L, at, "memory ran out");
  }
  return item;
}

/* The shortest digits that read back as n, with a '.' in every locale. cJSON
   would print some numbers above 2^49 inexactly. */
static void format_float(char out[64], double n) {
  const char *point = localeconv()->decimal_point;
  for (int digits = 15; digits <= 17; digits++) {
    snprintf(out, 32, "%.*g", digits, n);
    if (strtod(out, NULL) == n) break;
  }
  char *p = strstr(out, point);
  if (p) {
    *p = '.';
    memmove(p + 1, p + strlen(point), strlen(p + strlen(point)) + 1);
  }
  /* It must not read back as an integer that it is not. */
  bool integer = !strpbrk(out, ".e");
  if (integer && (fabs(n) > (double)BX_JSON_EXACT || (n == 0 && signbit(n))))
    strcat(out, ".0");
}

static cJSON *make_number(encoder *c, const lbx_path *at) {
  char text[64];
  if (lua_isinteger(c->L, -1)) {
    lua_Integer n = lua_tointeger(c->L, -1);
    if (n > BX_JSON_EXACT || n < -BX_JSON_EXACT)
      lbx_path_error(c->L, at, "%lld is beyond 2^53, where JSON numbers lose "
                     "digits: send it as a string", (long long)n);
    snprintf(text, sizeof text, "%lld", (long long)n);
  } else {
    double n = lua_tonumber(c->L, -1);
    if (!isfinite(n))
      lbx_path_error(c->L, at, "JSON has no %s", isnan(n) ? "NaN" : "infinity");
    format_float(text, n);
  }
  return cJSON_CreateRaw(text);
}

/* The string at idx, which JSON and cJSON can hold. */
static const char *get_text(encoder *c, int idx, const lbx_path *at) {
  size_t len;
  const char *s = lua_tolstring(c->L, idx, &len);
  lbx_path_check_text(c->L, at, s, len, "JSON text");
  return s;
}

static void encode_array(encoder *c, place to, const lbx_path *at) {
  lua_Integer n = (lua_Integer)lbx_path_list(c->L, at);
  cJSON *array = attach(c, to, cJSON_CreateArray(), at);
  for (lua_Integer i = 1; i <= n; i++) {
    lbx_path step = LBX_PATH_INDEX(at, i);
    lua_rawgeti(c->L, -1, i);
    encode_value(c, (place){array, NULL}, &step);
    lua_pop(c->L, 1);
  }
}

static int by_key(const void *a, const void *b) {
  return strcmp((*(cJSON *const *)a)->string, (*(cJSON *const *)b)->string);
}

/* Puts the n members of the object in the order of their keys. */
static void sort_members(encoder *c, cJSON *object, size_t n,
                         const lbx_path *at) {
  size_t i = 0;
  cJSON **list = lbx_arena_alloc(c->a, n * sizeof *list);
  if (!list) lbx_path_error(c->L, at, "too large: memory for it ran out");
  for (cJSON *m = object->child; m; m = m->next) list[i++] = m;
  qsort(list, n, sizeof *list, by_key);
  for (i = 0; i < n; i++) {
    list[i]->prev = list[i > 0 ? i - 1 : n - 1]; /* the first has the last */
    list[i]->next = i + 1 < n ? list[i + 1] : NULL;
  }
  object->child = list[0];
}

static void encode_object(encoder *c, place to, const lbx_path *at) {
  lua_State *L = c->L;
  size_t n = 0;
  cJSON *object = attach(c, to, cJSON_CreateObject(), at);
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1), n++) {
    if (lua_type(L, -2) != LUA_TSTRING)
      lbx_path_error(L, at, "a table must be a list or have string keys only, "
                     "but it has the key [%s]", luaL_tolstring(L, -2, NULL));
    const char *key = get_text(c, -2, at);
    lbx_path step = LBX_PATH_NAME(at, key);
    encode_value(c, (place){object, key}, &step);
  }
  if (n > 1) sort_members(c, object, n, at);
}

static bool is_marked(lua_State *L) {
  if (!lua_getmetatable(L, -1)) return false;
  luaL_getmetatable(L, LBX_JSON_ARRAY);
  bool marked = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return marked;
}

static bool is_array(lua_State *L) {
  if (is_marked(L)) return true;
  bool begun = lua_rawgeti(L, -1, 1) != LUA_TNIL;
  lua_pop(L, 1);
  if (begun) return true;
  lua_pushnil(L);
  if (!lua_next(L, -2)) return false;
  bool integer = lua_isinteger(L, -2);
  lua_pop(L, 2);
  return integer;
}

static void encode_table(encoder *c, place to, lbx_path *at) {
  at->table = lua_topointer(c->L, -1);
  for (const lbx_path *above = at->up; above; above = above->up)
    if (above->table == at->table)
      lbx_path_error(c->L, at, "the table contains itself");
  if (at->depth >= BX_JSON_DEPTH)
    lbx_path_error(c->L, at, "nested deeper than %d levels", BX_JSON_DEPTH);
  if (is_array(c->L))
    encode_array(c, to, at);
  else
    encode_object(c, to, at);
}

static void encode_value(encoder *c, place to, lbx_path *at) {
  lua_State *L = c->L;
  lbx_room(L, 6);
  if (lbx_is_record(L, -1)) {
    lbx_record_table(L, -1);
    lua_replace(L, -2);
  }
  switch (lua_type(L, -1)) {
    case LUA_TTABLE:
      encode_table(c, to, at);
      break;
    case LUA_TSTRING:
      attach(c, to, cJSON_CreateString(get_text(c, -1, at)), at);
      break;
    case LUA_TNUMBER:
      attach(c, to, make_number(c, at), at);
      break;
    case LUA_TBOOLEAN:
      attach(c, to, cJSON_CreateBool(lua_toboolean(L, -1)), at);
      break;
    default:
      if (!lbx_json_is_null(L, -1))
        lbx_path_error(L, at, "JSON has no %s%s", luaL_typename(L, -1),
                       lua_isnil(L, -1) ? " (use boxd.json.null)" : "");
      attach(c, to, cJSON_CreateNull(), at);
  }
}

int lbx_json_encode(lua_State *L) {
  lbx_path root = LBX_PATH_ROOT("value");
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  encoder c = {.L = L};
  c.a = lbx_arena_new(L);
  c.out = lbx_json_new(L);
  lua_pushvalue(L, 1);
  encode_value(&c, (place){NULL, NULL}, &root);
  c.out->text = cJSON_PrintUnformatted(c.out->tree);
  if (!c.out->text) lbx_path_error(L, &root, "memory for its text ran out");
  lua_pushstring(L, c.out->text);
  lbx_json_release(c.out);
  return 1;
}
