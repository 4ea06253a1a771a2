/* Finds the Lua modules that are inside boxdlua, before package.path. */
#include "boxdlua.h"

#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

static int by_name(const void *name, const void *module) {
  return strcmp(name, ((const host_module *)module)->name);
}

static int m_search(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  const host_module *m = bsearch(name, host_modules, host_module_count,
                                 sizeof *host_modules, by_name);
  if (m == NULL) {
    lua_pushfstring(L, "no module '%s' inside boxdlua", name);
    return 1;
  }
  if (luaL_loadbufferx(L, m->code, m->size, m->chunk, "b") != LUA_OK)
    return lua_error(L);
  lua_pushstring(L, m->chunk + 1);
  return 2;
}

void host_embed_install(lua_State *L) {
  lua_getglobal(L, LUA_LOADLIBNAME);
  lua_getfield(L, -1, "searchers");
  for (lua_Integer i = luaL_len(L, -1); i >= 2; i--) {
    lua_geti(L, -1, i);
    lua_seti(L, -2, i + 1);
  }
  lua_pushcfunction(L, m_search);
  lua_seti(L, -2, 2);
  lua_pop(L, 2);
}
