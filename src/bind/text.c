#include "text.h"

#include "../core/text.h"
#include "arena.h"
#include "command.h"
#include "error.h"
#include "type.h"

/* size(s) -> bytes */
static int text_size(lua_State *L) {
  size_t len;
  uint64_t bytes;
  bx_error e;
  const char *s = luaL_checklstring(L, 1, &len);
  if (bx_text_size(s, len, &bytes, &e)) return lbx_throw(L, &e, NULL);
  lua_pushinteger(L, (lua_Integer)bytes);
  return 1;
}

/* Pushes the elements of the list at idx; returns their number. */
static int spread(lua_State *L, int idx) {
  lua_Integer n = luaL_len(L, idx);
  luaL_argcheck(L, n >= 0 && n < 1000000, idx, "too long a list");
  lbx_room(L, (int)n);
  for (lua_Integer i = 1; i <= n; i++) lua_geti(L, idx, i);
  return (int)n;
}

/* command(list | line [, { env=, cwd= }]) -> string */
static int text_command(lua_State *L) {
  luaL_checkany(L, 1);
  lua_settop(L, 2);
  if (lua_istable(L, 1))
    lbx_push_command(L, 3, 2 + spread(L, 1), 2);
  else
    lbx_push_line(L, 1, 2);
  return 1;
}

/* quote(list) -> string: the arguments as one command line */
static int text_quote(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lbx_push_command(L, 2, 1 + spread(L, 1), 0);
  return 1;
}

/* The texts of the list at idx, the last value, as an array that ends with NULL;
** pushes what keeps them. */
static const char **push_names(lua_State *L, int idx, size_t *count) {
  luaL_checktype(L, idx, LUA_TTABLE);
  lbx_arena *a = lbx_arena_new(L);
  int first = lua_gettop(L) + 1, n = spread(L, idx);
  const char **names = lbx_arena_alloc(a, ((size_t)n + 1) * sizeof *names);
  luaL_argcheck(L, names, idx, "too long a list");
  for (int i = 0; i < n; i++) names[i] = luaL_checkstring(L, first + i);
  *count = (size_t)n;
  return names;
}

/* nearest(word, list) -> name or nil */
static int text_nearest(lua_State *L) {
  size_t n;
  const char *word = luaL_checkstring(L, 1);
  lua_settop(L, 2);
  const char **names = push_names(L, 2, &n);
  lua_pushstring(L, bx_text_nearest(word, names, n));
  return 1;
}

/* options(t, what, list): refuses keys of t that the list does not have */
static int text_options(lua_State *L) {
  size_t n;
  const char *what = luaL_checkstring(L, 2);
  lua_settop(L, 3);
  lbx_options(L, 1, what, push_names(L, 3, &n));
  return 0;
}

/* utf8(s) -> boolean */
static int text_utf8(lua_State *L) {
  size_t len;
  const char *s = luaL_checklstring(L, 1, &len);
  lua_pushboolean(L, bx_text_utf8(s, len));
  return 1;
}

int lbx_open_text(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"size", text_size},       {"command", text_command},
      {"quote", text_quote},     {"nearest", text_nearest},
      {"options", text_options}, {"utf8", text_utf8},
      {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
