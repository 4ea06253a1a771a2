#include "bytes.h"

#include <lauxlib.h>

#include "../core/channel.h"
#include "type.h"

#define TYPE "boxd.Bytes"

bx_buf *lbx_bytes_test(lua_State *L, int idx) {
  return luaL_testudata(L, idx, TYPE);
}

static int m__gc(lua_State *L) {
  bx_buf_free(luaL_checkudata(L, 1, TYPE));
  return 0;
}

static int m_write(lua_State *L) {
  bx_buf *b = luaL_checkudata(L, 1, TYPE);
  size_t len;
  const char *s = luaL_checklstring(L, 2, &len);
  if (!bx_buf_add(b, s, len)) return luaL_error(L, "not enough memory");
  lua_settop(L, 1);
  return 1;
}

/* Room for what is said to come: it may not, so that more than a message holds is
** not believed, and too little memory is no error yet. */
static int m_reserve(lua_State *L) {
  bx_buf *b = luaL_checkudata(L, 1, TYPE);
  lua_Integer n = luaL_checkinteger(L, 2);
  if (n > (lua_Integer)b->len && n <= BX_MESSAGE_BYTES_MAX)
    bx_buf_reserve(b, (size_t)n - b->len);
  return 0;
}

static int m_take(lua_State *L) {
  bx_buf *b = luaL_checkudata(L, 1, TYPE);
  lua_pushlstring(L, b->data ? b->data : "", b->len);
  bx_buf_free(b);
  return 1;
}

int lbx_bytes(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"write", m_write}, {"reserve", m_reserve}, {"take", m_take}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", m__gc}, {NULL, NULL}};
  if (luaL_getmetatable(L, TYPE) == LUA_TNIL)
    lbx_newtype(L, TYPE, methods, meta);
  lbx_new(L, sizeof(bx_buf), 0, TYPE);
  return 1;
}
