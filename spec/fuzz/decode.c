/*
** decode: any bytes as any message of the contract. protobuf-c says what they
** hold; our reader must say the same, and what it read must survive the way to
** the wire and back.
*/
#include <lauxlib.h>
#include <stdbool.h>
#include <stdlib.h>

#include "bind/codec.h"
#include "bind/decode.h"
#include "bind/error.h"
#include "core/message.h"
#include "core/wire.h"
#include "state.h"

/* encode(message descriptor, table) -> bytes; raises what can't be sent. */
static int encode(lua_State *L) {
  lbx_arena *a = lbx_arena_new(L);
  lua_insert(L, 1);
  ProtobufCMessage *m = lbx_encode(L, 3, lua_touserdata(L, 2), a);
  size_t len = protobuf_c_message_get_packed_size(m);
  luaL_Buffer b;
  char *to = luaL_buffinitsize(L, &b, len);
  luaL_pushresultsize(&b, protobuf_c_message_pack(m, (uint8_t *)to));
  return 1;
}

/* The table on the top, sent and received. Text that is not UTF-8 and numbers
** beyond Lua's can be received only. */
static void again(lua_State *L, const ProtobufCMessageDescriptor *d) {
  size_t len;
  lua_pushcfunction(L, encode);
  lua_pushlightuserdata(L, (void *)d);
  lua_pushvalue(L, -3);
  if (lua_pcall(L, 2, 1, 0) == LUA_OK) {
    const uint8_t *bytes = (const uint8_t *)lua_tolstring(L, -1, &len);
    ProtobufCMessage *m = protobuf_c_message_unpack(d, NULL, len, bytes);
    if (!m) fuzz_fail("%s: what we sent is malformed", d->short_name);
    lua_insert(L, -2);
    fuzz_same(L, m);
    protobuf_c_message_free_unpacked(m, NULL);
  } else if (lbx_error_test(L, -1) != BX_INVALID_ARGUMENT) {
    fuzz_fail("%s: %s", d->short_name, luaL_tolstring(L, -1, NULL));
  }
}

/* What protobuf-c takes and we refuse, in d or in what it holds: a boolean that
** is no varint, a field number 0 in more bytes than it needs, or one that is
** beyond all numbers. */
static bool is_lax(const ProtobufCMessageDescriptor *d, const uint8_t *p,
                   size_t len) {
  bx_reader r = {p, p + len};
  bx_field w;
  while (r.p < r.end) {
    uint64_t key;
    bx_reader ahead = r;
    if (bx_read_varint(&ahead, &key) && (key >> 3 == 0 || key >> 32))
      return true;
    if (!bx_read_field(&r, &w)) return false;
    const ProtobufCFieldDescriptor *f =
        protobuf_c_message_descriptor_get_field(d, w.id);
    if (!f) continue;
    if (f->type == PROTOBUF_C_TYPE_BOOL && w.type != BX_WIRE_VARINT)
      return true;
    if (f->type == PROTOBUF_C_TYPE_MESSAGE && w.type == BX_WIRE_BYTES &&
        is_lax(f->descriptor, w.s, w.n))
      return true;
  }
  return false;
}

/* Does a message, in d or in what it holds, come in pieces? protobuf-c refuses
** them where both lack a oneof's member, and loses fields of some: it tells
** nothing of these. */
static bool is_in_pieces(const ProtobufCMessageDescriptor *d, const uint8_t *p,
                         size_t len) {
  bx_reader r = {p, p + len};
  bx_field w;
  bool seen[256] = {false};
  while (r.p < r.end && bx_read_field(&r, &w)) {
    const ProtobufCFieldDescriptor *f =
        protobuf_c_message_descriptor_get_field(d, w.id);
    if (!f || f->type != PROTOBUF_C_TYPE_MESSAGE) continue;
    bool *one = &seen[f - d->fields];
    if ((*one && f->label != PROTOBUF_C_LABEL_REPEATED) ||
        is_in_pieces(f->descriptor, w.s, w.n))
      return true;
    *one = true;
  }
  return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  fuzz_input in = {data, data + len};
  const ProtobufCMessageDescriptor *d = fuzz_message(&in);
  len = (size_t)(in.end - in.p);
  ProtobufCMessage *m = protobuf_c_message_unpack(d, NULL, len, in.p);
  lua_State *L = fuzz_state();
  bool ok = lbx_decode(L, d, in.p, len);
  if (lua_gettop(L) != ok) fuzz_fail("the stack is not as it was");
  if (bx_message_valid(d, in.p, len) != ok)
    fuzz_fail("%s: only %s takes it", d->short_name, ok ? "decode" : "valid");
  bool told = ok ? !is_in_pieces(d, in.p, len) : !is_lax(d, in.p, len);
  if (ok != (m != NULL) && told)
    fuzz_fail("%s: only %s takes it", d->short_name, ok ? "ours" : "protobuf-c");
  if (ok && told) fuzz_same(L, m);
  if (ok) again(L, d);
  if (m) protobuf_c_message_free_unpacked(m, NULL);
  lua_close(L);
  return 0;
}
