#include "state.h"

#include <lauxlib.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bind/codec.h"
#include "bind/error.h"
#include "boxd.pb-c.h"
#include "core/message.h"

typedef ProtobufCMessageDescriptor Message;
typedef ProtobufCFieldDescriptor Field;

#define MEMBER(type, m, offset) (*(type const *)((const char *)(m) + (offset)))
#define MESSAGES_MAX 1024

_Noreturn void fuzz_fail(const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  vfprintf(stderr, fmt, ap);
  va_end(ap);
  fputc('\n', stderr);
  abort();
}

uint8_t fuzz_byte(fuzz_input *in) { return in->p < in->end ? *in->p++ : 0; }

uint64_t fuzz_bits(fuzz_input *in, unsigned bytes) {
  uint64_t n = 0;
  while (bytes--) n = n << 8 | fuzz_byte(in);
  return n;
}

lua_State *fuzz_state(void) {
  lua_State *L = luaL_newstate();
  if (!L) fuzz_fail("no memory for a Lua state");
  lua_newtable(L);
  lbx_open_error(L);
  lua_settop(L, 0);
  return L;
}

/* ---- the contract's messages ---- */

static const Message *messages[MESSAGES_MAX];
static size_t message_count;
static bool complete;

static void add_message(const Message *d) {
  for (size_t i = 0; i < message_count; i++)
    if (messages[i] == d) return;
  if (message_count == MESSAGES_MAX) fuzz_fail("MESSAGES_MAX is too small");
  messages[message_count++] = d;
  for (unsigned i = 0; i < d->n_fields; i++)
    if (d->fields[i].type == PROTOBUF_C_TYPE_MESSAGE)
      add_message(d->fields[i].descriptor);
}

const Message *fuzz_message(fuzz_input *in) {
  const ProtobufCServiceDescriptor *s = &boxd__api__v1__boxd_api__descriptor;
  for (unsigned i = 0; !complete && i < s->n_methods; i++) {
    add_message(s->methods[i].input);
    add_message(s->methods[i].output);
  }
  complete = true;
  return messages[fuzz_bits(in, 2) % message_count];
}

/* ---- a message and its table ---- */

static void fail_at(const Message *d, const Field *f, const char *why) {
  fuzz_fail("%s.%s: %s", d->short_name, f->name, why);
}

static double number_of(const Field *f, const void *at) {
  return f->type == PROTOBUF_C_TYPE_FLOAT ? *(const float *)at
                                          : *(const double *)at;
}

static lua_Integer integer_of(const Field *f, const void *at) {
  switch (f->type) {
    case PROTOBUF_C_TYPE_INT32: case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32: case PROTOBUF_C_TYPE_ENUM:
      return *(const int32_t *)at;
    case PROTOBUF_C_TYPE_UINT32: case PROTOBUF_C_TYPE_FIXED32:
      return *(const uint32_t *)at;
    default: return (lua_Integer)*(const uint64_t *)at;
  }
}

/* Does the text on the top read as these bytes? */
static bool same_bytes(lua_State *L, const void *data, size_t len) {
  size_t n;
  if (lua_type(L, -1) != LUA_TSTRING) return false;
  const char *s = lua_tolstring(L, -1, &n);
  return n == len && (len == 0 || memcmp(s, data, len) == 0);
}

/* Does the value on the top read as the field's value at that address? */
static bool same_value(lua_State *L, const Field *f, const void *at) {
  const ProtobufCBinaryData *bytes = at;
  const char *text;
  double n, got;
  switch (f->type) {
    case PROTOBUF_C_TYPE_BOOL:
      return lua_isboolean(L, -1) &&
             lua_toboolean(L, -1) == !!*(const protobuf_c_boolean *)at;
    case PROTOBUF_C_TYPE_FLOAT: case PROTOBUF_C_TYPE_DOUBLE:
      n = number_of(f, at);
      got = lua_tonumber(L, -1);
      return lua_type(L, -1) == LUA_TNUMBER &&
             (got == n || (isnan(got) && isnan(n)));
    case PROTOBUF_C_TYPE_STRING:
      text = *(char *const *)at ? *(char *const *)at : "";
      return same_bytes(L, text, strlen(text));
    case PROTOBUF_C_TYPE_BYTES: return same_bytes(L, bytes->data, bytes->len);
    case PROTOBUF_C_TYPE_MESSAGE:
      fuzz_same(L, *(ProtobufCMessage *const *)at);
      return true;
    default:
      return lua_isinteger(L, -1) &&
             lua_tointeger(L, -1) == integer_of(f, at);
  }
}

