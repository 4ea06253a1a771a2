#include "codec.h"

#include <lauxlib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../core/message.h"
#include "../core/text.h"
#include "boxd.pb-c.h"
#include "decode.h"
#include "error.h"
#include "path.h"
#include "type.h"

typedef ProtobufCMessageDescriptor Message;
typedef ProtobufCFieldDescriptor Field;

/* The contract nests 4 deep; this guards the C stack should it ever recurse,
   when a table can contain itself. */
#define DEPTH_MAX 100

#define MEMBER(type, m, offset) (*(type *)((char *)(m) + (offset)))

typedef struct encoder {
  lua_State *L;
  lbx_arena *a;
} encoder;

static bool is_oneof(const Field *f) {
  return f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
}

static size_t value_size(const Field *f) {
  switch (f->type) {
    case PROTOBUF_C_TYPE_INT32: case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32: case PROTOBUF_C_TYPE_ENUM:
    case PROTOBUF_C_TYPE_UINT32: case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT: return 4;
    case PROTOBUF_C_TYPE_INT64: case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64: case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64: case PROTOBUF_C_TYPE_DOUBLE: return 8;
    case PROTOBUF_C_TYPE_BOOL: return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_BYTES: return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_STRING: case PROTOBUF_C_TYPE_MESSAGE: break;
  }
  return sizeof(void *);
}

/* ---- Lua to message: the value is on the top of the stack ---- */

static ProtobufCMessage *encode_message(encoder *c, const Message *d,
                                        const lbx_path *at);

static int wrong_type(encoder *c, const lbx_path *at, const char *expected) {
  return lbx_path_error(c->L, at, "expected %s, got %s", expected,
                        luaL_typename(c->L, -1));
}

static void *allocate(encoder *c, size_t len, const lbx_path *at) {
  void *p = lbx_arena_alloc(c->a, len);
  if (!p) lbx_path_error(c->L, at, "too large: memory for it ran out");
  return p;
}

static lua_Integer get_integer(encoder *c, const lbx_path *at, int64_t min,
                               int64_t max) {
  int exact;
  if (lua_type(c->L, -1) != LUA_TNUMBER) wrong_type(c, at, "an integer");
  lua_Integer n = lua_tointegerx(c->L, -1, &exact);
  if (!exact || n < min || n > max)
    lbx_path_error(c->L, at, "%s is not an integer from %lld to %lld",
                   luaL_tolstring(c->L, -1, NULL), (long long)min,
                   (long long)max);
  return n;
}

static lua_Number get_number(encoder *c, const lbx_path *at) {
  if (lua_type(c->L, -1) != LUA_TNUMBER) wrong_type(c, at, "a number");
  return lua_tonumber(c->L, -1);
}

static const char *get_bytes(encoder *c, const lbx_path *at, size_t *len) {
  if (lua_type(c->L, -1) != LUA_TSTRING) wrong_type(c, at, "a string");
  return lua_tolstring(c->L, -1, len);
}

static const char *get_text(encoder *c, const lbx_path *at) {
  size_t len;
  const char *s = get_bytes(c, at, &len);
  lbx_path_check_text(c->L, at, s, len, "text");
  return s;
}

static void encode_value(encoder *c, const Field *f, void *to,
                         const lbx_path *at) {
  size_t len;
  switch (f->type) {
    case PROTOBUF_C_TYPE_INT32: case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32: case PROTOBUF_C_TYPE_ENUM:
      *(int32_t *)to = (int32_t)get_integer(c, at, INT32_MIN, INT32_MAX);
      break;
    case PROTOBUF_C_TYPE_UINT32: case PROTOBUF_C_TYPE_FIXED32:
      *(uint32_t *)to = (uint32_t)get_integer(c, at, 0, UINT32_MAX);
      break;
    case PROTOBUF_C_TYPE_INT64: case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
      *(int64_t *)to = get_integer(c, at, INT64_MIN, INT64_MAX);
      break;
    case PROTOBUF_C_TYPE_UINT64: case PROTOBUF_C_TYPE_FIXED64:
      *(uint64_t *)to = (uint64_t)get_integer(c, at, 0, INT64_MAX);
      break;
    case PROTOBUF_C_TYPE_FLOAT:
      *(float *)to = (float)get_number(c, at);
      break;
    case PROTOBUF_C_TYPE_DOUBLE:
      *(double *)to = get_number(c, at);
      break;
    case PROTOBUF_C_TYPE_BOOL:
      if (!lua_isboolean(c->L, -1)) wrong_type(c, at, "a boolean");
      *(protobuf_c_boolean *)to = lua_toboolean(c->L, -1);
      break;
    case PROTOBUF_C_TYPE_STRING:
      *(const char **)to = get_text(c, at);
      break;
    case PROTOBUF_C_TYPE_BYTES:
      ((ProtobufCBinaryData *)to)->data = (uint8_t *)get_bytes(c, at, &len);
      ((ProtobufCBinaryData *)to)->len = len;
      break;
    case PROTOBUF_C_TYPE_MESSAGE:
      *(ProtobufCMessage **)to = encode_message(c, f->descriptor, at);
      break;
  }
}

