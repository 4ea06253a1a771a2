#include <lauxlib.h>
#include <string.h>

#include "../core/text.h"
#include "error.h"
#include "method.h"
#include "names.h"
#include "record.h"
#include "type.h"
#include "types.h"

typedef ProtobufCMessageDescriptor Message;
typedef ProtobufCFieldDescriptor Field;

#define NAMES_MAX 256

static char type_key; /* in a metatable: its lbx_type */

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
    lua_getiuservalue(L, idx, LBX_UV_COMPUTE);
}

/* ---- names ---- */

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

static bool has_name(const char *const *list, const char *name) {
  for (; list && *list; list++)
    if (strcmp(*list, name) == 0) return true;
  return false;
}

static bool is_method(const lbx_type *t, const char *name) {
  for (const lbx_method *m = t->methods; m && m->name; m++)
    if (strcmp(m->name, name) == 0) return true;
  return has_name(t->composed, name);
}

bool lbx_has_field(const lbx_type *t, const char *name) {
  for (const Message *const *d = t->messages; d && *d; d++)
    if (lbx_named(*d, name)) return true;
  return has_name(t->more, name);
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

static int unknown_name(lua_State *L, const char *type, const char *name,
                        const char *const names[], size_t n) {
  const char *near = bx_text_nearest(name, names, n);
  if (near)
    return lbx_error_usage(L, "%s has no field or method '%s' (did you mean "
                           "'%s'?)", type, name, near);
  return lbx_error_usage(L, "%s has no field or method '%s'", type, name);
}

int lbx_no_field(lua_State *L, const lbx_type *t, const char *name) {
  const char *names[NAMES_MAX], *here = own_name(t, name);
  if (here)
    return lbx_error_usage(L, "%s has no field '%s': it is called '%s' here",
                           t->name, name, here);
  return unknown_name(L, t->name, name, names, all_names(t, names));
}

int lbx_no_method(lua_State *L, const char *type, const char *name, int idx,
                  const char *const *fields) {
  const char *names[NAMES_MAX];
  size_t n = add_names(fields, names, 0);
  for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1))
    if (n < NAMES_MAX) names[n++] = lua_tostring(L, -2);
  return unknown_name(L, type, name, names, n);
}

/* ---- metamethods ---- */

/* Libraries ask any value for such: inspect, luassert, penlight. */
static bool is_probe(lua_State *L, int idx) {
  return lua_type(L, idx) != LUA_TSTRING || *lua_tostring(L, idx) == '_';
}

/* Upvalue 1 has the methods, and the fields of the type's first message. */
static int m__index(lua_State *L) {
  const lbx_type *t = lua_touserdata(L, lua_upvalueindex(2));
  lua_settop(L, 2);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(1)) == LUA_TFUNCTION) return 1;
  const Field *f = lua_touserdata(L, 3);
  lbx_type_check(L, t, "__index");
  lua_settop(L, 2);
  if (f) {
    lbx_record_field(L, 1, lua_tostring(L, 2), f);
    return 1;
  }
  if (is_probe(L, 2)) return 0;
  if (t->other && t->other(L)) return 1;
  if (!t->messages) return lbx_no_field(L, t, lua_tostring(L, 2));
  lbx_record_get(L, 1, lua_tostring(L, 2));
  return 1;
}

/* Of a type with methods alone, which upvalue 1 has. */
static int m__index_methods(lua_State *L) {
  lua_settop(L, 2);
  if (is_probe(L, 2)) return 0;
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(1)) == LUA_TNIL) {
    lbx_push_type(L, 1);
    lbx_no_method(L, lua_tostring(L, -1), lua_tostring(L, 2),
                  lua_upvalueindex(1), NULL);
  }
  return 1;
}