static size_t size_of(const Field *f) {
  switch (f->type) {
    case PROTOBUF_C_TYPE_INT32: case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32: case PROTOBUF_C_TYPE_ENUM:
    case PROTOBUF_C_TYPE_UINT32: case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT: return 4;
    case PROTOBUF_C_TYPE_BOOL: return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_BYTES: return sizeof(ProtobufCBinaryData);
    default: return 8;
  }
}

static lua_Integer count_keys(lua_State *L) {
  lua_Integer n = 0;
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) n++;
  return n;
}

static void same_list(lua_State *L, const Message *d, const Field *f,
                      const void *m) {
  size_t n = MEMBER(size_t, m, f->quantifier_offset), size = size_of(f);
  const char *values = MEMBER(char *, m, f->offset);
  if (!lua_istable(L, -1) || (size_t)count_keys(L) != n)
    fail_at(d, f, "another length");
  for (size_t i = 0; i < n; i++) {
    lua_rawgeti(L, -1, (lua_Integer)i + 1);
    if (!same_value(L, f, values + i * size))
      fail_at(d, f, "another element");
    lua_pop(L, 1);
  }
}

/* The keys of all maps are text. */
static const char *key_of(const ProtobufCMessage *entry) {
  const char *key = MEMBER(char *, entry, entry->descriptor->fields[0].offset);
  return key ? key : "";
}

static void same_map(lua_State *L, const Message *d, const Field *f,
                     const void *m) {
  size_t n = MEMBER(size_t, m, f->quantifier_offset), distinct = 0;
  ProtobufCMessage **entries = MEMBER(ProtobufCMessage **, m, f->offset);
  for (size_t i = 0; i < n; i++) {
    const Field *value = &entries[i]->descriptor->fields[1];
    bool last = true;
    for (size_t j = i + 1; last && j < n; j++)
      last = strcmp(key_of(entries[i]), key_of(entries[j])) != 0;
    if (!last) continue;
    distinct++;
    lua_pushstring(L, key_of(entries[i]));
    lua_rawget(L, -2);
    if (!same_value(L, value, (char *)entries[i] + value->offset))
      fail_at(d, f, "another value");
    lua_pop(L, 1);
  }
  if ((size_t)count_keys(L) != distinct) fail_at(d, f, "other keys");
}

/* Is the field nil in the table? */
static bool unset(const Field *f, const void *m) {
  if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
    return MEMBER(uint32_t, m, f->quantifier_offset) != f->id;
  if (f->type == PROTOBUF_C_TYPE_STRING) {
    const char *text = MEMBER(char *, m, f->offset);
    return !text || !*text;
  }
  return f->type == PROTOBUF_C_TYPE_MESSAGE && !MEMBER(void *, m, f->offset);
}

void fuzz_same(lua_State *L, const ProtobufCMessage *m) {
  const Message *d = m->descriptor;
  lua_Integer set = 0;
  luaL_checkstack(L, 8, NULL);
  if (!lua_istable(L, -1)) fuzz_fail("%s: no table", d->short_name);
  for (unsigned i = 0; i < d->n_fields; i++) {
    const Field *f = &d->fields[i];
    lua_pushstring(L, f->name);
    lua_rawget(L, -2);
    bool nil = lua_isnil(L, -1);
    set += !nil;
    if (bx_message_is_map(d, f))
      same_map(L, d, f, m);
    else if (f->label == PROTOBUF_C_LABEL_REPEATED)
      same_list(L, d, f, m);
    else if (unset(f, m) ? !nil
                         : !same_value(L, f, (const char *)m + f->offset))
      fail_at(d, f, "another value");
    lua_pop(L, 1);
  }
  if (count_keys(L) != set) fuzz_fail("%s: more fields", d->short_name);
}
