#include "record.h"

#include <lauxlib.h>
#include <string.h>

#include "../core/text.h"
#include "codec.h"
#include "decode.h"
#include "error.h"
#include "method.h"
#include "names.h"
#include "type.h"
#include "types.h"

typedef ProtobufCMessageDescriptor Message;
typedef ProtobufCFieldDescriptor Field;

/* User values. */
#define UV_COMPUTE 1
#define UV_STATE 2

#define BYTES 1 /* in the state: the string that holds a later message */
#define NAMES_MAX 256

static char type_key;  /* in a metatable: its lbx_type */
static char unset_key; /* in the state: the field is nil, whatever the bytes */

/* ---- types ---- */

const lbx_type *lbx_type_of(lua_State *L, int idx) {
  if (lua_type(L, idx) != LUA_TUSERDATA || !lua_getmetatable(L, idx))
    return NULL;
  lua_rawgetp(L, -1, &type_key);
  const lbx_type *t = lua_touserdata(L, -1);
  lua_pop(L, 2);
  return t;
}

bool lbx_is_record(lua_State *L, int idx) {
  const lbx_type *t = lbx_type_of(L, idx);
  return t && t->messages;
}

const char *lbx_type_name(lua_State *L, int idx) {
  const lbx_type *t = lbx_type_of(L, idx);
  if (t) return t->metatable;
  if (luaL_getmetafield(L, idx, "__name") == LUA_TSTRING)
    return lua_tostring(L, -1);
  return luaL_typename(L, idx);
}

/* luaL_argerror gets the name and the number wrong under
** pcall(object.method, object). */
void lbx_type_check(lua_State *L, const lbx_type *t, const char *method) {
  if (lbx_type_of(L, 1) == t) return;
  lbx_error_usage(L, "bad argument #1 to '%s' (%s expected, got %s: is there a "
                  "'.' in place of its ':'?)", method, t->metatable,
                  lua_isnone(L, 1) ? "no value" : lbx_type_name(L, 1));
}

void lbx_push_compute(lua_State *L, int idx) {
  const lbx_type *t = lbx_type_of(L, idx);
  if (!t) luaL_typeerror(L, idx, "object of boxd");
  if (t == &lbx_compute_type)
    lua_pushvalue(L, idx);
  else
    lua_getiuservalue(L, idx, UV_COMPUTE);
}

static size_t add_names(const char *const *list, const char **names, size_t n) {
  while (list && *list && n < NAMES_MAX) names[n++] = *list++;
  return n;
}

/* All names that objects of the type have; their number. */
static size_t all_names(const lbx_type *t, const char *names[NAMES_MAX]) {
  size_t n = 0;
  for (const Message *const *d = t->messages; d && *d; d++)
    for (unsigned i = 0; i < (*d)->n_fields && n < NAMES_MAX; i++)
      names[n++] = lbx_name_of(*d, &(*d)->fields[i]);
  for (const lbx_method *m = t->methods; m && m->name && n < NAMES_MAX; m++)
    names[n++] = m->name;
  return add_names(t->more, names, add_names(t->composed, names, n));
}

/* What the field that the contract calls so is called here. */
static const char *own_name(const lbx_type *t, const char *contract) {
  for (const Message *const *d = t->messages; d && *d; d++) {
    const Field *f =
        protobuf_c_message_descriptor_get_field_by_name(*d, contract);
    if (f) return lbx_name_of(*d, f);
  }
  return NULL;
}

static int unknown_name(lua_State *L, const lbx_type *t, const char *name) {
  const char *names[NAMES_MAX];
  const char *near = own_name(t, name);
  if (near)
    return lbx_error_usage(L, "%s has no field '%s': it is called '%s' here",
                           t->name, name, near);
  near = bx_text_nearest(name, names, all_names(t, names));
  if (near)
    return lbx_error_usage(L, "%s has no field or method '%s' (did you mean "
                           "'%s'?)", t->name, name, near);
  return lbx_error_usage(L, "%s has no field or method '%s'", t->name, name);
}

static bool is_known(const lbx_type *t, const char *name) {
  for (const Message *const *d = t->messages; d && *d; d++)
    if (lbx_named(*d, name)) return true;
  return false;
}

/* ---- the state ---- */

