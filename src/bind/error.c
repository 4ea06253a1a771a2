#include "error.h"

#include <lauxlib.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "type.h"

#define ERROR_TYPE "boxd.Error"
#define CLASS_TYPE "boxd.ErrorClass"

static char sources_key; /* source -> true: our own Lua files */

static bool is_ours(lua_State *L, const char *source) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &sources_key);
  bool ours = lua_getfield(L, -1, source) == LUA_TBOOLEAN;
  lua_pop(L, 2);
  return ours;
}

/* "script.lua:12:" of the nearest function of the script; "" if none. */
static void push_where(lua_State *L) {
  lua_Debug ar;
  for (int level = 1; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline > 0 && !is_ours(L, ar.source)) {
      lua_pushfstring(L, "%s:%d:", ar.short_src, ar.currentline);
      return;
    }
  }
  lua_pushliteral(L, "");
}

/* core.internal(): the calling file's lines are not the script's. */
static int internal(lua_State *L) {
  lua_Debug ar;
  if (!lua_getstack(L, 1, &ar)) return 0;
  lua_getinfo(L, "S", &ar);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &sources_key);
  lua_pushboolean(L, 1);
  lua_setfield(L, -2, ar.source);
  return 0;
}

void lbx_push_error(lua_State *L, const bx_error *e, const char *method) {
  luaL_checkstack(L, 6, "too many nested calls");
  lua_createtable(L, 0, 6);
  lua_pushstring(L, bx_class_name(e->class_));
  lua_setfield(L, -2, "class");
  lua_pushstring(L, e->message);
  lua_setfield(L, -2, "message");
  if (e->status != BX_NO_STATUS) {
    lua_pushinteger(L, e->status);
    lua_setfield(L, -2, "grpc_code");
    lua_pushstring(L, bx_status_name(e->status));
    lua_setfield(L, -2, "code");
  }
  if (method) {
    lua_pushstring(L, method);
    lua_setfield(L, -2, "method");
  }
  push_where(L);
  lua_setfield(L, -2, "where");
  luaL_setmetatable(L, ERROR_TYPE);
}

int lbx_throw(lua_State *L, const bx_error *e, const char *method) {
  lbx_push_error(L, e, method);
  lua_error(L);
}

int lbx_error_invalid(lua_State *L, const char *fmt, ...) {
  bx_error e;
  va_list ap;
  va_start(ap, fmt);
  bx_error_vset(&e, BX_INVALID_ARGUMENT, fmt, ap);
  va_end(ap);
  lbx_throw(L, &e, NULL);
}

int lbx_error_class(lua_State *L, bx_class c, const char *fmt, ...) {
  bx_error e;
  va_list ap;
  va_start(ap, fmt);
  bx_error_vset(&e, c, fmt, ap);
  va_end(ap);
  lbx_throw(L, &e, NULL);
}

int lbx_error_usage(lua_State *L, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  luaL_checkstack(L, 6, "too many nested calls");
  push_where(L);
  if (lua_rawlen(L, -1) > 0) {
    lua_pushliteral(L, " ");
    lua_concat(L, 2);
  }
  lua_pushvfstring(L, fmt, ap);
  va_end(ap);
  lua_concat(L, 2);
  lua_error(L);
}

static bool has_metatable(lua_State *L, int idx, const char *name) {
  if (!lua_istable(L, idx) || !lua_getmetatable(L, idx)) return false;
  luaL_getmetatable(L, name);
  bool same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same;
}

static bx_class class_named(const char *name) {
  for (int c = BX_BOXD; name && c < BX_CLASS_COUNT; c++)
    if (strcmp(name, bx_class_name((bx_class)c)) == 0) return (bx_class)c;
  return BX_OK;
}

static bx_class class_field(lua_State *L, int idx, const char *field) {
  idx = lua_absindex(L, idx);
  lua_pushstring(L, field);
  lua_rawget(L, idx);
  bx_class c = class_named(lua_tostring(L, -1));
  lua_pop(L, 1);
  return c;
}

bx_class lbx_error_test(lua_State *L, int idx) {
  return has_metatable(L, idx, ERROR_TYPE) ? class_field(L, idx, "class")
                                           : BX_OK;
}

static int status_field(lua_State *L, int idx) {
  lua_pushliteral(L, "grpc_code");
  lua_rawget(L, idx);
  int status = lua_isinteger(L, -1) ? (int)lua_tointeger(L, -1) : BX_NO_STATUS;
  lua_pop(L, 1);
  return status;
}

