#include "path.h"

#include <lauxlib.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../core/text.h"
#include "error.h"

#define SHOWN_STEPS 32 /* of a deeper path only the end is shown */

typedef struct writer {
  char text[512];
  size_t len;
} writer;

static void add(writer *w, const char *s) {
  size_t n = strlen(s), room = sizeof w->text - 1 - w->len;
  if (n > room) n = room;
  memcpy(w->text + w->len, s, n);
  w->len += n;
  w->text[w->len] = '\0';
}

static void add_step(writer *w, const lbx_path *at) {
  char shown[72];
  if (at->name) {
    if (w->len && w->text[w->len - 1] != ' ') add(w, ".");
    add(w, bx_text_show(shown, sizeof shown, at->name, strlen(at->name)));
  } else {
    snprintf(shown, sizeof shown, "[%lld]", (long long)at->index);
    add(w, shown);
  }
}

static void render(writer *w, const lbx_path *at) {
  const lbx_path *steps[SHOWN_STEPS];
  int n = 0;
  for (; at->up && n < SHOWN_STEPS; at = at->up) steps[n++] = at;
  if (at->up) add(w, "...");
  if (at->told) {
    add(w, at->name);
    add(w, ": ");
  }
  if (n == 0) add_step(w, at);
  while (n > 0) add_step(w, steps[--n]);
}

int lbx_path_error(lua_State *L, const lbx_path *at, const char *fmt, ...) {
  writer w = {.len = 0};
  bx_error e;
  va_list ap;
  va_start(ap, fmt);
  bx_error_vset(&e, BX_INVALID_ARGUMENT, fmt, ap);
  va_end(ap);
  render(&w, at);
  lbx_error_invalid(L, "%s: %s", w.text, e.message);
}

const char *lbx_path_push(lua_State *L, const lbx_path *at) {
  writer w = {.len = 0};
  render(&w, at);
  return lua_pushstring(L, w.text);
}

/* Is the key below the top the `n` that table.pack and boxd.map give a list? */
static bool is_count(lua_State *L, lua_Unsigned n, const lbx_path *at) {
  if (lua_type(L, -2) != LUA_TSTRING || !lua_isinteger(L, -1) ||
      strcmp(lua_tostring(L, -2), "n") != 0)
    return false;
  if ((lua_Unsigned)lua_tointeger(L, -1) != n)
    lbx_path_error(L, at, "expected a list, but it has holes: its n is %lld",
                   (long long)lua_tointeger(L, -1));
  return true;
}

static void check_index(lua_State *L, lua_Unsigned n, const lbx_path *at) {
  if (!lua_isinteger(L, -2))
    lbx_path_error(L, at, "expected a list, but it has the key '%s'",
                   luaL_tolstring(L, -2, NULL));
  lua_Integer i = lua_tointeger(L, -2);
  if (i < 1 || (lua_Unsigned)i > n)
    lbx_path_error(L, at, "expected a list, but [%lld] is beyond a hole",
                   (long long)i);
}

size_t lbx_path_list(lua_State *L, const lbx_path *at) {
  lua_Unsigned count = 0, n = lua_rawlen(L, -1);
  if (!lua_istable(L, -1))
    lbx_path_error(L, at, "expected a table (a list), got %s",
                   luaL_typename(L, -1));
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    if (is_count(L, n, at)) continue;
    check_index(L, n, at);
    count++;
  }
  if (count != n) lbx_path_error(L, at, "expected a list, but it has holes");
  return n;
}

void lbx_path_check_text(lua_State *L, const lbx_path *at, const char *s,
                         size_t len, const char *what) {
  size_t valid = bx_text_utf8_prefix(s, len);
  if (valid < len)
    lbx_path_error(L, at, "not UTF-8 (byte %zu); %s must be UTF-8", valid + 1,
                   what);
  if (memchr(s, '\0', len))
    lbx_path_error(L, at, "holds a NUL byte; %s must have none", what);
}
