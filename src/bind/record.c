#include "record.h"

#include <lauxlib.h>
#include <string.h>

#include "../core/message.h"
#include "codec.h"
#include "decode.h"
#include "json.h"
#include "method.h"
#include "names.h"
#include "type.h"
#include "types.h"

typedef ProtobufCMessageDescriptor Message;
typedef ProtobufCFieldDescriptor Field;

#define UV_STATE 2
#define BYTES 1 /* in the state: the string that holds a later message */

static char unset_key; /* in the state: the field is nil, whatever the bytes */

/* ---- the state ---- */

/* Pushes the state, made if need be. */
static void push_state(lua_State *L, int idx) {
  if (lua_getiuservalue(L, idx, UV_STATE) == LUA_TTABLE) return;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, idx, UV_STATE);
}

void lbx_record_set(lua_State *L, int idx, const char *name) {
  idx = lua_absindex(L, idx);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_pushlightuserdata(L, &unset_key);
  }
  push_state(L, idx);
  lua_insert(L, -2);
  lua_setfield(L, -2, name);
  lua_pop(L, 1);
}

/* ---- fields ---- */

/* A record's message at one moment. */
typedef struct moment {
  const lbx_type *type;
  const ProtobufCMessageDescriptor *message;
  const uint8_t *bytes;
  size_t len;
} moment;

/* The message of the record at idx, as it is now. The state, which holds its
** bytes, is pushed, or nil: a finalizer may refresh the record while they are
** read. */
static moment hold(lua_State *L, int idx) {
  const lbx_record *r = lua_touserdata(L, idx);
  lua_getiuservalue(L, idx, UV_STATE);
  return (moment){r->type, r->message, r->bytes, r->len};
}

/* Pushes what the state on the top says of the field; false: nothing. */
static bool push_changed(lua_State *L, const char *name) {
  if (!lua_istable(L, -1)) return false;
  if (lua_getfield(L, -1, name) == LUA_TLIGHTUSERDATA) {
    lua_pop(L, 1);
    lua_pushnil(L);
    return true;
  }
  if (!lua_isnil(L, -1)) return true;
  lua_pop(L, 1);
  return false;
}

static void push_field(lua_State *L, const moment *r, const char *name,
                       const Field *f) {
  if (!f || r->message != r->type->messages[0]) f = lbx_named(r->message, name);
  if (f) {
    lbx_push_field(L, r->message, f, r->bytes, r->len);
  } else {
    if (!lbx_has_field(r->type, name)) lbx_no_field(L, r->type, name);
    lua_pushnil(L);
  }
}

static bool is_derived(const lbx_type *t, const char *name) {
  return t->derived.field && strcmp(t->derived.field, name) == 0;
}

void lbx_record_field(lua_State *L, int idx, const char *name,
                      const Field *f) {
  idx = lua_absindex(L, idx);
  lbx_room(L, 6);
  const moment r = hold(L, idx);
  bool changed = push_changed(L, name);
  if (!changed) push_field(L, &r, name, f);
  lua_remove(L, -2);
  if (is_derived(r.type, name)) r.type->derived.push(L, idx);
  if (changed || !lua_istable(L, -1)) return;
  lua_pushvalue(L, -1);
  lbx_record_set(L, idx, name);
}

void lbx_record_get(lua_State *L, int idx, const char *name) {
  lbx_record_field(L, idx, name, NULL);
}

void lbx_record_table(lua_State *L, int idx) {
  idx = lua_absindex(L, idx);
  lbx_room(L, 8);
  const moment r = hold(L, idx);
  if (!lbx_decode_named(L, r.message, r.bytes, r.len))
    luaL_error(L, "%s: too large", r.type->name);
  lua_remove(L, -2);
  if (lua_getiuservalue(L, idx, UV_STATE) == LUA_TTABLE)
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
      if (lua_type(L, -2) != LUA_TSTRING) continue;
      lua_pushvalue(L, -2);
      if (lua_touserdata(L, -2) == &unset_key)
        lua_pushnil(L);
      else
        lua_pushvalue(L, -2);
      lua_rawset(L, -6);
    }
  lua_pop(L, 1);
  if (!r.type->derived.field) return;
  lbx_record_get(L, idx, r.type->derived.field);
  lua_setfield(L, -2, r.type->derived.field);
}

