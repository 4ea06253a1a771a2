#include "text.h"

#include <lauxlib.h>

#include "../core/text.h"
#include "error.h"
#include "type.h"

#define BUF_TYPE "boxd.Buf"

static bx_str to_str(lua_State *L, int idx) {
  bx_str s;
  s.s = lua_tolstring(L, idx, &s.len);
  return s;
}

/* A buffer that is freed whatever is raised. */
static bx_buf *new_buf(lua_State *L) {
  return lbx_new(L, sizeof(bx_buf), 0, BUF_TYPE);
}

static int m__gc_buf(lua_State *L) {
  bx_buf_free(lua_touserdata(L, 1));
  return 0;
}

static int size(lua_State *L) {
  bx_error e;
  uint64_t bytes;
  if (lua_type(L, 1) == LUA_TNUMBER) {
    lua_Integer n = luaL_checkinteger(L, 1);
    if (n < 0) lbx_error_invalid(L, "a size can't be negative: %lld", (long long)n);
    lua_pushinteger(L, n);
    return 1;
  }
  luaL_checkstring(L, 1);
  bx_str s = to_str(L, 1);
  if (bx_text_size(s.s, s.len, &bytes, &e)) return lbx_throw(L, &e, NULL);
  lua_pushinteger(L, (lua_Integer)bytes);
  return 1;
}

static int endpoint(lua_State *L) {
  bx_error e;
  bx_endpoint ep;
  luaL_checkstring(L, 1);
  bx_str s = to_str(L, 1);
  if (bx_text_endpoint(s.s, s.len, &ep, &e)) return lbx_throw(L, &e, NULL);
  lua_createtable(L, 0, 4);
  lua_pushboolean(L, ep.tls);
  lua_setfield(L, -2, "tls");
  lua_pushstring(L, ep.host);
  lua_setfield(L, -2, "host");
  lua_pushinteger(L, ep.port);
  lua_setfield(L, -2, "port");
  lua_pushstring(L, ep.target);
  lua_setfield(L, -2, "target");
  return 1;
}

static int quote(lua_State *L) {
  bx_error e;
  luaL_checkstring(L, 1);
  bx_buf *b = new_buf(L);
  if (bx_text_quote(b, to_str(L, 1), &e)) return lbx_throw(L, &e, NULL);
  lua_pushlstring(L, b->data, b->len);
  return 1;
}

/* env at idx as an array in a userdata; its strings stay in the table. */
static bx_env *read_env(lua_State *L, int idx, size_t *n) {
  *n = 0;
  if (lua_isnoneornil(L, idx)) return NULL;
  luaL_checktype(L, idx, LUA_TTABLE);
  size_t count = 0;
  for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) count++;
  bx_env *env = lua_newuserdatauv(L, (count + 1) * sizeof *env, 0);
  for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING)
      lbx_error_invalid(L, "env: names are strings, not %s", luaL_typename(L, -2));
    if (lua_type(L, -1) != LUA_TSTRING)
      lbx_error_invalid(L, "env.%s: string expected, got %s",
                        lua_tostring(L, -2), luaL_typename(L, -1));
    env[*n] = (bx_env){to_str(L, -2), to_str(L, -1)};
    ++*n;
  }
  return env;
}

static void add_arguments(lua_State *L, int idx, bx_buf *b) {
  bx_error e;
  lua_Integer n = luaL_len(L, idx);
  lbx_room(L, (int)n + 4);
  bx_str *argv = lua_newuserdatauv(L, (size_t)(n + 1) * sizeof *argv, 0);
  for (lua_Integer i = 1; i <= n; i++) {
    if (lua_geti(L, idx, i) != LUA_TSTRING)
      lbx_error_invalid(L, "argument %lld of the command: string expected, got %s",
                        (long long)i, luaL_typename(L, -1));
    argv[i - 1] = to_str(L, -1);
  }
  if (bx_text_command(b, argv, (size_t)n, &e)) lbx_throw(L, &e, NULL);
}

static int command(lua_State *L) {
  bx_error e;
  size_t n;
  lua_settop(L, 3);
  bx_env *env = read_env(L, 2, &n);
  bx_str cwd = {NULL, 0};
  if (!lua_isnil(L, 3)) {
    luaL_checkstring(L, 3);
    cwd = to_str(L, 3);
  }
  bx_buf *b = new_buf(L);
  if ((n > 0 || cwd.s) && bx_text_prelude(b, cwd, env, n, &e))
    return lbx_throw(L, &e, NULL);
  if (lua_istable(L, 1)) {
    add_arguments(L, 1, b);
  } else {
    luaL_checkstring(L, 1);
    if (bx_text_line(b, to_str(L, 1), &e)) return lbx_throw(L, &e, NULL);
  }
  lua_pushlstring(L, b->data ? b->data : "", b->len);
  return 1;
}

/* The list at idx as an array of C strings, NULL at the end; on the stack. */
static const char **names(lua_State *L, int idx, size_t *n) {
  luaL_checktype(L, idx, LUA_TTABLE);
  *n = (size_t)luaL_len(L, idx);
  const char **list = lua_newuserdatauv(L, (*n + 1) * sizeof *list, 0);
  for (size_t i = 0; i < *n; i++) {
    lua_geti(L, idx, (lua_Integer)i + 1);
    list[i] = luaL_checkstring(L, -1);
    lua_pop(L, 1); /* the table holds it */
  }
  list[*n] = NULL;
  return list;
}

static int nearest(lua_State *L) {
  size_t n;
  const char *word = luaL_checkstring(L, 1);
  const char **list = names(L, 2, &n);
  lua_pushstring(L, bx_text_nearest(word, list, n));
  return 1;
}

static int options(lua_State *L) {
  size_t n;
  const char *what = luaL_checkstring(L, 2);
  const char **list = names(L, 3, &n);
  lbx_options(L, 1, what, list);
  return 0;
}

void lbx_open_text(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"size", size},       {"endpoint", endpoint}, {"quote", quote},
      {"command", command}, {"nearest", nearest},   {"options", options},
      {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", m__gc_buf}, {NULL, NULL}};
  lbx_newtype(L, BUF_TYPE, NULL, meta);
  luaL_setfuncs(L, functions, 0);
}
