#include "type.h"

#include <string.h>

#include "../core/text.h"
#include "error.h"
#include "record.h"

void lbx_newtype(lua_State *L, const char *name, const luaL_Reg *methods,
                 const luaL_Reg *meta) {
  luaL_newmetatable(L, name);
  lua_pushstring(L, name); /* libraries index what getmetatable gives */
  lua_setfield(L, -2, "__metatable");
  if (methods) {
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
  }
  luaL_setfuncs(L, meta, 0);
  lua_pop(L, 1);
}

int lbx_read_only(lua_State *L) {
  static const char module[] = "boxd.";
  if (!luaL_getmetafield(L, 1, "__name")) lua_pushstring(L, luaL_typename(L, 1));
  const char *name = lua_tostring(L, -1);
  if (strncmp(name, module, sizeof module - 1) == 0) name += sizeof module - 1;
  return lbx_error_usage(L, "%s.%s is read-only", name,
                         luaL_tolstring(L, 2, NULL));
}

int lbx_wrong_argument(lua_State *L, int idx, const char *method,
                       const char *expected) {
  lbx_error_usage(L, "bad argument #%d to '%s' (%s expected, got %s)", idx - 1,
                  method, expected, lbx_type_name(L, idx));
}

void *lbx_new(lua_State *L, size_t size, int uservalues, const char *name) {
  void *p = lua_newuserdatauv(L, size, uservalues);
  memset(p, 0, size);
  luaL_setmetatable(L, name);
  return p;
}

static int to_text(lua_State *L) {
  luaL_tolstring(L, 1, NULL);
  return 1;
}

void lbx_warn(lua_State *L, const char *what) {
  lua_pushcfunction(L, to_text);
  lua_insert(L, -2);
  bool ok = lua_pcall(L, 1, 1, 0) == LUA_OK;
  lua_warning(L, "boxd: ", 1);
  lua_warning(L, what, 1);
  lua_warning(L, ": ", 1);
  lua_warning(L, ok ? lua_tostring(L, -1) : "an error whose __tostring fails",
              0);
  lua_pop(L, 1);
}

/* Fields of a userdata: upvalue 1 holds the methods, 2 the lbx_field. */
static int index_fields(lua_State *L) {
  lua_settop(L, 2);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL) return 1;
  if (lua_type(L, 2) != LUA_TSTRING) return 0;
  lbx_field *field = lua_touserdata(L, lua_upvalueindex(2));
  return (*field)(L, lua_tostring(L, 2));
}

void lbx_index_fields(lua_State *L, const char *type, const luaL_Reg *methods,
                      lbx_field field) {
  luaL_getmetatable(L, type);
  lua_newtable(L);
  luaL_setfuncs(L, methods, 0);
  /* ISO C has no pointer to a function in a void pointer. */
  lbx_field *kept = lua_newuserdatauv(L, sizeof *kept, 0);
  *kept = field;
  lua_pushcclosure(L, index_fields, 2);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

void lbx_index_by(lua_State *L, const char *type, const luaL_Reg *methods,
                  lua_CFunction index) {
  luaL_getmetatable(L, type);
  lua_newtable(L);
  luaL_setfuncs(L, methods, 0);
  lua_pushcclosure(L, index, 1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

void lbx_require_field(lua_State *L, const char *module, const char *name) {
  lua_getglobal(L, "require");
  lua_pushstring(L, module);
  lua_call(L, 1, 1);
  lua_getfield(L, -1, name);
  lua_replace(L, -2);
}

static int unknown_option(lua_State *L, const char *what, const char *key,
                          const char *const names[]) {
  size_t n = 0;
  while (names[n]) n++;
  const char *near = bx_text_nearest(key, names, n);
  if (near)
    return lbx_error_invalid(L, "%s: unknown option '%s' (did you mean '%s'?)",
                             what, key, near);
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (size_t i = 0; i < n; i++) {
    if (i) luaL_addstring(&b, ", ");
    luaL_addstring(&b, names[i]);
  }
  luaL_pushresult(&b);
  return lbx_error_invalid(L, "%s: unknown option '%s' (known: %s)", what, key,
                           lua_tostring(L, -1));
}

static void check_key(lua_State *L, const char *what,
                      const char *const names[]) {
  if (lua_type(L, -1) != LUA_TSTRING) {
    luaL_tolstring(L, -1, NULL);
    lbx_error_invalid(L, "%s: options have names, not [%s]", what,
                      lua_tostring(L, -1));
  }
  size_t len;
  const char *key = lua_tolstring(L, -1, &len);
  for (size_t i = 0; names[i]; i++)
    if (strlen(names[i]) == len && memcmp(names[i], key, len) == 0) return;
  unknown_option(L, what, key, names);
}

bool lbx_options(lua_State *L, int idx, const char *what,
                 const char *const names[]) {
  if (lua_isnoneornil(L, idx)) return false;
  idx = lua_absindex(L, idx);
  if (!lua_istable(L, idx)) /* of a function at 1, of a method behind its object */
    lbx_error_usage(L, "bad argument #%d to '%s' (table expected, got %s: options "
                    "have names, as in { timeout = 30 })", idx > 1 ? idx - 1 : 1,
                    what, lbx_type_name(L, idx));
  lbx_room(L, 4);
  lua_pushnil(L);
  while (lua_next(L, idx)) {
    lua_pop(L, 1);
    check_key(L, what, names);
  }
  return true;
}

/* Pushes the field; false (and nothing pushed) when it is absent. */
static bool field(lua_State *L, int idx, const char *name, int type,
                  const char *expected) {
  if (lua_isnoneornil(L, idx)) return false;
  int got = lua_getfield(L, idx, name);
  if (got == LUA_TNIL) {
    lua_pop(L, 1);
    return false;
  }
  if (got != type)
    luaL_error(L, "bad option '%s' (%s expected, got %s)", name, expected,
               luaL_typename(L, -1));
  return true;
}

const char *lbx_opt_string(lua_State *L, int idx, const char *name, size_t *len,
                           const char *def) {
  if (field(L, idx, name, LUA_TSTRING, "string"))
    return lua_tolstring(L, -1, len);
  lua_pushnil(L);
  if (len) *len = def ? strlen(def) : 0;
  return def;
}

lua_Integer lbx_opt_integer(lua_State *L, int idx, const char *name,
                            lua_Integer def) {
  int exact;
  if (!field(L, idx, name, LUA_TNUMBER, "integer")) return def;
  def = lua_tointegerx(L, -1, &exact);
  if (!exact)
    luaL_error(L, "bad option '%s' (number has no integer representation)",
               name);
  lua_pop(L, 1);
  return def;
}

bool lbx_opt_boolean(lua_State *L, int idx, const char *name, bool def) {
  if (!field(L, idx, name, LUA_TBOOLEAN, "boolean")) return def;
  def = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return def;
}

double lbx_opt_seconds(lua_State *L, int idx, const char *name, double def) {
  if (!field(L, idx, name, LUA_TNUMBER, "number")) return def;
  double s = lua_tonumber(L, -1);
  lua_pop(L, 1);
  if (!(s > 0))
    lbx_error_invalid(L, "%s must be a positive number of seconds", name);
  return s;
}
