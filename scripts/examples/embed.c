/* A program with Lua and boxd inside:
**   cc embed.c $(pkg-config --cflags --libs boxd) -o embed
**   ./embed script.lua */
#include <boxd.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>

int main(int argc, char **argv) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  luaL_requiref(L, "boxd", luaopen_boxd, 1);
  lua_settop(L, 0);
  int failed = luaL_dofile(L, argc > 1 ? argv[1] : NULL);
  if (failed) fprintf(stderr, "%s\n", luaL_tolstring(L, -1, NULL));
  lua_close(L);
  return failed;
}