/* Is the value at 1 an error of the class at 2? */
static bool is_a(lua_State *L) {
  luaL_argexpected(L, has_metatable(L, 2, CLASS_TYPE), 2,
                   "error class such as boxd.NotFoundError");
  bx_class c = lbx_error_test(L, 1);
  return c != BX_OK &&
         bx_class_is(c, status_field(L, 1), class_field(L, 2, "name"));
}

/* core.is_internal(source) -> boolean */
static int is_internal(lua_State *L) {
  lua_pushboolean(L, is_ours(L, luaL_checkstring(L, 1)));
  return 1;
}

/* core.raise(class name, message [, method]) */
static int raise_(lua_State *L) {
  bx_error e;
  bx_class c = class_named(luaL_checkstring(L, 1));
  luaL_argcheck(L, c != BX_OK, 1, "no error class");
  bx_error_set(&e, c, "%s", luaL_checkstring(L, 2));
  return lbx_throw(L, &e, luaL_optstring(L, 3, NULL));
}

/* err:is(class) */
static int m_is(lua_State *L) {
  luaL_argexpected(L, has_metatable(L, 1, ERROR_TYPE), 1, "boxd error");
  lua_pushboolean(L, is_a(L));
  return 1;
}

/* boxd.is_error(v [, class]): for any value. */
static int is_error(lua_State *L) {
  luaL_checkany(L, 1);
  /* nil is a misspelt class, not any of them. */
  bool any = lua_isnone(L, 2);
  lua_pushboolean(L, any ? lbx_error_test(L, 1) != BX_OK : is_a(L));
  return 1;
}

static const char *text(lua_State *L, int idx, const char *field) {
  lua_pushstring(L, field);
  lua_rawget(L, idx);
  const char *s = lua_tostring(L, -1);
  return s ? s : "";
}

/* How many bytes at s a terminal takes for a command: controls but the end of a
** line and a tab, and those beyond ASCII as UTF-8 has them. */
static int control_len(const unsigned char *s) {
  if (*s == 0xc2 && s[1] >= 0x80 && s[1] < 0xa0) return 2;
  return (*s < ' ' && *s != '\n' && *s != '\t') || *s == 0x7f;
}

/* The text as it may be printed: names that others chose are in it. */
static void push_shown(lua_State *L, const char *text) {
  luaL_Buffer b;
  char code[5];
  luaL_buffinit(L, &b);
  for (const unsigned char *s = (const unsigned char *)text; *s;) {
    int n = control_len(s);
    if (n == 0) luaL_addchar(&b, (char)*s++);
    for (; n > 0; n--) {
      snprintf(code, sizeof code, "\\x%02x", *s++);
      luaL_addstring(&b, code);
    }
  }
  luaL_pushresult(&b);
}

/* "script.lua:3: NotFoundError: no box named web (GetVm: NOT_FOUND)" */
static int m__tostring(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  const char *where = text(L, 1, "where"), *class_ = text(L, 1, "class");
  const char *message = text(L, 1, "message");
  const char *method = text(L, 1, "method"), *code = text(L, 1, "code");
  lua_pushfstring(L, "%s%s%s: %s", where, *where ? " " : "", class_, message);
  if (*method || *code)
    lua_pushfstring(L, " (%s%s%s)", method, *method && *code ? ": " : "", code);
  else
    lua_pushliteral(L, "");
  lua_concat(L, 2);
  push_shown(L, lua_tostring(L, -1));
  return 1;
}

static int m__tostring_class(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_pushfstring(L, "boxd.%s", text(L, 1, "name"));
  return 1;
}

void lbx_open_error_core(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"internal", internal}, {"is_internal", is_internal},
      {"raise", raise_},      {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}

void lbx_open_error(lua_State *L) {
  static const luaL_Reg methods[] = {{"is", m_is}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__tostring", m__tostring}, {NULL, NULL}};
  static const luaL_Reg class_meta[] = {{"__tostring", m__tostring_class},
                                        {NULL, NULL}};
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &sources_key) == LUA_TNIL) {
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &sources_key);
  }
  lua_pop(L, 1);
  lbx_newtype(L, ERROR_TYPE, methods, meta);
  lbx_newtype(L, CLASS_TYPE, NULL, class_meta);
  lua_createtable(L, 0, BX_CLASS_COUNT);
  for (int c = BX_BOXD; c < BX_CLASS_COUNT; c++) {
    const char *name = bx_class_name((bx_class)c);
    lua_createtable(L, 0, 1);
    lua_pushstring(L, name);
    lua_setfield(L, -2, "name");
    luaL_setmetatable(L, CLASS_TYPE);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, name); /* errors[name] */
    lua_setfield(L, -3, name); /* boxd[name] */
  }
  lua_setfield(L, -2, "errors");
  lua_pushcfunction(L, is_error);
  lua_setfield(L, -2, "is_error");
}
