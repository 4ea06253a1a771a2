/*
** json: any bytes as JSON. What the check lets through cJSON must take too and
** Lua must hold unaltered: written out and read again it is the same text.
*/
#include "bind/json.h"

#include <lauxlib.h>

#include "bind/error.h"
#include "core/json.h"
#include "state.h"

/* Calls json.NAME with the value on the top; fails unless it works as told. */
static bool call(lua_State *L, const char *name, bool works) {
  lua_getfield(L, 1, name);
  lua_insert(L, -2);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK) return true;
  if (works || lbx_error_test(L, -1) != BX_INVALID_ARGUMENT)
    fuzz_fail("json.%s: %s", name, luaL_tolstring(L, -1, NULL));
  return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  bx_error e;
  lua_State *L = fuzz_state();
  bool valid = bx_json_check((const char *)data, len, &e) == BX_OK;
  lbx_open_json(L);
  lua_pushlstring(L, (const char *)data, len);
  /* A float beyond the largest is all that the check leaves to decode. */
  if (call(L, "decode", false)) {
    if (!valid) fuzz_fail("decode takes what the check refuses");
    call(L, "encode", true);
    lua_pushvalue(L, -1);
    call(L, "decode", true);
    call(L, "encode", true);
    if (!lua_rawequal(L, -1, -2))
      fuzz_fail("%s\n%s", lua_tostring(L, -2), lua_tostring(L, -1));
  }
  lua_close(L);
  return 0;
}