static void encode_repeated(encoder *c, const Field *f, void *m,
                            const lbx_path *at) {
  size_t n = lbx_path_list(c->L, at), size = value_size(f);
  char *values = allocate(c, n * size, at);
  for (size_t i = 0; i < n; i++) {
    lbx_path step = LBX_PATH_INDEX(at, (lua_Integer)i + 1);
    lua_rawgeti(c->L, -1, (lua_Integer)i + 1);
    encode_value(c, f, values + i * size, &step);
    lua_pop(c->L, 1);
  }
  MEMBER(void *, m, f->offset) = values;
  MEMBER(size_t, m, f->quantifier_offset) = n;
}

static int by_key(const void *a, const void *b) {
  const ProtobufCMessage *x = *(ProtobufCMessage *const *)a;
  const ProtobufCMessage *y = *(ProtobufCMessage *const *)b;
  unsigned key = x->descriptor->fields[0].offset;
  return strcmp(MEMBER(char *, x, key), MEMBER(char *, y, key));
}

static ProtobufCMessage *encode_entry(encoder *c, const Message *d,
                                      const lbx_path *at) {
  ProtobufCMessage *m = allocate(c, d->sizeof_message, at);
  m->descriptor = d;
  lua_pushvalue(c->L, -2); /* a copy: reading may not change lua_next's key */
  encode_value(c, &d->fields[0], (char *)m + d->fields[0].offset, at);
  lua_pop(c->L, 1);
  lbx_path step = LBX_PATH_NAME(at, MEMBER(char *, m, d->fields[0].offset));
  encode_value(c, &d->fields[1], (char *)m + d->fields[1].offset, &step);
  return m;
}

static void encode_map(encoder *c, const Field *f, void *m,
                       const lbx_path *at) {
  size_t n = 0, i = 0;
  if (!lua_istable(c->L, -1)) wrong_type(c, at, "a table (a map)");
  for (lua_pushnil(c->L); lua_next(c->L, -2); lua_pop(c->L, 1)) {
    n++;
    if (lua_type(c->L, -2) != LUA_TSTRING)
      lbx_path_error(c->L, at, "expected string keys, but it has the key [%s]",
                     luaL_tolstring(c->L, -2, NULL));
  }
  ProtobufCMessage **entries = allocate(c, n * sizeof *entries, at);
  for (lua_pushnil(c->L); lua_next(c->L, -2); lua_pop(c->L, 1))
    entries[i++] = encode_entry(c, f->descriptor, at);
  qsort(entries, n, sizeof *entries, by_key);
  MEMBER(void *, m, f->offset) = entries;
  MEMBER(size_t, m, f->quantifier_offset) = n;
}

/* The case of a oneof, which holds the number of the member that is set. */
static void choose_member(encoder *c, const Field *f, ProtobufCMessage *m,
                          const lbx_path *at) {
  uint32_t *chosen = &MEMBER(uint32_t, m, f->quantifier_offset);
  if (*chosen) {
    const Field *other =
        protobuf_c_message_descriptor_get_field(m->descriptor, *chosen);
    lbx_path_error(c->L, at, "cannot be set together with '%s': give one",
                   other->name);
  }
  *chosen = f->id;
}

static int unknown_field(encoder *c, const Message *d, const lbx_path *at) {
  char shown[72];
  size_t len;
  const char *key = luaL_tolstring(c->L, -2, &len);
  const char **names = allocate(c, d->n_fields * sizeof *names, at);
  for (unsigned i = 0; i < d->n_fields; i++) names[i] = d->fields[i].name;
  const char *near = bx_text_nearest(key, names, d->n_fields);
  bx_text_show(shown, sizeof shown, key, len);
  if (near)
    return lbx_path_error(c->L, at,
                          "unknown field '%s' (did you mean '%s'?)", shown,
                          near);
  return lbx_path_error(c->L, at, "unknown field '%s': %s has none", shown,
                        d->short_name);
}

/* The field that the key below the value names. */
static const Field *find_field(encoder *c, const Message *d,
                               const lbx_path *at) {
  const Field *f = NULL;
  const char *key = lua_type(c->L, -2) == LUA_TSTRING ? lua_tostring(c->L, -2)
                                                      : NULL;
  if (key && strlen(key) == lua_rawlen(c->L, -2))
    f = protobuf_c_message_descriptor_get_field_by_name(d, key);
  if (!f) unknown_field(c, d, at);
  return f;
}

