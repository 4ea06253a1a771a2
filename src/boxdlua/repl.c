/* The prompt of boxdlua: reads a statement or an expression, prints results. */
#include "boxdlua.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "../bind/type.h"
#include "edit.h"

typedef enum reading { LINE, END, INTERRUPTED } reading;

/* The bytes that stdio has read ahead: no event follows for them. */
static bool has_buffered(FILE *f) {
  return f->_IO_read_ptr < f->_IO_read_end;
}

/* A line of stdin without an editor, its newline dropped. */
static bool read_plain(lua_State *L, const char *prompt) {
  char *line = NULL;
  size_t room = 0;
  fputs(prompt, stdout);
  fflush(stdout);
  if (!has_buffered(stdin)) host_edit_wait(L);
  ssize_t n = getline(&line, &room, stdin);
  if (n > 0 && line[n - 1] == '\n') n--;
  if (n >= 0) lua_pushlstring(L, line, (size_t)n);
  free(line);
  return n >= 0;
}

/* Protected. 1: the variable that holds the prompt, 2: its default, 3:
** is there an editor? Returns the line, or nothing at the end. */
static int read_line(lua_State *L) {
  lua_getglobal(L, lua_tostring(L, 1));
  const char *prompt = lua_isnil(L, -1) ? lua_tostring(L, 2)
                                        : luaL_tolstring(L, -1, NULL);
  return lua_toboolean(L, 3) ? host_edit_line(L, prompt)
                             : read_plain(L, prompt);
}

/* Pushes the next line, if it says so. */
static reading push_line(lua_State *L, bool editor, const char *variable,
                         const char *usual) {
  lua_pushcfunction(L, read_line);
  lua_pushstring(L, variable);
  lua_pushstring(L, usual);
  lua_pushboolean(L, editor);
  int status = lua_pcall(L, 3, 1, 0);
  if (status == LUA_OK && !lua_isnil(L, -1)) return LINE;
  if (status == LUA_OK) {
    lua_pop(L, 1);
    fputc('\n', stdout);
    return END;
  }
  if (!host_signal_take()) {
    luaL_tolstring(L, -1, NULL);
    host_report(L, status);
    lua_pop(L, 1);
    return END;
  }
  lua_pop(L, 1);
  fputc('\n', stdout);
  return INTERRUPTED;
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
  /* 'box:list_dir': more would make it a call, but to wait for it looks as if
  ** the prompt hung. */
  if (strstr(message, "function arguments expected near <eof>")) return false;
  return n >= sizeof mark - 1 &&
         strcmp(message + n - (sizeof mark - 1), mark) == 0;
}

/* Adds lines to the text on top until it is a whole statement; its function, or
** a message, takes its place. */
static reading load_statement(lua_State *L, bool editor, int *status) {
  for (;;) {
    size_t n;
    const char *code = lua_tolstring(L, -1, &n);
    *status = luaL_loadbuffer(L, code, n, "=stdin");
    if (!incomplete(L, *status)) break;
    reading r = push_line(L, editor, "_PROMPT2", ">> ");
    if (r == INTERRUPTED) return r;
    if (r == END) break;
    lua_remove(L, -2);
    lua_pushliteral(L, "\n");
    lua_insert(L, -2);
    lua_concat(L, 3);
  }
  lua_remove(L, -2);
  return LINE;
}

/* Protected: has boxd.cli.repl put what shows them well in the place of its
** arguments. */
static int to_readable(lua_State *L) {
  int n = lua_gettop(L);
  luaL_checkstack(L, LUA_MINSTACK, "too many results to print");
  lbx_require_field(L, "boxd.cli.repl", "results");
  lua_insert(L, 1);
  lua_call(L, n, LUA_MULTRET);
  return lua_gettop(L);
}

static bool has_table(lua_State *L, int n) {
  for (int i = 1; i <= n; i++)
    if (lua_istable(L, i)) return true;
  return false;
}

static void print_results(lua_State *L) {
  int n = lua_gettop(L);
  if (n == 0) return;
  luaL_checkstack(L, LUA_MINSTACK, "too many results to print");
  if (has_table(L, n)) {
    lua_pushcfunction(L, to_readable);
    lua_insert(L, 1);
    if (host_report(L, host_call(L, n, LUA_MULTRET)) != LUA_OK) return;
  }
  lua_getglobal(L, "print");
  lua_insert(L, 1);
  host_report(L, host_call(L, lua_gettop(L) - 1, 0));
}

/* ---- words that are not Lua ---- */

static const char help[] =
    "A statement runs, an expression is printed. For example:\n"
    "  c = boxd.Compute{}\n"
    "  box = c.box:create(\"web\")\n"
    "  box:exec(\"uname\", \"-a\")\n"
    "  c.box:list()\n"
    "  box:destroy()\n"
    "Tab completes names, of methods after 'box:' too; Ctrl-C stops a statement;\n"
    "'exit', or Ctrl-D, ends the session. The manual: man boxdlua\n";

/* Is the line just this word, or a call of it, with no global of that name? */
static bool is_word(lua_State *L, const char *word) {
  const char *line = lua_tostring(L, -1);
  size_t n = strlen(word);
  line += strspn(line, " \t");
  if (strncmp(line, word, n) != 0) return false;
  line += n;
  if (strncmp(line, "()", 2) == 0) line += 2;
  if (line[strspn(line, " \t;")] != '\0') return false;
  lua_pushglobaltable(L);
  lua_pushstring(L, word);
  bool unused = lua_rawget(L, -2) == LUA_TNIL;
  lua_pop(L, 2);
  return unused;
}

/* Reads one statement, runs it and prints its results. */
static reading turn(lua_State *L, bool editor) {
  int status = LUA_OK;
  reading r = push_line(L, editor, "_PROMPT", "> ");
  if (r != LINE) return r;
  if (is_word(L, "exit") || is_word(L, "quit")) return END;
  if (is_word(L, "help")) {
    fputs(help, stdout);
    return LINE;
  }
  expand_equals(L);
  if (!load_expression(L)) r = load_statement(L, editor, &status);
  if (r != LINE) return r;
  if (status == LUA_OK) status = host_call(L, 0, LUA_MULTRET);
  if (host_report(L, status) == LUA_OK) print_results(L);
  host_signal_take(); /* a Ctrl-C was for the statement */
  return host_signal_status() ? END : LINE;
}

void host_repl(lua_State *L) {
  bool editor = host_edit_open(L);
  lua_settop(L, 0);
  while (turn(L, editor) != END) lua_settop(L, 0);
  fflush(stdout);
  host_edit_close();
}
