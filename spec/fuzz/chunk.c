/*
** chunk: any bytes as the message that exec's output comes in, which has a
** reader of its own: whatever is an ExecChunk it reads as decode does.
*/
#include "../../src/bind/exec_queue.c"

#include <lauxlib.h>

#include "bind/decode.h"
#include "state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  const ProtobufCMessageDescriptor *d = &boxd__api__v1__exec_chunk__descriptor;
  lbx_chunk *c = malloc(sizeof *c + len);
  lua_State *L = fuzz_state();
  int32_t exit_code = 0;
  bool is_stderr = false;
  size_t n;
  if (!c) fuzz_fail("no memory");
  *c = (lbx_chunk){.len = 0};
  memcpy(c->message, data, len);
  bool ok = read_chunk(c, len, &exit_code, &is_stderr);
  if (lbx_decode(L, d, data, len)) {
    lua_getfield(L, 1, "data");
    const char *text = lua_tolstring(L, -1, &n);
    if (!ok || n != c->len || (n && memcmp(text, c->data, n)))
      fuzz_fail("other data");
    lua_getfield(L, 1, "exit_code");
    lua_getfield(L, 1, "is_stderr");
    if (lua_tointeger(L, -2) != exit_code || lua_toboolean(L, -1) != is_stderr)
      fuzz_fail("another end");
  }
  lua_close(L);
  free(c);
  return 0;
}