/* Pushes the state's value of a field; false, and nothing pushed: none. */
static bool push_changed(lua_State *L, int idx, const char *name) {
  if (lua_getiuservalue(L, idx, UV_STATE) != LUA_TTABLE) {
    lua_pop(L, 1);
    return false;
  }
  int type = lua_getfield(L, -1, name);
  lua_remove(L, -2);
  if (type == LUA_TNIL) lua_pop(L, 1);
  if (type != LUA_TLIGHTUSERDATA) return type != LUA_TNIL;
  lua_pop(L, 1);
  lua_pushnil(L);
  return true;
}

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

/* Pushes what has the record's bytes: a refresh, which a finalizer may run while
** they are read, lets go of them. */
static void hold_bytes(lua_State *L, int idx) {
  const lbx_record *r = lua_touserdata(L, idx);
  if (r->bytes == r->own) {
    lua_pushvalue(L, idx);
    return;
  }
  lua_getiuservalue(L, idx, UV_STATE);
  lua_rawgeti(L, -1, BYTES);
  lua_remove(L, -2);
}

/* Pushes the field of the record at idx; raises where its type has none. */
static void push_field(lua_State *L, int idx, const char *name) {
  const lbx_record *r = lua_touserdata(L, idx);
  lbx_room(L, 6);
  if (push_changed(L, idx, name)) return;
  const Field *f = lbx_named(r->message, name);
  if (!f) {
    if (!is_known(r->type, name)) unknown_name(L, r->type, name);
    lua_pushnil(L);
    return;
  }
  hold_bytes(L, idx);
  lbx_push_field(L, r->message, f, r->bytes, r->len);
  lua_remove(L, -2);
  if (!lua_istable(L, -1)) return;
  lua_pushvalue(L, -1);
  lbx_record_set(L, idx, name);
}

void lbx_record_get(lua_State *L, int idx, const char *name) {
  push_field(L, lua_absindex(L, idx), name);
}

void lbx_record_table(lua_State *L, int idx) {
  const lbx_record *r = lua_touserdata(L, idx);
  idx = lua_absindex(L, idx);
  lbx_room(L, 8);
  hold_bytes(L, idx);
  if (!lbx_decode_named(L, r->message, r->bytes, r->len))
    luaL_error(L, "%s: too large", r->type->name);
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
}

/* Methods first, as most of what is asked for; upvalue 1 has them. */
static int m__index(lua_State *L) {
  const lbx_type *t = lua_touserdata(L, lua_upvalueindex(2));
  lua_settop(L, 2);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL) return 1;
  lbx_type_check(L, t, "__index");
  lua_settop(L, 2);
  if (t->other && lua_isstring(L, 2) && t->other(L)) return 1;
  if (lua_type(L, 2) != LUA_TSTRING || !t->messages) {
    const char *name = luaL_tolstring(L, 2, NULL);
    return unknown_name(L, t, name);
  }
  push_field(L, 1, lua_tostring(L, 2));
  return 1;
}

/* Which method sets the field? */
static const char *setter_of(const lbx_type *t, const char *name) {
  for (const lbx_method *m = t->methods; m && m->name; m++)
    for (int i = 0; i < 2; i++)
      if (m->sets[i].field && strcmp(m->sets[i].field, name) == 0)
        return m->name;
  return NULL;
}

static int m__newindex(lua_State *L) {
  const lbx_type *t = lbx_type_of(L, 1);
  const char *name = luaL_tolstring(L, 2, NULL);
  const char *setter = setter_of(t, name);
  if (setter)
    return lbx_error_usage(L, "%s.%s is read-only: its method '%s' changes it",
                           t->name, name, setter);
  if (!is_known(t, name)) return unknown_name(L, t, name);
  return lbx_error_usage(L, "%s.%s is read-only: the service says what it is",
                         t->name, name);
}

static int m__pairs(lua_State *L) {
  lua_getglobal(L, "next");
  lbx_record_table(L, 1);
  return 2;
}

static bool same_field(lua_State *L, const char *name) {
  push_field(L, 1, name);
  push_field(L, 2, name);
  bool same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same;
}

