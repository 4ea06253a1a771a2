/* Running Lua for boxdlua: calls with a traceback, files, strings, libraries.
** */
#include "boxdlua.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

#include "../bind/error.h"

static const char *host_name = "boxdlua";

void host_set_name(const char *name) {
  host_name = name;
}

void host_complain(const char *message) {
  fflush(stdout);
  fprintf(stderr, "%s: %s\n", host_name, message);
  fflush(stderr);
}

static int to_text(lua_State *L) {
  luaL_tolstring(L, 1, NULL);
  return 1;
}

/* Adds to Lua's message on top what a misspelt name may have been meant for;
** without memory for that it stays as it is. */
static void add_hint(lua_State *L) {
  if (strstr(lua_tostring(L, -1), "a nil value (") == NULL) return;
  int top = lua_gettop(L);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "boxd.cli.hint");
  if (lua_pcall(L, 1, 1, 0) == LUA_OK) {
    lua_pushvalue(L, top);
    if (lua_pcall(L, 1, 1, 0) == LUA_OK && lua_isstring(L, -1)) {
      lua_concat(L, 2);
      return;
    }
  }
  lua_settop(L, top);
}

/* Any error value as text with a traceback, which an interrupt needs not; a
** broken __tostring cannot hurt. */
static int describe(lua_State *L) {
  int type = lua_type(L, 1);
  lua_settop(L, 1);
  if (type == LUA_TSTRING || type == LUA_TNUMBER) {
    lua_tostring(L, 1);
    add_hint(L);
  } else if (luaL_getmetafield(L, 1, "__tostring") != LUA_TNIL) {
    lua_pushcfunction(L, to_text);
    lua_pushvalue(L, 1);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK)
      lua_pushfstring(L, "(error object is a %s value whose __tostring fails)",
                      luaL_typename(L, 1));
  } else {
    lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
  }
  bool stopped = host_signal_status() && lbx_error_test(L, 1) == BX_CANCELLED;
  if (stopped && host_signal_status() == 128 + SIGPIPE) {
    lua_pushboolean(L, 0); /* it ends without a word, as lua(1) does */
    return 1;
  }
  if (!stopped) luaL_traceback(L, L, lua_tostring(L, -1), 1);
  return 1;
}

int host_call(lua_State *L, int n, int results) {
  int base = lua_gettop(L) - n;
  lua_pushcfunction(L, describe);
  lua_insert(L, base);
  int status = lua_pcall(L, n, results, base);
  lua_remove(L, base);
  return status;
}

int host_report(lua_State *L, int status) {
  if (status == LUA_OK) return status;
  const char *message = lua_tostring(L, -1);
  if (!lua_isboolean(L, -1))
    host_complain(message != NULL ? message : "(error without a message)");
  lua_pop(L, 1);
  return status;
}

/* Runs what luaL_load* left: a function, or a message when status says so. */
static int run_loaded(lua_State *L, int status) {
  if (status == LUA_OK) status = host_call(L, 0, 0);
  return host_report(L, status);
}

int host_run_file(lua_State *L, const char *name) {
  return run_loaded(L, luaL_loadfile(L, name));
}

int host_run_string(lua_State *L, const char *code, const char *chunkname) {
  return run_loaded(L, luaL_loadbuffer(L, code, strlen(code), chunkname));
}

int host_run_library(lua_State *L, const char *spec) {
  const char *equals = strchr(spec, '=');
  const char *module = equals != NULL ? equals + 1 : spec;
  lua_getglobal(L, "require");
  lua_pushstring(L, module);
  int status = host_call(L, 1, 1);
  if (status != LUA_OK) return host_report(L, status);
  lua_pushglobaltable(L);
  lua_pushlstring(L, spec, equals != NULL ? (size_t)(equals - spec)
                                          : strlen(spec));
  lua_rotate(L, -3, -1);
  lua_settable(L, -3);
  lua_pop(L, 1);
  return LUA_OK;
}

int host_run_init(lua_State *L) {
  const char *name = "=LUA_INIT" LUA_VERSUFFIX;
  const char *init = getenv(name + 1);
  if (init == NULL) {
    name = "=LUA_INIT";
    init = getenv(name + 1);
  }
  if (init == NULL) return LUA_OK;
  if (init[0] == '@') return host_run_file(L, init + 1);
  return host_run_string(L, init, name);
}

/* Pushes what the global `arg`, which code before may have changed, holds. */
static int push_arguments(lua_State *L) {
  if (lua_getglobal(L, "arg") != LUA_TTABLE)
    luaL_error(L, "'arg' is not a table");
  int table = lua_gettop(L);
  int n = (int)luaL_len(L, table);
  luaL_checkstack(L, n + 3, "too many arguments to script");
  for (int i = 1; i <= n; i++) lua_rawgeti(L, table, i);
  lua_remove(L, table);
  return n;
}

int host_run_script(lua_State *L, const host_options *o) {
  const char *name = o->from_stdin ? NULL : o->argv[o->script];
  int status = luaL_loadfile(L, name);
  if (status == LUA_OK) status = host_call(L, push_arguments(L), 0);
  return host_report(L, status);
}