bool lbx_push_as(lua_State *L, int idx, const lbx_type *t) {
  idx = lua_absindex(L, idx);
  lbx_push_compute(L, idx);
  const moment r = hold(L, idx);
  bool ok = lbx_push_record(L, -2, t, r.message, r.bytes, r.len);
  lua_replace(L, ok ? -3 : -2);
  lua_pop(L, 1);
  return ok;
}

/* ---- making them ---- */

static lbx_record *new_record(lua_State *L, int compute, const lbx_type *t,
                              size_t len) {
  lbx_record *r = lua_newuserdatauv(L, sizeof *r + len, 2);
  memset(r, 0, sizeof *r);
  r->type = t;
  lua_pushvalue(L, compute);
  lua_setiuservalue(L, -2, LBX_UV_COMPUTE);
  return r;
}

void lbx_push_service(lua_State *L, int compute, const lbx_type *t) {
  compute = lua_absindex(L, compute);
  lua_newuserdatauv(L, 0, 1);
  lua_pushvalue(L, compute);
  lua_setiuservalue(L, -2, LBX_UV_COMPUTE);
  luaL_setmetatable(L, t->metatable);
}

/* The metatable is on the top, the message valid. */
static void add_record(lua_State *L, int compute, const lbx_type *t,
                       const Message *d, const uint8_t *bytes, size_t len) {
  lbx_record *r = new_record(L, compute, t, len);
  r->message = d;
  r->bytes = r->own;
  r->len = len;
  memcpy(r->own, bytes, len);
  lua_pushvalue(L, -2);
  lua_setmetatable(L, -2);
}

bool lbx_push_record(lua_State *L, int compute, const lbx_type *t,
                     const Message *d, const uint8_t *bytes, size_t len) {
  if (!bx_message_valid(d, bytes, len)) return false;
  compute = lua_absindex(L, compute);
  lbx_room(L, 6);
  luaL_getmetatable(L, t->metatable);
  add_record(L, compute, t, d, bytes, len);
  lua_remove(L, -2);
  return true;
}

static size_t count(const Field *f, const uint8_t *at, const uint8_t *end) {
  const uint8_t *bytes;
  size_t n = 0, len;
  while (lbx_next_message(f, &at, end, &bytes, &len)) n++;
  return n;
}

void lbx_push_records(lua_State *L, int compute, const lbx_type *t,
                      const Field *f, const uint8_t *bytes, size_t len) {
  const uint8_t *at = bytes, *end = bytes + len, *piece;
  size_t n;
  lua_Integer i = 0;
  int top = lua_gettop(L);
  compute = lua_absindex(L, compute);
  lbx_room(L, 8);
  lua_createtable(L, (int)count(f, bytes, end), 0);
  luaL_getmetatable(L, t->metatable);
  while (lbx_next_message(f, &at, end, &piece, &n)) {
    add_record(L, compute, t, f->descriptor, piece, n);
    lua_rawseti(L, top + 1, ++i);
  }
  lua_settop(L, top + 1);
  if (i == 0) luaL_setmetatable(L, LBX_JSON_ARRAY);
}

static bool is_kept(const lbx_type *t, const char *name) {
  for (const char *const *s = t->kept; s && *s; s++)
    if (strcmp(*s, name) == 0) return true;
  return false;
}

static bool is_zero(lua_State *L) {
  return lua_isnil(L, -1) ||
         (lua_isinteger(L, -1) && lua_tointeger(L, -1) == 0);
}