static void encode_field(encoder *c, ProtobufCMessage *m, const Field *f,
                         const lbx_path *at) {
  lbx_path step = LBX_PATH_NAME(at, f->name);
  if (bx_message_is_map(m->descriptor, f)) {
    encode_map(c, f, m, &step);
  } else if (f->label == PROTOBUF_C_LABEL_REPEATED) {
    encode_repeated(c, f, m, &step);
  } else {
    if (is_oneof(f)) choose_member(c, f, m, &step);
    encode_value(c, f, (char *)m + f->offset, &step);
  }
}

static ProtobufCMessage *encode_message(encoder *c, const Message *d,
                                        const lbx_path *at) {
  if (!lua_istable(c->L, -1)) wrong_type(c, at, "a table");
  if (at->depth > DEPTH_MAX) lbx_path_error(c->L, at, "nested too deeply");
  lbx_room(c->L, 6);
  ProtobufCMessage *m = allocate(c, d->sizeof_message, at);
  m->descriptor = d; /* all zero is what protobuf-c takes for unset */
  for (lua_pushnil(c->L); lua_next(c->L, -2); lua_pop(c->L, 1))
    encode_field(c, m, find_field(c, d, at), at);
  return m;
}

ProtobufCMessage *lbx_encode(lua_State *L, int idx, const Message *d,
                             lbx_arena *a) {
  encoder c = {L, a};
  lbx_path root = LBX_PATH_ROOT(d->short_name);
  lbx_room(L, 4);
  lua_pushvalue(L, idx);
  ProtobufCMessage *m = encode_message(&c, d, &root);
  lua_pop(L, 1);
  return m;
}

ProtobufCMessage *lbx_encode_new(lua_State *L, const Message *d,
                                 lbx_arena *a) {
  ProtobufCMessage *m = lbx_arena_alloc(a, d->sizeof_message);
  if (!m) luaL_error(L, "not enough memory");
  m->descriptor = d;
  return m;
}

void lbx_encode_text(ProtobufCMessage *m, const Field *f, const char *s) {
  MEMBER(const char *, m, f->offset) = s;
}

void lbx_encode_field(lua_State *L, int idx, ProtobufCMessage *m,
                      const Field *f, lbx_arena *a) {
  encoder c = {L, a};
  lbx_path root = LBX_PATH_ROOT(m->descriptor->short_name);
  lbx_room(L, 4);
  lua_pushvalue(L, idx);
  encode_field(&c, m, f, &root);
  lua_pop(L, 1);
}

/* ---- By name ---- */

static const Message *find_message(const Message *d, const char *short_name,
                                   int depth) {
  if (strcmp(d->short_name, short_name) == 0) return d;
  for (unsigned i = 0; i < d->n_fields && depth < DEPTH_MAX; i++) {
    if (d->fields[i].type != PROTOBUF_C_TYPE_MESSAGE) continue;
    const Message *found =
        find_message(d->fields[i].descriptor, short_name, depth + 1);
    if (found) return found;
  }
  return NULL;
}

const Message *lbx_message(const char *short_name) {
  const ProtobufCServiceDescriptor *s = &boxd__api__v1__boxd_api__descriptor;
  const Message *found = NULL;
  for (unsigned i = 0; i < s->n_methods && !found; i++) {
    found = find_message(s->methods[i].input, short_name, 0);
    if (!found) found = find_message(s->methods[i].output, short_name, 0);
  }
  return found;
}

static const Message *check_message(lua_State *L, int idx) {
  const Message *d = lbx_message(luaL_checkstring(L, idx));
  if (!d) luaL_argerror(L, idx, "the contract has no such message");
  return d;
}

/* Packs into the arena: Lua's memory may collect what the message points at. */
void lbx_push_encoded(lua_State *L, int idx, const Message *d) {
  idx = lua_absindex(L, idx);
  lbx_arena *a = lbx_arena_new(L);
  const ProtobufCMessage *m = lbx_encode(L, idx, d, a);
  size_t len = protobuf_c_message_get_packed_size(m);
  uint8_t *bytes = lbx_arena_alloc(a, len);
  if (!bytes) luaL_error(L, "too large: memory for it ran out");
  protobuf_c_message_pack(m, bytes);
  lua_pushlstring(L, (const char *)bytes, len);
  lua_remove(L, -2); /* the arena */
}

int lbx_codec_encode(lua_State *L) {
  const Message *d = check_message(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  lbx_push_encoded(L, 2, d);
  return 1;
}

int lbx_codec_decode(lua_State *L) {
  const Message *d = check_message(L, 1);
  size_t len;
  const char *bytes = luaL_checklstring(L, 2, &len);
  if (!lbx_decode(L, d, (const uint8_t *)bytes, len))
    return lbx_error_class(L, BX_INTERNAL,
                           "these %zu bytes are not a valid %s: malformed or "
                           "too large",
                           len, d->short_name);
  return 1;
}
