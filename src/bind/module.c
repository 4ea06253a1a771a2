#include "module.h"

#include <lauxlib.h>
#include <string.h>

#include "../core/text.h"
#include "../core/version.h"
#include "await.h"
#include "client.h"
#include "clock.h"
#include "config.h"
#include "bytes.h"
#include "digest.h"
#include "embedded.h"
#include "text.h"
#include "error.h"
#include "exec.h"
#include "fd.h"
#include "folder.h"
#include "gate.h"
#include "host.h"
#include "http.h"
#include "json.h"
#include "lease.h"
#include "stream.h"
#include "tar.h"
#include "special.h"
#include "task.h"
#include "terminal.h"
#include "type.h"
#include "types.h"

/* Names of the module that live in Lua files, loaded when first asked for. */
static const char *const lazy[][2] = {
    {"Compute", "boxd.compute"}, {"path", "boxd.path"},       {"gather", "boxd.tasks"},
    {"map", "boxd.tasks"},       {"attach", "boxd.terminal"},
    {"prefix", "boxd.terminal"}, {"spec", "boxd.spec"},
    {"wait_until", "boxd.wait"},
    {"provision", "boxd.provision"},
};

#define LAZY_COUNT (sizeof lazy / sizeof *lazy)
#define NAMES_MAX 256

static int load_lazy(lua_State *L, size_t i) {
  lbx_require_field(L, lazy[i][1], lazy[i][0]);
  lua_pushvalue(L, 2);
  lua_pushvalue(L, -2);
  lua_rawset(L, 1);
  return 1;
}

/* A slip of the pen is an error; a name unlike any other is nil, so that a
** script may ask whether a later boxd has it. */
static int misspelt(lua_State *L, const char *key) {
  const char *names[NAMES_MAX];
  size_t n = 0;
  for (; n < LAZY_COUNT; n++) names[n] = lazy[n][0];
  for (lua_pushnil(L); lua_next(L, 1) && n < NAMES_MAX; lua_pop(L, 1))
    if (lua_type(L, -2) == LUA_TSTRING) names[n++] = lua_tostring(L, -2);
  const char *near = bx_text_nearest(key, names, n);
  if (!near) return 0;
  return lbx_error_usage(L, "boxd has no '%s' (did you mean '%s'?)", key, near);
}

/* boxd.Compute and its like, until they are there. */
static int m__index(lua_State *L) {
  if (lua_type(L, 2) != LUA_TSTRING) return 0;
  const char *key = lua_tostring(L, 2);
  for (size_t i = 0; i < LAZY_COUNT; i++)
    if (strcmp(key, lazy[i][0]) == 0) return load_lazy(L, i);
  return *key == '_' ? 0 : misspelt(L, key);
}

/* So that `for k in pairs(boxd)` shows all of it. */
static int m__pairs(lua_State *L) {
  lua_settop(L, 1);
  for (size_t i = 0; i < LAZY_COUNT; i++) {
    lua_getfield(L, 1, lazy[i][0]);
    lua_pop(L, 1);
  }
  lua_getglobal(L, "next");
  lua_pushvalue(L, 1);
  return 2;
}

/* core.provided() -> { api_url=, exchange_url=, api_key= } of the service that
** boxdlua --local started, or nil. */
static int provided(lua_State *L) {
  static const char *const fields[] = {"api_url", "exchange_url", "api_key"};
  lua_createtable(L, 0, 3);
  for (int i = 0; i < 3; i++) {
    lua_pushfstring(L, "boxd.local.%s", fields[i]);
    if (lua_rawget(L, LUA_REGISTRYINDEX) != LUA_TSTRING) return 0;
    lua_setfield(L, -2, fields[i]);
  }
  return 1;
}

/* core.is_boxdlua() -> boolean */
static int is_boxdlua(lua_State *L) {
  lua_pushboolean(L, !lbx_state_get(L)->host);
  return 1;
}

/* core.at_exit(fn): boxdlua calls fn(false) before it cancels the tasks at the
** end of a script, fn(true) after it. */
static int at_exit(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LBX_AT_EXIT);
  lua_pushvalue(L, 1);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  return 0;
}

/* core.at_close(fn): a Compute that is closed calls fn(compute), which may
** wait. */
static int at_close(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_setfield(L, LUA_REGISTRYINDEX, LBX_AT_CLOSE);
  return 0;
}

