/*
** encode: tables made up from the input, true to the contract for the most part
** and wrong in every way Lua knows. What is refused must be refused with an
** InvalidArgumentError; what is sent must read back, by protobuf-c and by us,
** and be the same bytes when sent again.
*/
#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

#include "bind/codec.h"
#include "bind/decode.h"
#include "bind/error.h"
#include "state.h"

typedef ProtobufCMessageDescriptor Message;
typedef ProtobufCFieldDescriptor Field;

#define DEPTH_MAX 8

static void push_value(lua_State *L, fuzz_input *in, const Field *f, int depth);

static void push_text(lua_State *L, fuzz_input *in) {
  size_t len = fuzz_byte(in) & 31;
  if (len > (size_t)(in->end - in->p)) len = (size_t)(in->end - in->p);
  lua_pushlstring(L, (const char *)in->p, len);
  in->p += len;
}

/* Anything at all. */
static void push_any(lua_State *L, fuzz_input *in) {
  double n;
  uint64_t bits;
  switch (fuzz_byte(in) & 7) {
    case 0: lua_pushnil(L); break;
    case 1: lua_pushboolean(L, 1); break;
    case 2: lua_pushinteger(L, (lua_Integer)fuzz_bits(in, 8)); break;
    case 3:
      bits = fuzz_bits(in, 8);
      memcpy(&n, &bits, sizeof n);
      lua_pushnumber(L, n);
      break;
    case 4: push_text(L, in); break;
    case 5: lua_newtable(L); break;
    case 6: lua_newuserdatauv(L, 0, 0); break;
    case 7:
      lua_newtable(L);
      lua_pushvalue(L, -1);
      lua_rawseti(L, -2, 1); /* it holds itself */
      break;
  }
}

static void push_table(lua_State *L, fuzz_input *in, const Message *d,
                       int depth) {
  unsigned n = fuzz_byte(in) & 15;
  luaL_checkstack(L, 8, NULL);
  lua_newtable(L);
  for (; n && d->n_fields && depth < DEPTH_MAX; n--) {
    const Field *f = &d->fields[fuzz_byte(in) % d->n_fields];
    push_value(L, in, f, depth + 1);
    lua_setfield(L, -2, f->name);
  }
  if (fuzz_byte(in) < 4) {
    push_text(L, in);
    push_any(L, in);
    lua_rawset(L, -3);
  }
}

static void push_scalar(lua_State *L, fuzz_input *in, const Field *f,
                        int depth) {
  uint8_t how = fuzz_byte(in);
  if (how < 8) {
    push_any(L, in);
    return;
  }
  switch (f->type) {
    case PROTOBUF_C_TYPE_MESSAGE: push_table(L, in, f->descriptor, depth); break;
    case PROTOBUF_C_TYPE_STRING: case PROTOBUF_C_TYPE_BYTES:
      push_text(L, in);
      break;
    case PROTOBUF_C_TYPE_BOOL: lua_pushboolean(L, how & 1); break;
    case PROTOBUF_C_TYPE_FLOAT: case PROTOBUF_C_TYPE_DOUBLE:
      lua_pushnumber(L, (int32_t)fuzz_bits(in, 4) / 8.0);
      break;
    default:
      lua_pushinteger(L, (lua_Integer)fuzz_bits(in, how & 1 ? 1 : 8));
      break;
  }
}

static void push_map(lua_State *L, fuzz_input *in, const Message *entry,
                     int depth) {
  lua_newtable(L);
  for (unsigned n = fuzz_byte(in) & 7; n; n--) {
    push_scalar(L, in, &entry->fields[0], depth);
    if (lua_isnil(L, -1) ||
        (lua_type(L, -1) == LUA_TNUMBER && !lua_rawequal(L, -1, -1))) {
      lua_pop(L, 1);
      continue;
    }
    push_scalar(L, in, &entry->fields[1], depth);
    lua_rawset(L, -3);
  }
}

static void push_value(lua_State *L, fuzz_input *in, const Field *f,
                       int depth) {
  luaL_checkstack(L, 8, NULL);
  if (f->label != PROTOBUF_C_LABEL_REPEATED) {
    push_scalar(L, in, f, depth);
    return;
  }
  const Message *entry = f->descriptor;
  if (f->type == PROTOBUF_C_TYPE_MESSAGE && strstr(entry->name, "Entry")) {
    push_map(L, in, entry, depth);
    return;
  }
  lua_newtable(L);
  lua_Integer n = fuzz_byte(in) & 7;
  for (lua_Integer i = 1; i <= n; i++) {
    push_scalar(L, in, f, depth);
    lua_rawseti(L, -2, i);
  }
}

/* encode(table) -> bytes, for the message of the upvalue. */
static int encode(lua_State *L) {
  const Message *d = lua_touserdata(L, lua_upvalueindex(1));
  lbx_arena *a = lbx_arena_new(L);
  ProtobufCMessage *m = lbx_encode(L, 1, d, a);
  size_t len = protobuf_c_message_get_packed_size(m);
  luaL_Buffer b;
  char *to = luaL_buffinitsize(L, &b, len);
  luaL_pushresultsize(&b, protobuf_c_message_pack(m, (uint8_t *)to));
  return 1;
}

static bool sent(lua_State *L, const Message *d) {
  lua_pushlightuserdata(L, (void *)d);
  lua_pushcclosure(L, encode, 1);
  lua_insert(L, -2);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK) return true;
  if (lbx_error_test(L, -1) != BX_INVALID_ARGUMENT)
    fuzz_fail("%s: %s", d->short_name, luaL_tolstring(L, -1, NULL));
  return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  fuzz_input in = {data, data + len};
  const Message *d = fuzz_message(&in);
  lua_State *L = fuzz_state();
  push_table(L, &in, d, 0);
  if (sent(L, d)) {
    const uint8_t *bytes = (const uint8_t *)lua_tolstring(L, 1, &len);
    ProtobufCMessage *m = protobuf_c_message_unpack(d, NULL, len, bytes);
    if (!m || !lbx_decode(L, d, bytes, len))
      fuzz_fail("%s: what we sent is malformed", d->short_name);
    fuzz_same(L, m);
    protobuf_c_message_free_unpacked(m, NULL);
    if (!sent(L, d) || !lua_rawequal(L, 1, 2))
      fuzz_fail("%s: it differs when sent again", d->short_name);
  }
  lua_close(L);
  return 0;
}
