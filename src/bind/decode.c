#include "decode.h"

#include <grpc/byte_buffer.h>
#include <lauxlib.h>

#include "../core/message.h"
#include "../core/wire.h"
#include "arena.h"
#include "codec.h"
#include "json.h"
#include "names.h"
#include "type.h"

typedef ProtobufCMessageDescriptor Message;
typedef ProtobufCFieldDescriptor Field;

/* Of one message; the contract's largest has 42. */
#define FIELDS_MAX 128

/* What a table costs, and each of its fields, near enough. */
#define TABLE_BYTES 64
#define FIELD_BYTES 32

typedef struct decoder {
  lua_State *L;
  size_t budget; /* bytes that the message may still unfold into */
  bool named;    /* fields as scripts call them (names.h), not the contract */
} decoder;

/* Which fields of a message have come. */
typedef struct seen {
  uint64_t bits[FIELDS_MAX / 64];
} seen;

static bool has(const seen *s, size_t i) {
  return s->bits[i / 64] >> (i % 64) & 1;
}

static void mark(seen *s, size_t i) { s->bits[i / 64] |= 1ull << (i % 64); }

static bool is_repeated(const Field *f) {
  return f->label == PROTOBUF_C_LABEL_REPEATED;
}

static bool is_oneof(const Field *f) {
  return f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
}