static int open_core(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"provided", provided}, {"is_boxdlua", is_boxdlua},
      {"at_exit", at_exit},
      {"at_close", at_close}, {"bytes", lbx_bytes},
      {"digest", lbx_digest}, {"folder", lbx_folder},
      {"kind", lbx_folder_kind},  {"make_folder", lbx_folder_make},
      {"stat", lbx_folder_stat},  {"set_mode", lbx_folder_set_mode},
      {"open", lbx_folder_open},
      {"set_time", lbx_folder_set_time}, {"link", lbx_folder_link},
      {"tar_header", lbx_tar_header}, {"gate", lbx_gate},
      {"lease", lbx_lease},
      {"make_private", lbx_folder_private}, {"umask", lbx_folder_mask},
      {"open_special", lbx_special_open},
      {NULL, NULL}};
  luaL_newlib(L, functions);
  lbx_open_client(L);
  lbx_open_object_core(L);
  lbx_open_record_core(L);
  lbx_open_types(L);
  lbx_open_error_core(L);
  lbx_open_exec_core(L);
  lbx_open_http_core(L);
  lbx_open_task_core(L);
  lbx_open_special(L);
  lbx_open_fd(L);
  lbx_open_gate(L);
  lbx_open_lease(L);
  lbx_open_terminal(L);
  lbx_open_text(L);
  lua_setfield(L, -2, "text");
  return 1;
}

/* A file inside: what package.preload calls. */
static int load_file(lua_State *L) {
  const lbx_file *f = lua_touserdata(L, lua_upvalueindex(1));
  if (luaL_loadbufferx(L, f->code, f->size, f->chunk, "t") != LUA_OK)
    return lua_error(L);
  lua_pushvalue(L, 1);
  lua_call(L, 1, 1);
  return 1;
}

/* So that boxd.so alone is all there need be. boxdlua has them as bytecode. */
static void open_files(lua_State *L) {
  if (!lbx_state_get(L)->host) return;
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  for (const lbx_file *f = lbx_files; f < lbx_files + lbx_file_count; f++) {
    lua_pushlightuserdata(L, (void *)f);
    lua_pushcclosure(L, load_file, 1);
    lua_setfield(L, -2, f->name);
  }
  lua_pop(L, 1);
}

static const lbx_file *file_named(const char *name) {
  for (const lbx_file *f = lbx_files; f < lbx_files + lbx_file_count; f++)
    if (strcmp(f->name, name) == 0) return f;
  return NULL;
}

/* Lua finds these in boxd.so by their names, before boxd itself is loaded. */
static int open_file(lua_State *L, const char *name) {
  lua_settop(L, 0);
  lua_pushlightuserdata(L, (void *)file_named(name));
  lua_pushcclosure(L, load_file, 1);
  lua_pushstring(L, name);
  lua_call(L, 1, 1);
  return 1;
}

int luaopen_boxd_loop_luv(lua_State *L) {
  return open_file(L, "boxd.loop.luv");
}

int luaopen_boxd_loop_cqueues(lua_State *L) {
  return open_file(L, "boxd.loop.cqueues");
}

int luaopen_boxd_loop_copas(lua_State *L) {
  return open_file(L, "boxd.loop.copas");
}

int luaopen_boxd_loop_glib(lua_State *L) {
  return open_file(L, "boxd.loop.glib");
}

int luaopen_boxd(lua_State *L) {
  static const luaL_Reg meta[] = {
      {"__index", m__index}, {"__pairs", m__pairs}, {NULL, NULL}};
  luaL_checkversion(L);
  lbx_open_state(L);
  open_files(L);
  luaL_requiref(L, "boxd.core", open_core, 0);
  lua_pop(L, 1);
  lua_newtable(L);
  lua_pushliteral(L, "boxd " BX_VERSION);
  lua_setfield(L, -2, "_VERSION");
  lbx_open_error(L);
  lbx_open_task(L);
  lbx_open_clock(L);
  lbx_open_host(L);
  lbx_open_stream(L);
  lbx_open_exec(L);
  lbx_open_http(L);
  lbx_open_json(L);
  lua_setfield(L, -2, "json");
  lua_pushcfunction(L, lbx_box_config);
  lua_setfield(L, -2, "BoxConfig");
  lua_pushcfunction(L, lbx_type_value);
  lua_setfield(L, -2, "type");
  lua_pushcfunction(L, lbx_has);
  lua_setfield(L, -2, "has");
  lua_pushcfunction(L, lbx_sha256);
  lua_setfield(L, -2, "sha256");
  luaL_newlib(L, meta);
  lua_setmetatable(L, -2);
  return 1;
}
