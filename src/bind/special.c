#include "special.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <string.h>
#include <unistd.h>

#include "../core/runtime.h"
#include "type.h"

#define TYPE "boxd.Special"

static int refuse(lua_State *L, int err) {
  if (err == EAGAIN || err == EINTR) {
    lua_pushboolean(L, 0);
    return 1;
  }
  luaL_pushfail(L);
  lua_pushstring(L, strerror(err));
  return 2;
}

int lbx_special_open(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  int *fd = lbx_new(L, sizeof *fd, 0, TYPE);
  *fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (*fd >= 0) return 1;
  return refuse(L, errno == ENXIO ? EAGAIN : errno);
}

static int m_write(lua_State *L) {
  int *fd = luaL_checkudata(L, 1, TYPE);
  size_t len;
  const char *data = luaL_checklstring(L, 2, &len);
  lua_Integer from = luaL_checkinteger(L, 3);
  luaL_argcheck(L, from >= 0 && (size_t)from <= len, 3, "out of the data");
  ssize_t n = bx_write_quietly(*fd, data + from, len - (size_t)from);
  if (n < 0) return refuse(L, errno);
  lua_pushinteger(L, n);
  return 1;
}

static int m_close(lua_State *L) {
  int *fd = luaL_checkudata(L, 1, TYPE);
  int err = *fd >= 0 && close(*fd) < 0 ? errno : 0;
  *fd = -1;
  if (err && err != EINTR) return refuse(L, err);
  lua_pushboolean(L, 1);
  return 1;
}

void lbx_open_special(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"write", m_write}, {"close", m_close}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", m_close}, {NULL, NULL}};
  lbx_newtype(L, TYPE, methods, meta);
}