void lbx_refuse_unknown(lua_State *L, const char *metatable) {
  luaL_getmetatable(L, metatable);
  lua_getfield(L, -1, "__index");
  lua_pushcclosure(L, m__index_methods, 1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

/* Which method sets the field? */
static const char *setter_of(const lbx_type *t, const char *name) {
  for (const lbx_setter *s = t->setters; s && s->field; s++)
    if (strcmp(s->field, name) == 0) return s->method;
  for (const lbx_method *m = t->methods; m && m->name; m++)
    for (int i = 0; i < LBX_SETS_MAX; i++)
      if (m->result != LBX_RECORD && m->sets[i].field &&
          strcmp(m->sets[i].field, name) == 0)
        return m->name;
  return NULL;
}

static int m__newindex(lua_State *L) {
  const lbx_type *t = lbx_type_of(L, 1);
  if (!t) return luaL_typeerror(L, 1, "object of boxd");
  const char *name = luaL_tolstring(L, 2, NULL);
  const char *setter = setter_of(t, name);
  if (setter)
    return lbx_error_usage(L, "%s.%s is read-only: its method '%s' changes it",
                           t->name, name, setter);
  if (is_method(t, name))
    return lbx_error_usage(L, "%s.%s is a method, which can't be replaced",
                           t->name, name);
  if (lbx_has_field(t, name))
    return lbx_error_usage(L, "%s.%s is read-only: %s", t->name, name,
                           has_name(t->more, name) ? "it stays as it was made"
                                                   : "the service sets it");
  if (is_probe(L, 2))
    return lbx_error_usage(L, "a %s takes no fields: keep yours in a table, by "
                           "its id", t->name);
  return lbx_no_field(L, t, name);
}

/* A service has no fields, a Compute has its own. */
static int m__pairs(lua_State *L) {
  const lbx_type *t = lbx_type_of(L, 1);
  if (!t) return luaL_typeerror(L, 1, "object of boxd");
  lua_getglobal(L, "next");
  if (t->messages)
    lbx_record_table(L, 1);
  else
    lua_newtable(L);
  for (const char *const *s = t->messages ? NULL : t->more; s && *s; s++) {
    lua_getfield(L, 1, *s);
    lua_setfield(L, -2, *s);
  }
  return 2;
}

/* The same thing of the same Compute. */
static int m__eq(lua_State *L) {
  const lbx_type *t = lbx_type_of(L, 1);
  bool same = t && t->messages && t == lbx_type_of(L, 2);
  if (same) {
    lua_getiuservalue(L, 1, LBX_UV_COMPUTE);
    lua_getiuservalue(L, 2, LBX_UV_COMPUTE);
    lbx_record_get(L, 1, "id");
    lbx_record_get(L, 2, "id");
    same = lua_rawequal(L, -4, -3) && lua_rawequal(L, -2, -1) &&
           !lua_isnil(L, -1);
  }
  lua_pushboolean(L, same);
  return 1;
}

/* Pushes a field as Lua writes it: a name can't be taken for more. */
static void push_shown(lua_State *L, const char *name) {
  lbx_record_get(L, 1, name);
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

/* ---- methods ---- */

static int composed_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  return lua_gettop(L);
}

void lbx_push_composed(lua_State *L, const lbx_type *t) {
  if (lua_isnil(L, lua_upvalueindex(1))) {
    lua_getglobal(L, "require");
    lua_pushstring(L, t->module);
    lua_call(L, 1, 0);
  }
  lua_pushvalue(L, lua_upvalueindex(1));
}

/* A method that is written in Lua. Upvalues: its function, once its file has
** been loaded; the type; its name. */
static int m_composed(lua_State *L) {
  const lbx_type *t = lua_touserdata(L, lua_upvalueindex(2));
  lbx_type_check(L, t, lua_tostring(L, lua_upvalueindex(3)));
  lbx_push_composed(L, t);
  lua_insert(L, 1);
  lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, composed_k);
  return composed_k(L, LUA_OK, 0);
}

/* Names of `more` have a value of their own. */
static void set_fields(lua_State *L, const lbx_type *t) {
  const Message *d = t->messages ? t->messages[0] : NULL;
  for (unsigned i = 0; d && i < d->n_fields; i++) {
    const char *name = lbx_name_of(d, &d->fields[i]);
    if (has_name(t->more, name)) continue;
    lua_pushlightuserdata(L, (void *)&d->fields[i]);
    lua_setfield(L, -2, name);
  }
}

static void set_methods(lua_State *L, const lbx_type *t) {
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

/* core.methods(type, { name = function }): of those that the type says are
** composed, and of rows that are wider. */
static int methods(lua_State *L) {
  luaL_checktype(L, 2, LUA_TTABLE);
  if (luaL_getmetatable(L, luaL_checkstring(L, 1)) != LUA_TTABLE)
    return luaL_argerror(L, 1, "no type");
  lua_getfield(L, -1, "__index");
  lua_getupvalue(L, -1, 1);
  for (lua_pushnil(L); lua_next(L, 2); lua_pop(L, 1)) {
    lua_pushvalue(L, -2);
    lua_rawget(L, -4);
    if (lua_tocfunction(L, -1) != m_composed && !lbx_is_wider(L, -1))
      return luaL_error(L, "%s: no composed method", lua_tostring(L, -3));
    lua_pushvalue(L, -2);
    lua_setupvalue(L, -2, 1);
    lua_pop(L, 1);
  }
  return 0;
}

void lbx_type_open(lua_State *L, const lbx_type *t) {
  static const luaL_Reg meta[] = {{"__tostring", m__tostring},
                                  {"__newindex", m__newindex},
                                  {"__pairs", m__pairs},
                                  {NULL, NULL}};
  lbx_newtype(L, t->metatable, NULL, meta);
  luaL_getmetatable(L, t->metatable);
  lua_pushlightuserdata(L, (void *)t);
  lua_rawsetp(L, -2, &type_key);
  lua_newtable(L);
  set_fields(L, t);
  set_methods(L, t);
  lua_pushlightuserdata(L, (void *)t);
  lua_pushcclosure(L, m__index, 2);
  lua_setfield(L, -2, "__index");
  if (t->messages) {
    lua_pushcfunction(L, m__eq);
    lua_setfield(L, -2, "__eq");
  }
  lua_pop(L, 1);
}

/* ---- for scripts, and for our Lua files ---- */

bool lbx_push_type(lua_State *L, int idx) {
  const lbx_type *t = lbx_type_of(L, idx);
  if (t) {
    lua_pushstring(L, t->name);
    return true;
  }
  if (!lua_getmetatable(L, idx)) return false;
  lua_pushliteral(L, "__name");
  lua_rawget(L, -2);
  const char *name = lua_tostring(L, -1);
  bool ours = name && strncmp(name, "boxd.", 5) == 0 &&
              luaL_getmetatable(L, name) == LUA_TTABLE &&
              lua_rawequal(L, -1, -3);
  if (ours) lua_pushstring(L, name + 5);
  return ours;
}

/* boxd.type(v) -> "Box", or nil: as io.type */
int lbx_type_value(lua_State *L) {
  luaL_checkany(L, 1);
  return lbx_push_type(L, 1);
}

static int get(lua_State *L) {
  lua_gettable(L, 1);
  return 1;
}

/* boxd.has(v, name) -> has the object a field or a method of that name, set or
** not? Of a table: is the field there? False for anything else. */
int lbx_has(lua_State *L) {
  luaL_checkany(L, 1);
  const char *name = luaL_checkstring(L, 2);
  const lbx_type *t = lbx_type_of(L, 1);
  bool has = false;
  lua_settop(L, 2);
  if (t) {
    has = is_method(t, name) || lbx_has_field(t, name);
  } else if (lua_istable(L, 1)) {
    has = lua_rawget(L, 1) != LUA_TNIL;
  } else if (lbx_push_type(L, 1)) {
    lua_settop(L, 2);
    lua_pushcfunction(L, get);
    lua_insert(L, 1);
    has = lua_pcall(L, 2, 1, 0) == LUA_OK && !lua_isnil(L, -1);
  }
  lua_pushboolean(L, has);
  return 1;
}

/* core.compute(object) -> its Compute */
static int compute(lua_State *L) {
  if (!lbx_type_of(L, 1)) return 0;
  lbx_push_compute(L, 1);
  return 1;
}

/* core.class(name) -> the metatable of objects that Lua makes: boxd.type knows
** them by it. */
static int class_(lua_State *L) {
  lua_pushliteral(L, "boxd.");
  lua_pushstring(L, luaL_checkstring(L, 1));
  lua_concat(L, 2);
  luaL_newmetatable(L, lua_tostring(L, -1));
  return 1;
}

/* core.names(object) -> a list of its fields, methods and services */
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

void lbx_open_object_core(lua_State *L) {
  static const luaL_Reg functions[] = {{"methods", methods},
                                       {"type", lbx_type_value},
                                       {"compute", compute},
                                       {"names", names},
                                       {"class", class_},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