/* The same thing of the same Compute. */
static int m__eq(lua_State *L) {
  const lbx_type *t = lbx_type_of(L, 1);
  bool same = t && t == lbx_type_of(L, 2);
  if (same) {
    lua_getiuservalue(L, 1, UV_COMPUTE);
    lua_getiuservalue(L, 2, UV_COMPUTE);
    same = lua_rawequal(L, -1, -2) && same_field(L, "id");
  }
  lua_pushboolean(L, same);
  return 1;
}

/* Pushes a field as Lua writes it: a name can't be taken for more. */
static void push_shown(lua_State *L, const char *name) {
  push_field(L, 1, name);
  if (lua_isinteger(L, -1)) return;
  lua_getglobal(L, "string");
  lua_getfield(L, -1, "format");
  lua_pushliteral(L, "%q");
  lua_pushstring(L, lua_isstring(L, -4) ? lua_tostring(L, -4) : "");
  lua_call(L, 2, 1);
  lua_replace(L, -3);
  lua_pop(L, 1);
}

/* 'Box(id="vm-1", name="web")' */
static int m__tostring(lua_State *L) {
  const lbx_type *t = lbx_type_of(L, 1);
  luaL_Buffer b;
  if (!t) return luaL_typeerror(L, 1, "object of boxd");
  lua_settop(L, 1);
  if (!t->messages) {
    lua_pushfstring(L, "%s: %p", t->metatable, lua_topointer(L, 1));
    return 1;
  }
  luaL_buffinit(L, &b);
  luaL_addstring(&b, t->name);
  for (const char *const *s = t->shown; *s; s++) {
    luaL_addstring(&b, s == t->shown ? "(" : ", ");
    luaL_addstring(&b, *s);
    luaL_addchar(&b, '=');
    push_shown(L, *s);
    luaL_addvalue(&b);
  }
  luaL_addchar(&b, ')');
  luaL_pushresult(&b);
  return 1;
}

/* ---- making them ---- */

static lbx_record *new_record(lua_State *L, int compute, const lbx_type *t,
                              size_t len) {
  lbx_record *r = lua_newuserdatauv(L, sizeof *r + len, 2);
  memset(r, 0, sizeof *r);
  r->type = t;
  lua_pushvalue(L, compute);
  lua_setiuservalue(L, -2, UV_COMPUTE);
  return r;
}

void lbx_push_service(lua_State *L, int compute, const lbx_type *t) {
  compute = lua_absindex(L, compute);
  lua_newuserdatauv(L, 0, 1);
  lua_pushvalue(L, compute);
  lua_setiuservalue(L, -2, UV_COMPUTE);
  luaL_setmetatable(L, t->metatable);
}

/* The metatable is on the top. */
static bool add_record(lua_State *L, int compute, const lbx_type *t,
                       const Message *d, const uint8_t *bytes, size_t len) {
  if (!lbx_is_valid(d, bytes, len)) return false;
  lbx_record *r = new_record(L, compute, t, len);
  r->message = d;
  r->bytes = r->own;
  r->len = len;
  memcpy(r->own, bytes, len);
  lua_pushvalue(L, -2);
  lua_setmetatable(L, -2);
  return true;
}

bool lbx_push_record(lua_State *L, int compute, const lbx_type *t,
                     const Message *d, const uint8_t *bytes, size_t len) {
  compute = lua_absindex(L, compute);
  lbx_room(L, 6);
  luaL_getmetatable(L, t->metatable);
  bool ok = add_record(L, compute, t, d, bytes, len);
  lua_remove(L, ok ? -2 : -1);
  return ok;
}

static size_t count(const Field *f, const uint8_t *at, const uint8_t *end) {
  const uint8_t *bytes;
  size_t n = 0, len;
  while (lbx_next_message(f, &at, end, &bytes, &len)) n++;
  return n;
}

bool lbx_push_records(lua_State *L, int compute, const lbx_type *t,
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
    if (!add_record(L, compute, t, f->descriptor, piece, n)) {
      lua_settop(L, top);
      return false;
    }
    lua_rawseti(L, top + 1, ++i);
  }
  lua_settop(L, top + 1);
  return true;
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
  if (!lbx_is_valid(d, bytes, len)) return false;
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

/* ---- opening ---- */

static int composed_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  return lua_gettop(L);
}