/* Pushes the names of d's fields in their order, made at the first use: Lua
** need not look for each again for every message. */
static void push_names(decoder *c, const Message *d) {
  lua_State *L = c->L;
  const void *key = c->named ? (const void *)d->fields : d;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) == LUA_TTABLE) return;
  lua_pop(L, 1);
  lua_createtable(L, (int)d->n_fields, 0);
  for (unsigned i = 0; i < d->n_fields; i++) {
    const Field *f = &d->fields[i];
    lua_pushstring(L, c->named ? lbx_name_of(d, f) : f->name);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

/* Pushes the name of field i of the table at t, which has the names below it.
** */
static void push_name(lua_State *L, int t, size_t i) {
  lua_rawgeti(L, t - 1, (lua_Integer)i + 1);
}

/* The value on the top as scripts see it. */
static void to_form(lua_State *L, lbx_form form) {
  if (form == LBX_AS_IS) return;
  lua_Integer n = lua_tointeger(L, -1);
  lua_pop(L, 1);
  if (n == 0)
    lua_pushnil(L);
  else
    lua_pushinteger(L, form == LBX_SECONDS ? n / 1000 - (n % 1000 < 0) : n);
}

/* Marks the list on the top, which has nothing in it: JSON writes it []. */
static void mark_list(lua_State *L) {
  luaL_setmetatable(L, LBX_JSON_ARRAY);
}

static bool charge(decoder *c, size_t bytes) {
  if (bytes > c->budget) return false;
  c->budget -= bytes;
  return true;
}

/* The field of that number, mostly the one after the last. NULL: unknown. */
static const Field *find(const Message *d, uint32_t id, size_t after) {
  if (after < d->n_fields && d->fields[after].id == id)
    return &d->fields[after];
  return protobuf_c_message_descriptor_get_field(d, id);
}

static int32_t unzigzag32(uint32_t n) { return (int32_t)(n >> 1 ^ -(n & 1)); }
static int64_t unzigzag64(uint64_t n) { return (int64_t)(n >> 1 ^ -(n & 1)); }

/* Pushes a number or a boolean from its bits on the wire. */
static void push_number(lua_State *L, const Field *f, uint64_t n) {
  float single;
  double number;
  uint32_t low = (uint32_t)n;
  switch (f->type) {
    case PROTOBUF_C_TYPE_INT32: case PROTOBUF_C_TYPE_ENUM:
    case PROTOBUF_C_TYPE_SFIXED32: lua_pushinteger(L, (int32_t)low); break;
    case PROTOBUF_C_TYPE_SINT32: lua_pushinteger(L, unzigzag32(low)); break;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32: lua_pushinteger(L, low); break;
    case PROTOBUF_C_TYPE_SINT64: lua_pushinteger(L, unzigzag64(n)); break;
    case PROTOBUF_C_TYPE_BOOL: lua_pushboolean(L, n != 0); break;
    case PROTOBUF_C_TYPE_FLOAT:
      memcpy(&single, &low, sizeof single);
      lua_pushnumber(L, single);
      break;
    case PROTOBUF_C_TYPE_DOUBLE:
      memcpy(&number, &n, sizeof number);
      lua_pushnumber(L, number);
      break;
    default: lua_pushinteger(L, (lua_Integer)n); break;
  }
}

/* Text ends at a NUL, as it does in C. */
static void push_bytes(lua_State *L, const Field *f, const uint8_t *s,
                       size_t len) {
  if (f->type == PROTOBUF_C_TYPE_STRING) len = strnlen((const char *)s, len);
  lua_pushlstring(L, (const char *)s, len);
}

static bool push_message(decoder *c, const Message *d, const bx_field *w);

/* False, and perhaps something pushed: malformed. */
static bool push_value(decoder *c, const Field *f, const bx_field *w) {
  if (w->type != bx_message_wire_type(f)) return false;
  if (f->type == PROTOBUF_C_TYPE_MESSAGE)
    return push_message(c, f->descriptor, w);
  if (w->type != BX_WIRE_BYTES) {
    push_number(c->L, f, w->n);
    return true;
  }
  if (!charge(c, w->n)) return false;
  push_bytes(c->L, f, w->s, w->n);
  return true;
}

/* What a field reads as that did not come; false: nil, and nothing pushed. */
static bool push_default(lua_State *L, const Message *d, const Field *f) {
  if (is_repeated(f)) {
    lua_newtable(L);
    if (!bx_message_is_map(d, f)) mark_list(L);
    return true;
  }
  if (is_oneof(f) || f->type == PROTOBUF_C_TYPE_STRING ||
      f->type == PROTOBUF_C_TYPE_MESSAGE)
    return false;
  if (f->type == PROTOBUF_C_TYPE_BYTES)
    lua_pushliteral(L, "");
  else
    push_number(L, f, 0);
  return true;
}

/* ---- repeated fields and maps: the message's table is on the top ---- */

/* Pushes the list or map of field i, new if this is its first piece. */
static void push_collection(lua_State *L, size_t i, bool old) {
  int t = lua_gettop(L);
  push_name(L, t, i);
  if (old) {
    lua_rawget(L, t);
    return;
  }
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_insert(L, -3);
  lua_rawset(L, t);
}

/* Many numbers in one field; the list is on the top. */
static bool take_packed(decoder *c, const Field *f, const bx_field *w) {
  bx_reader r = {w->s, w->s + w->n};
  unsigned type = bx_message_wire_type(f);
  lua_Integer i = (lua_Integer)lua_rawlen(c->L, -1);
  uint64_t n;
  while (r.p < r.end) {
    bool ok = type == BX_WIRE_VARINT
                  ? bx_read_varint(&r, &n)
                  : bx_read_fixed(&r, type == BX_WIRE_FIXED32 ? 4 : 8, &n);
    if (!ok || !charge(c, FIELD_BYTES)) return false;
    push_number(c->L, f, n);
    lua_rawseti(c->L, -2, ++i);
  }
  return true;
}

/* The pieces of f that follow each other; w is the first. */
static bool take_list(decoder *c, const Message *d, const Field *f,
                      bx_reader *r, bx_field *w, bool old) {
  bool packs = bx_message_wire_type(f) != BX_WIRE_BYTES;
  push_collection(c->L, (size_t)(f - d->fields), old);
  lua_Integer i = (lua_Integer)lua_rawlen(c->L, -1);
  for (;;) {
    if (packs && w->type == BX_WIRE_BYTES) {
      if (!take_packed(c, f, w)) return false;
      i = (lua_Integer)lua_rawlen(c->L, -1);
    } else {
      if (!charge(c, FIELD_BYTES) || !push_value(c, f, w)) return false;
      lua_rawseti(c->L, -2, ++i);
    }
    bx_reader ahead = *r;
    if (r->p == r->end || !bx_read_field(&ahead, w) || w->id != f->id) break;
    *r = ahead;
  }
  if (i == 0) mark_list(c->L);
  lua_pop(c->L, 1);
  return true;
}

/* Pushes key and value of a map's entry. */
static bool push_entry(decoder *c, const Message *entry, const bx_field *w) {
  const Field *pair = entry->fields;
  bx_field part;
  lua_State *L = c->L;
  if (w->type != BX_WIRE_BYTES) return false;
  bx_reader r = {w->s, w->s + w->n};
  for (int i = 0; i < 2; i++)
    if (!push_default(L, entry, &pair[i])) lua_pushliteral(L, "");
  while (r.p < r.end) {
    if (!bx_read_field(&r, &part)) return false;
    if (part.id != pair[0].id && part.id != pair[1].id) continue;
    int i = part.id == pair[1].id;
    if (!push_value(c, &pair[i], &part)) return false;
    lua_replace(L, i ? -2 : -3);
  }
  return true;
}

/* A key that comes twice has its last value, as the protocol has it. */
static bool take_entry(decoder *c, const Message *d, const Field *f,
                       const bx_field *w, bool old) {
  push_collection(c->L, (size_t)(f - d->fields), old);
  if (!charge(c, FIELD_BYTES) || !push_entry(c, f->descriptor, w))
    return false;
  lua_rawset(c->L, -3);
  lua_pop(c->L, 1);
  return true;
}

/* ---- messages ---- */

static bool take_fields(decoder *c, const Message *d, bx_reader r, seen *s);

/* The other members of f's oneof make way for it. */
static void clear_others(lua_State *L, const Message *d, const Field *f) {
  int t = lua_gettop(L);
  for (size_t i = 0; i < d->n_fields; i++) {
    const Field *other = &d->fields[i];
    if (other == f || !is_oneof(other) ||
        other->quantifier_offset != f->quantifier_offset)
      continue;
    push_name(L, t, i);
    lua_pushnil(L);
    lua_rawset(L, t);
  }
}

/* One that came before is gone on with: such are merged. */
static bool take_message(decoder *c, const Message *d, const Field *f,
                         const bx_field *w) {
  seen s = {{0}};
  lua_State *L = c->L;
  int t = lua_gettop(L);
  if (w->type != BX_WIRE_BYTES) return false;
  push_name(L, t, (size_t)(f - d->fields));
  push_names(c, f->descriptor);
  lua_pushvalue(L, t + 1);
  if (lua_rawget(L, t) == LUA_TTABLE) {
    /* Its lists are there already, empty or not. */
    for (size_t i = 0; i < FIELDS_MAX; i++) mark(&s, i);
    bx_reader r = {w->s, w->s + w->n};
    bool ok = take_fields(c, f->descriptor, r, &s);
    lua_settop(L, t);
    return ok;
  }
  lua_settop(L, t + 1);
  if (!push_message(c, f->descriptor, w)) return false;
  lua_rawset(L, t);
  return true;
}

static bool take_single(decoder *c, const Message *d, const Field *f,
                        const bx_field *w, bool old) {
  lua_State *L = c->L;
  if (is_oneof(f)) clear_others(L, d, f);
  if (old && f->type == PROTOBUF_C_TYPE_MESSAGE)
    return take_message(c, d, f, w);
  int t = lua_gettop(L);
  push_name(L, t, (size_t)(f - d->fields));
  if (!push_value(c, f, w)) return false;
  if (f->type == PROTOBUF_C_TYPE_STRING && !is_oneof(f) &&
      lua_rawlen(L, -1) == 0) {
    lua_pop(L, 1);
    lua_pushnil(L);
  } else if (c->named) {
    to_form(L, lbx_form_of(d, f));
  }
  lua_rawset(L, t);
  return true;
}

/* The field's piece w, and those of a list that follow it. old: there was one. */
static bool take(decoder *c, const Message *d, const Field *f, bx_reader *r,
                 bx_field *w, bool old) {
  if (!is_repeated(f)) return take_single(c, d, f, w, old);
  if (bx_message_is_map(d, f)) return take_entry(c, d, f, w, old);
  return take_list(c, d, f, r, w, old);
}

/* Reads the fields into the table on the top; d's names are below it. */
static bool take_fields(decoder *c, const Message *d, bx_reader r, seen *s) {
  bx_field w;
  size_t next = 0;
  while (r.p < r.end) {
    if (!bx_read_field(&r, &w)) return false;
    const Field *f = find(d, w.id, next);
    if (!f) continue;
    size_t i = (size_t)(f - d->fields);
    bool old = has(s, i);
    mark(s, i);
    next = i + 1;
    if (!take(c, d, f, &r, &w, old)) return false;
  }
  return true;
}

/* What did not come. */
static void set_defaults(decoder *c, const Message *d, const seen *s) {
  lua_State *L = c->L;
  int t = lua_gettop(L);
  for (size_t i = 0; i < d->n_fields; i++) {
    if (has(s, i) || (c->named && lbx_form_of(d, &d->fields[i]))) continue;
    push_name(L, t, i);
    if (push_default(L, d, &d->fields[i]))
      lua_rawset(L, t);
    else
      lua_pop(L, 1);
  }
}

static bool push_message(decoder *c, const Message *d, const bx_field *w) {
  seen s = {{0}};
  lua_State *L = c->L;
  if (w->type != BX_WIRE_BYTES ||
      !charge(c, TABLE_BYTES + d->n_fields * FIELD_BYTES))
    return false;
  bx_reader r = {w->s, w->s + w->n};
  lbx_room(L, 8);
  if (d->n_fields > FIELDS_MAX) luaL_error(L, "%s is too large", d->name);
  push_names(c, d);
  lua_createtable(L, 0, (int)d->n_fields);
  if (!take_fields(c, d, r, &s)) return false;
  set_defaults(c, d, &s);
  lua_remove(L, -2);
  return true;
}

static bool decode(lua_State *L, const Message *d, const uint8_t *bytes,
                   size_t len, bool named) {
  decoder c = {L, LBX_ARENA_MAX, named};
  int top = lua_gettop(L);
  bx_field w = {.type = BX_WIRE_BYTES, .n = len, .s = bytes};
  if (push_message(&c, d, &w)) return true;
  lua_settop(L, top);
  return false;
}

bool lbx_decode(lua_State *L, const Message *d, const uint8_t *bytes,
                size_t len) {
  return decode(L, d, bytes, len, false);
}

bool lbx_decode_named(lua_State *L, const Message *d, const uint8_t *bytes,
                      size_t len) {
  return decode(L, d, bytes, len, true);
}

/* ---- without a table ---- */

/* Pushes all pieces of f as one, through a table for its message. */
static bool push_collected(decoder *c, const Message *d, const Field *f,
                           bx_reader r) {
  lua_State *L = c->L;
  bx_field w;
  bool ok = true, old = false;
  int top = lua_gettop(L);
  lbx_room(L, 12);
  push_names(c, d);
  lua_newtable(L);
  while (ok && r.p < r.end && bx_read_field(&r, &w)) {
    if (w.id != f->id) continue;
    ok = take(c, d, f, &r, &w, old);
    old = true;
  }
  push_name(L, top + 2, (size_t)(f - d->fields));
  if (lua_rawget(L, top + 2) == LUA_TNIL && is_repeated(f)) {
    lua_pop(L, 1);
    push_default(L, d, f);
  }
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
  return ok;
}

/* The last of f's pieces, which counts; false: there is none, or another
** member of its oneof came after it. */
static bool last_piece(const Message *d, const Field *f, bx_reader r,
                       bx_field *last) {
  bool found = false;
  bx_field w;
  while (r.p < r.end && bx_read_key(&r, &w)) {
    if (w.id == f->id) {
      found = bx_read_value(&r, &w);
      *last = w;
      continue;
    }
    if (!bx_skip_value(&r, &w)) break;
    if (is_oneof(f) && found) {
      const Field *other = find(d, w.id, d->n_fields);
      if (other && is_oneof(other) &&
          other->quantifier_offset == f->quantifier_offset)
        found = false;
    }
  }
  return found;
}

void lbx_push_field(lua_State *L, const Message *d, const Field *f,
                    const uint8_t *bytes, size_t len) {
  decoder c = {L, LBX_ARENA_MAX, true};
  bx_reader r = {bytes, bytes + len};
  bx_field w;
  lbx_room(L, 4);
  if (is_repeated(f) || f->type == PROTOBUF_C_TYPE_MESSAGE) {
    if (!push_collected(&c, d, f, r))
      luaL_error(L, "%s: too large", f->name);
    return;
  }
  lbx_form form = lbx_form_of(d, f);
  if (!last_piece(d, f, r, &w)) {
    if (form || !push_default(L, d, f)) lua_pushnil(L);
    return;
  }
  if (!push_value(&c, f, &w)) luaL_error(L, "%s: too large", f->name);
  to_form(L, form);
  if (f->type == PROTOBUF_C_TYPE_STRING && !is_oneof(f) &&
      lua_rawlen(L, -1) == 0) {
    lua_pop(L, 1);
    lua_pushnil(L);
  }
}

bool lbx_next_message(const Field *f, const uint8_t **at, const uint8_t *end,
                      const uint8_t **bytes, size_t *len) {
  bx_reader r = {*at, end};
  bx_field w;
  while (r.p < r.end && bx_read_field(&r, &w)) {
    if (w.id != f->id) continue;
    *at = r.p;
    *bytes = w.s;
    *len = w.n;
    return true;
  }
  return false;
}

bool lbx_decode_buffer(lua_State *L, const Message *d,
                       grpc_byte_buffer **buffer) {
  if ((*buffer)->data.raw.slice_buffer.count != 1) {
    grpc_byte_buffer *pieces = *buffer;
    *buffer = bx_message_join(pieces);
    grpc_byte_buffer_destroy(pieces);
  }
  grpc_slice whole = (*buffer)->data.raw.slice_buffer.slices[0];
  return lbx_decode(L, d, GRPC_SLICE_START_PTR(whole),
                    GRPC_SLICE_LENGTH(whole));
}