/* Puts into the table on the top what the object has and d has no field for. */
static void keep_others(lua_State *L, int idx, const Message *d,
                        const uint8_t *bytes, size_t len) {
  const lbx_record *r = lua_touserdata(L, idx);
  lbx_record_table(L, idx);
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    const char *name = lua_tostring(L, -2);
    const Field *f = lbx_named(d, name);
    if (f) {
      if (!is_kept(r->type, name)) continue;
      lbx_push_field(L, d, f, bytes, len);
      bool zero = is_zero(L);
      lua_pop(L, 1);
      if (!zero) continue;
    }
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    lua_rawset(L, -6);
  }
  lua_pop(L, 1);
}

bool lbx_record_refresh(lua_State *L, int idx, const Message *d,
                        const uint8_t *bytes, size_t len) {
  lbx_record *r = lua_touserdata(L, idx);
  if (!bx_message_valid(d, bytes, len)) return false;
  idx = lua_absindex(L, idx);
  lbx_room(L, 10);
  lua_newtable(L);
  keep_others(L, idx, d, bytes, len);
  const char *s = lua_pushlstring(L, (const char *)bytes, len);
  lua_rawseti(L, -2, BYTES);
  lua_setiuservalue(L, idx, UV_STATE);
  r->message = d;
  r->bytes = (const uint8_t *)s;
  r->len = len;
  return true;
}

/* ---- for our Lua files ---- */

static lbx_record *check_record(lua_State *L, int idx) {
  if (!lbx_is_record(L, idx)) luaL_typeerror(L, idx, "record");
  return lua_touserdata(L, idx);
}

/* core.set(record, field, value) */
static int set(lua_State *L) {
  check_record(L, 1);
  lua_settop(L, 3);
  lbx_record_set(L, 1, luaL_checkstring(L, 2));
  return 0;
}

/* core.table(record) -> its fields; nil: not a record */
static int table(lua_State *L) {
  luaL_checkany(L, 1);
  if (!lbx_is_record(L, 1)) return 0;
  lbx_record_table(L, 1);
  return 1;
}

/* core.closing(record, close): a record with another metatable, whose __close
** is that function. */
static int closing(lua_State *L) {
  const lbx_record *r = check_record(L, 1);
  lua_settop(L, 2);
  lua_pushfstring(L, "%s (closing)", r->type->metatable);
  if (luaL_getmetatable(L, lua_tostring(L, 3)) == LUA_TNIL) {
    luaL_newmetatable(L, lua_tostring(L, 3));
    lua_getmetatable(L, 1);
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
      lua_pushvalue(L, -2);
      lua_pushvalue(L, -2);
      lua_rawset(L, -6);
    }
    lua_pop(L, 1);
    lua_pushvalue(L, 2);
    lua_setfield(L, -2, "__close");
  }
  lua_setmetatable(L, 1);
  lua_settop(L, 1);
  return 1;
}

/* core.record(compute, type, fields): of a message by the contract's names */
static int record(lua_State *L) {
  const lbx_type *t = lbx_type_named(luaL_checkstring(L, 2));
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_settop(L, 3);
  size_t len;
  lbx_push_encoded(L, 3, t->messages[0]);
  const char *s = lua_tolstring(L, -1, &len);
  lbx_push_record(L, 1, t, t->messages[0], (const uint8_t *)s, len);
  return 1;
}

/* core.view(compute, type, bytes) -> a record, or nil: malformed. For specs. */
static int view(lua_State *L) {
  const lbx_type *t = lbx_type_named(luaL_checkstring(L, 2));
  size_t len;
  const char *s = luaL_checklstring(L, 3, &len);
  return lbx_push_record(L, 1, t, t->messages[0], (const uint8_t *)s, len);
}

void lbx_open_record_core(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"set", set},       {"table", table}, {"closing", closing},
      {"record", record}, {"view", view},
      {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
