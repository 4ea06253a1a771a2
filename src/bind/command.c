#include "command.h"

#include "../core/text.h"
#include "error.h"
#include "type.h"

#define BUFFER_TYPE "boxd.CommandBuffer"

static int m__gc(lua_State *L) {
  bx_buf_free(luaL_checkudata(L, 1, BUFFER_TYPE));
  return 0;
}

static bx_buf *new_buffer(lua_State *L) {
  static const luaL_Reg meta[] = {{"__gc", m__gc}, {NULL, NULL}};
  if (luaL_getmetatable(L, BUFFER_TYPE) == LUA_TNIL)
    lbx_newtype(L, BUFFER_TYPE, NULL, meta);
  lua_pop(L, 1);
  return lbx_new(L, sizeof(bx_buf), 0, BUFFER_TYPE);
}

static void check(lua_State *L, bx_class c, const bx_error *e) {
  if (c) lbx_throw(L, e, NULL);
}

/* Puts a copy of the map on the top in its place, with numbers as text. */
static size_t copy_env(lua_State *L) {
  size_t n = 0;
  lua_newtable(L);
  for (lua_pushnil(L); lua_next(L, -3); n++) {
    if (lua_type(L, -2) != LUA_TSTRING || !lua_isstring(L, -1)) {
      const char *got = luaL_typename(L, -1);
      lbx_error_invalid(L, "env: names are strings and values strings or "
                        "numbers, got %s = a %s",
                        luaL_tolstring(L, -2, NULL), got);
    }
    lua_tostring(L, -1);
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, -4);
  }
  lua_replace(L, -2);
  return n;
}

/* Reads the map on the top, which a copy takes the place of: it keeps the
** strings. Pushes the userdata that is returned. */
static bx_env *read_env(lua_State *L, size_t *n) {
  size_t i = 0;
  *n = copy_env(L);
  bx_env *env = lua_newuserdatauv(L, *n * sizeof *env, 0);
  for (lua_pushnil(L); lua_next(L, -3); lua_pop(L, 1), i++) {
    env[i].key.s = lua_tolstring(L, -2, &env[i].key.len);
    env[i].value.s = lua_tolstring(L, -1, &env[i].value.len);
  }
  return env;
}

/* Leaves values pushed. */
static void add_prelude(lua_State *L, bx_buf *out, int opts) {
  bx_str cwd = {NULL, 0};
  bx_env *env = NULL;
  size_t n = 0;
  bx_error e;
  if (opts == 0 || lua_isnoneornil(L, opts)) return;
  cwd.s = lbx_opt_string(L, opts, "cwd", &cwd.len, NULL);
  if (lua_getfield(L, opts, "env") != LUA_TNIL) {
    if (!lua_istable(L, -1))
      luaL_error(L, "bad option 'env' (table expected, got %s)",
                 luaL_typename(L, -1));
    env = read_env(L, &n);
  }
  check(L, bx_text_prelude(out, cwd, env, n, &e), &e);
}

/* Replaces the values above `top` by the built string. */
static void push_result(lua_State *L, int top, bx_buf *out) {
  lua_pushlstring(L, out->len ? out->data : "", out->len);
  bx_buf_free(out);
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
}

void lbx_push_command(lua_State *L, int first, int last, int opts) {
  int top = lua_gettop(L);
  bx_error e;
  lbx_room(L, 8);
  bx_buf *out = new_buffer(L);
  size_t n = last < first ? 0 : (size_t)(last - first + 1);
  bx_str *argv = lua_newuserdatauv(L, n * sizeof *argv, 0);
  for (size_t i = 0; i < n; i++)
    argv[i].s = luaL_checklstring(L, first + (int)i, &argv[i].len);
  add_prelude(L, out, opts);
  check(L, bx_text_command(out, argv, n, &e), &e);
  push_result(L, top, out);
}

void lbx_push_line(lua_State *L, int line, int opts) {
  int top = lua_gettop(L);
  bx_error e;
  bx_str text;
  text.s = luaL_checklstring(L, line, &text.len);
  lbx_room(L, 8);
  bx_buf *out = new_buffer(L);
  add_prelude(L, out, opts);
  check(L, bx_text_line(out, text, &e), &e);
  push_result(L, top, out);
}
