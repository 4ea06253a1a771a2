/* The prompt of boxdlua: reads a statement or an expression, prints results. */
#include "host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

/* Shows the prompt that _PROMPT or _PROMPT2 hold; pushes the line, or nil. */
static bool push_line(lua_State *L, const char *variable, const char *usual) {
  char *line = NULL;
  size_t room = 0;
  lua_getglobal(L, variable);
  const char *prompt = luaL_tolstring(L, -1, NULL);
  fputs(lua_isnil(L, -2) ? usual : prompt, stdout);
  fflush(stdout);
  lua_pop(L, 2);
  ssize_t n = getline(&line, &room, stdin);
  if (n > 0 && line[n - 1] == '\n') n--;
  if (n >= 0) lua_pushlstring(L, line, (size_t)n);
  free(line);
  return n >= 0;
}

/* "=x" means "return x". */
static void expand_equals(lua_State *L) {
  const char *line = lua_tostring(L, -1);
  if (line[0] != '=') return;
  lua_pushfstring(L, "return %s", line + 1);
  lua_remove(L, -2);
}

/* The line on top as an expression; leaves the function in its place if so. */
static bool load_expression(lua_State *L) {
  const char *code = lua_pushfstring(L, "return %s", lua_tostring(L, -1));
  int status = luaL_loadbuffer(L, code, strlen(code), "=stdin");
  lua_remove(L, -2);
  if (status == LUA_OK) {
    lua_remove(L, -2);
    return true;
  }
  lua_pop(L, 1);
  return false;
}

/* The parser stopped because the text did. */
static bool incomplete(lua_State *L, int status) {
  static const char mark[] = "<eof>";
  size_t n;
  if (status != LUA_ERRSYNTAX) return false;
  const char *message = lua_tolstring(L, -1, &n);
  return n >= sizeof mark - 1 &&
         strcmp(message + n - (sizeof mark - 1), mark) == 0;
}

/* Adds lines to the text on top until it is a whole statement. */
static int load_statement(lua_State *L) {
  for (;;) {
    size_t n;
    const char *code = lua_tolstring(L, -1, &n);
    int status = luaL_loadbuffer(L, code, n, "=stdin");
    if (!incomplete(L, status) || !push_line(L, "_PROMPT2", ">> ")) {
      lua_remove(L, -2);
      return status;
    }
    lua_remove(L, -2);
    lua_pushliteral(L, "\n");
    lua_insert(L, -2);
    lua_concat(L, 3);
  }
}

static void print_results(lua_State *L) {
  int n = lua_gettop(L);
  if (n == 0) return;
  luaL_checkstack(L, LUA_MINSTACK, "too many results to print");
  lua_getglobal(L, "print");
  lua_insert(L, 1);
  host_report(L, host_call(L, n, 0));
}

void host_repl(lua_State *L) {
  lua_settop(L, 0);
  while (push_line(L, "_PROMPT", "> ")) {
    expand_equals(L);
    int status = load_expression(L) ? LUA_OK : load_statement(L);
    if (status == LUA_OK) status = host_call(L, 0, LUA_MULTRET);
    if (host_report(L, status) == LUA_OK) print_results(L);
    lua_settop(L, 0);
  }
  fputc('\n', stdout);
  fflush(stdout);
}