/* A method that is written in Lua. Upvalues: its function, once its file has
** been loaded; the type; its name. */
static int m_composed(lua_State *L) {
  const lbx_type *t = lua_touserdata(L, lua_upvalueindex(2));
  lbx_type_check(L, t, lua_tostring(L, lua_upvalueindex(3)));
  if (lua_isnil(L, lua_upvalueindex(1))) {
    lua_getglobal(L, "require");
    lua_pushstring(L, t->module);
    lua_call(L, 1, 0);
  }
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, composed_k);
  return composed_k(L, LUA_OK, 0);
}

static void set_methods(lua_State *L, const lbx_type *t) {
  lua_newtable(L);
  for (const lbx_method *m = t->methods; m && m->name; m++) {
    lbx_push_method(L, t, m);
    lua_setfield(L, -2, m->name);
  }
  for (const char *const *s = t->composed; s && *s; s++) {
    lua_pushnil(L);
    lua_pushlightuserdata(L, (void *)t);
    lua_pushstring(L, *s);
    lua_pushcclosure(L, m_composed, 3);
    lua_setfield(L, -2, *s);
  }
}

void lbx_type_open(lua_State *L, const lbx_type *t) {
  static const luaL_Reg meta[] = {{"__tostring", m__tostring},
                                  {"__newindex", m__newindex},
                                  {NULL, NULL}};
  static const luaL_Reg record_meta[] = {
      {"__pairs", m__pairs}, {"__eq", m__eq}, {NULL, NULL}};
  lbx_newtype(L, t->metatable, NULL, meta);
  luaL_getmetatable(L, t->metatable);
  lua_pushlightuserdata(L, (void *)t);
  lua_rawsetp(L, -2, &type_key);
  set_methods(L, t);
  lua_pushlightuserdata(L, (void *)t);
  lua_pushcclosure(L, m__index, 2);
  lua_setfield(L, -2, "__index");
  if (t->messages) luaL_setfuncs(L, record_meta, 0);
  lua_pop(L, 1);
}

/* ---- for our Lua files ---- */

static lbx_record *check_record(lua_State *L, int idx) {
  if (!lbx_is_record(L, idx)) luaL_typeerror(L, idx, "record");
  return lua_touserdata(L, idx);
}

/* core.methods(type, { name = function }): of those that the type says are
** composed. */
static int methods(lua_State *L) {
  luaL_checktype(L, 2, LUA_TTABLE);
  if (luaL_getmetatable(L, luaL_checkstring(L, 1)) != LUA_TTABLE)
    return luaL_argerror(L, 1, "no type");
  lua_getfield(L, -1, "__index");
  lua_getupvalue(L, -1, 1);
  for (lua_pushnil(L); lua_next(L, 2); lua_pop(L, 1)) {
    lua_pushvalue(L, -2);
    lua_rawget(L, -4);
    if (lua_tocfunction(L, -1) != m_composed)
      return luaL_error(L, "%s: no composed method", lua_tostring(L, -3));
    lua_pushvalue(L, -2);
    lua_setupvalue(L, -2, 1);
    lua_pop(L, 1);
  }
  return 0;
}

/* core.set(record, field, value) */
static int set(lua_State *L) {
  check_record(L, 1);
  lua_settop(L, 3);
  lbx_record_set(L, 1, luaL_checkstring(L, 2));
  return 0;
}

/* core.type(v) -> "Box", or nil */
static int type(lua_State *L) {
  const lbx_type *t = lbx_type_of(L, 1);
  if (!t) return 0;
  lua_pushstring(L, t->name);
  return 1;
}

/* core.compute(object) -> its Compute */
static int compute(lua_State *L) {
  if (!lbx_type_of(L, 1)) return 0;
  lbx_push_compute(L, 1);
  return 1;
}

/* core.table(record) -> its fields; nil: it is no record */
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

/* core.names(object) -> a list of what it has: fields, methods, services */
static int names(lua_State *L) {
  const char *list[NAMES_MAX];
  const lbx_type *t = lbx_type_of(L, 1);
  if (!t) return 0;
  size_t n = all_names(t, list);
  lua_createtable(L, (int)n, 0);
  for (size_t i = 0; i < n; i++) {
    lua_pushstring(L, list[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

void lbx_open_record_core(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"methods", methods}, {"set", set},     {"type", type},
      {"compute", compute}, {"table", table}, {"closing", closing},
      {"record", record},   {"view", view},   {"names", names},
      {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
