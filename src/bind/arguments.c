#include <lauxlib.h>
#include <string.h>

#include "../core/message.h"
#include "../core/rpc.h"
#include "../core/text.h"
#include "codec.h"
#include "error.h"
#include "method_private.h"
#include "path.h"
#include "type.h"
#include "types.h"

typedef ProtobufCMessageDescriptor Message;
typedef ProtobufCFieldDescriptor Field;

#define OPTIONS_MAX 32

static const Field *field_of(const Message *d, const char *name) {
  return name && d ? protobuf_c_message_descriptor_get_field_by_name(d, name)
                   : NULL;
}

int lbx_count_args(const lbx_method *m) {
  int n = 0;
  while (n < LBX_ARGS_MAX && m->args[n].name) n++;
  return n;
}

int lbx_object_at(const lbx_method *m) {
  for (int i = 0; i < lbx_count_args(m); i++)
    if (m->args[i].sort == LBX_OBJECT) return 2 + i;
  return 2;
}

/* ---- values inside options: refused as values, by their path ---- */

const char *lbx_push_shown(lua_State *L, int idx) {
  int type = lua_type(L, idx);
  size_t len;
  if (type == LUA_TNUMBER || type == LUA_TBOOLEAN)
    return luaL_tolstring(L, idx, NULL);
  if (type != LUA_TSTRING)
    return lua_pushfstring(L, "a %s", lbx_type_name(L, idx));
  const char *s = lua_tolstring(L, idx, &len);
  lua_getglobal(L, "string");
  lua_getfield(L, -1, "format");
  lua_pushliteral(L, "%q");
  lua_pushlstring(L, s, len > 40 ? 40 : len);
  if (len > 40) {
    lua_pushliteral(L, "...");
    lua_concat(L, 2);
  }
  lua_call(L, 2, 1);
  return lua_tostring(L, -1);
}

static int refuse(lua_State *L, const lbx_path *at, const char *expected) {
  return lbx_path_error(L, at, "%s expected, not %s", expected,
                        lbx_push_shown(L, -1));
}

static void check_text(lua_State *L, const lbx_path *at) {
  if (lua_type(L, -1) != LUA_TSTRING) refuse(L, at, "text");
}

static void check_table(lua_State *L, const lbx_path *at) {
  if (!lua_istable(L, -1)) refuse(L, at, "a table");
}

static void check_range(lua_State *L, const lbx_path *at, int64_t most) {
  char expected[64];
  if (lua_isinteger(L, -1) && lua_tointeger(L, -1) >= 0 &&
      lua_tointeger(L, -1) <= most)
    return;
  snprintf(expected, sizeof expected, "an integer from 0 to %lld",
           (long long)most);
  refuse(L, at, expected);
}

static void replace_size(lua_State *L, const lbx_path *at) {
  size_t len;
  uint64_t bytes;
  bx_error e;
  if (lua_isinteger(L, -1)) {
    if (lua_tointeger(L, -1) < 0)
      lbx_path_error(L, at, "a size can't be negative");
    return;
  }
  if (lua_type(L, -1) != LUA_TSTRING)
    lbx_path_error(L, at, "a size is text such as \"4G\" or an integer of "
                   "bytes, not %s", lbx_push_shown(L, -1));
  const char *text = lua_tolstring(L, -1, &len);
  if (bx_text_size(text, len, &bytes, &e)) lbx_throw(L, &e, NULL);
  lua_pushinteger(L, (lua_Integer)bytes);
  lua_replace(L, -2);
}

/* An object of the type becomes its id. */
static void replace_object(lua_State *L, const lbx_type *of) {
  if (!of || lbx_type_of(L, -1) != of) return;
  lbx_record_get(L, -1, "id");
  lua_replace(L, -2);
}

/* Is the key below the top a name of the shell's? */
static bool is_variable(lua_State *L) {
  if (lua_type(L, -2) != LUA_TSTRING) return false;
  const char *s = lua_tostring(L, -2);
  size_t len = lua_rawlen(L, -2);
  size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                       "0123456789_");
  return n == len && n > 0 && !(*s >= '0' && *s <= '9');
}

/* Sorts the list of texts on the top, by Lua's own sort. */
static void sort_texts(lua_State *L) {
  lua_getglobal(L, "table");
  lua_getfield(L, -1, "sort");
  lua_pushvalue(L, -3);
  lua_call(L, 1, 0);
  lua_pop(L, 1);
}

/* The map on the top becomes a list of { key=, value= }, in the keys' order. */
static void replace_variables(lua_State *L, const lbx_path *at) {
  lua_Integer n = 0;
  check_table(L, at);
  lua_newtable(L); /* the keys */
  for (lua_pushnil(L); lua_next(L, -3); lua_pop(L, 1)) {
    lbx_path step = LBX_PATH_NAME(at, lua_tostring(L, -2));
    if (!is_variable(L)) {
      lua_pop(L, 1);
      lbx_path_error(L, at, "%s is not a name of a variable (letters, digits and "
                     "_, no digit first)", lbx_push_shown(L, -1));
    }
    if (lua_type(L, -1) != LUA_TNUMBER) check_text(L, &step);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -4, ++n);
  }
  sort_texts(L);
  lua_createtable(L, (int)n, 0);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_createtable(L, 0, 2);
    lua_rawgeti(L, -3, i);
    lua_pushvalue(L, -1);
    lua_rawget(L, -6);
    lua_tostring(L, -1); /* of a number, as exec's arguments are */
    lua_setfield(L, -3, "value");
    lua_setfield(L, -2, "key");
    lua_rawseti(L, -2, i);
  }
  lua_replace(L, -3);
  lua_pop(L, 1);
}

void lbx_check_map(lua_State *L, const lbx_path *at) {
  check_table(L, at);
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING) {
      lua_pop(L, 1);
      refuse(L, at, "text as names");
    }
    lbx_path step = LBX_PATH_NAME(at, lua_tostring(L, -2));
    check_text(L, &step);
  }
}

/* The value on the top becomes what field f of a message is sent. */
static void read_one(lua_State *L, const lbx_param *p, const Field *f,
                     const lbx_path *at) {
  switch (p->sort) {
    case LBX_SIZE: replace_size(L, at); return;
    case LBX_PORT: check_range(L, at, 65535); return;
    case LBX_OBJECT: replace_object(L, p->of); break;
    default: break;
  }
  switch (f->type) {
    case PROTOBUF_C_TYPE_MESSAGE:
      lbx_read_record(L, p->fields, f->descriptor, at);
      break;
    case PROTOBUF_C_TYPE_BOOL:
      if (!lua_isboolean(L, -1)) refuse(L, at, "true or false");
      break;
    case PROTOBUF_C_TYPE_UINT32: check_range(L, at, UINT32_MAX); break;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES: check_text(L, at); break;
    default: check_range(L, at, INT64_MAX);
  }
  if (p->either[0] && strcmp(lua_tostring(L, -1), p->either[0]) != 0 &&
      strcmp(lua_tostring(L, -1), p->either[1]) != 0)
    lbx_path_error(L, at, "\"%s\" or \"%s\" expected, not %s", p->either[0],
                   p->either[1], lbx_push_shown(L, -1));
}

/* A new list of what the elements of the one on the top become. */
static void read_list(lua_State *L, const lbx_param *p, const Field *f,
                      const lbx_path *at) {
  if (!lua_istable(L, -1)) refuse(L, at, "a list");
  lua_Integer n = (lua_Integer)lbx_path_list(L, at);
  lua_createtable(L, (int)n, 0);
  for (lua_Integer i = 1; i <= n; i++) {
    lbx_path step = LBX_PATH_INDEX(at, i);
    lua_rawgeti(L, -2, i);
    read_one(L, p, f, &step);
    lua_rawseti(L, -2, i);
  }
  lua_replace(L, -2);
}

static void read_field(lua_State *L, const lbx_param *p, const Message *d,
                       const Field *f, const lbx_path *at) {
  lbx_room(L, 12);
  if (p->sort == LBX_VARIABLES)
    replace_variables(L, at);
  else if (bx_message_is_map(d, f))
    lbx_check_map(L, at);
  else if (f->label == PROTOBUF_C_LABEL_REPEATED)
    read_list(L, p, f, at);
  else
    read_one(L, p, f, at);
}

/* ---- tables of named values ---- */

/* Their names, in a list that ends with NULL. */
typedef struct names {
  const char *list[OPTIONS_MAX + 2];
} names;

static names names_of(lua_State *L, const lbx_param *params, bool timeout) {
  names all = {{timeout ? "timeout" : NULL}};
  size_t n = timeout;
  for (const lbx_param *p = params; p && p->name; p++) {
    if (n == OPTIONS_MAX) luaL_error(L, "%s: too many options", p->name);
    all.list[n++] = p->name;
  }
  return all;
}

static const lbx_param *find_param(const lbx_param *params, const char *name) {
  for (const lbx_param *p = params; p && p->name; p++)
    if (strcmp(p->name, name) == 0) return p;
  return NULL;
}

/* Sets in the table on the top what the one below it did not say. */
static void add_absent(lua_State *L, const lbx_param *params,
                       const lbx_path *at) {
  for (const lbx_param *p = params; p->name; p++) {
    if (!p->needed && !p->on) continue;
    lua_pushstring(L, p->name);
    if (lua_rawget(L, -3) == LUA_TNIL) {
      lbx_path step = LBX_PATH_NAME(at, p->name);
      if (p->needed)
        lbx_error_invalid(L, "%s is missing", lbx_path_push(L, &step));
      lua_pushboolean(L, true);
      lua_setfield(L, -3, p->field);
    }
    lua_pop(L, 1);
  }
}

void lbx_read_record(lua_State *L, const lbx_param *params, const Message *d,
                     const lbx_path *at) {
  const names known = names_of(L, params, false);
  lbx_room(L, 12);
  check_table(L, at);
  const char *what = lbx_path_push(L, at);
  lbx_options(L, -2, what, known.list);
  lua_pop(L, 1);
  lua_newtable(L);
  for (lua_pushnil(L); lua_next(L, -3);) {
    const lbx_param *p = find_param(params, lua_tostring(L, -2));
    const Message *of = p->in ? p->in : d;
    lbx_path step = LBX_PATH_NAME(at, p->name);
    read_field(L, p, of, field_of(of, p->field), &step);
    lua_setfield(L, -3, p->field);
  }
  add_absent(L, params, at);
  lua_replace(L, -2);
}

/* ---- arguments and options: wrong types are refused as Lua does ---- */

/* Where a value came from, for messages. option NULL: an argument. */
typedef struct source {
  const lbx_method *m;
  const char *option;
  int idx;
} source;

/* Numbered as the script sees them, without the object. */
static int wrong_type(lua_State *L, const source *s, const char *expected) {
  const char *got = lbx_type_name(L, s->idx);
  if (s->option)
    return lbx_error_usage(L, "bad option '%s' to '%s' (%s expected, got %s)",
                           s->option, s->m->name, expected, got);
  return lbx_error_usage(L, "bad argument #%d to '%s' (%s expected, got %s)",
                         s->idx - 1, s->m->name, expected, got);
}

/* The type that f's values have in Lua; config: a table, as a value. */
static int type_of(const Field *f) {
  if (f->label == PROTOBUF_C_LABEL_REPEATED) return LUA_TTABLE;
  switch (f->type) {
    case PROTOBUF_C_TYPE_STRING: case PROTOBUF_C_TYPE_BYTES: return LUA_TSTRING;
    case PROTOBUF_C_TYPE_BOOL: return LUA_TBOOLEAN;
    case PROTOBUF_C_TYPE_MESSAGE: return LUA_TNONE;
    default: return LUA_TNUMBER;
  }
}

static void check_type(lua_State *L, const source *s, const Field *f) {
  int wanted = type_of(f);
  if (wanted == LUA_TNUMBER && !lua_isinteger(L, s->idx))
    wrong_type(L, s, "integer");
  else if (wanted != LUA_TNONE && lua_type(L, s->idx) != wanted)
    wrong_type(L, s, lua_typename(L, wanted));
}

static void check_object(lua_State *L, const source *s, const lbx_type *of) {
  if (lua_type(L, s->idx) != LUA_TSTRING &&
      (!of || lbx_type_of(L, s->idx) != of))
    wrong_type(L, s, of ? lua_pushfstring(L, "%s or string", of->metatable)
                        : "string");
  if (lua_type(L, s->idx) == LUA_TSTRING && lua_rawlen(L, s->idx) == 0)
    lbx_error_invalid(L, "%s: %s%san id or a name expected, not \"\"",
                      s->m->name, s->option ? s->option : "",
                      s->option ? ": " : "");
}

/* Replaces an argument or an option by its form in a request. */
static void read_value(lua_State *L, const source *s, const lbx_param *p,
                       const Message *d) {
  if (p->type && lua_type(L, s->idx) != p->type)
    wrong_type(L, s, lua_typename(L, p->type));
  if (p->type || p->any) return;
  const Field *f = field_of(d, p->field);
  if (p->read) {
    p->read(L, s->idx, s->m->name);
    return;
  }
  if (p->sort == LBX_OBJECT) check_object(L, s, p->of);
  else if (p->sort == LBX_SIZE && !lua_isinteger(L, s->idx) &&
           lua_type(L, s->idx) != LUA_TSTRING)
    wrong_type(L, s, "size");
  else if (f && p->sort != LBX_SIZE)
    check_type(L, s, f);
  lbx_path root =
      p->fields ? LBX_PATH_ROOT(p->name) : LBX_PATH_OF(s->m->name);
  lbx_path at = LBX_PATH_NAME(&root, p->name);
  lua_pushvalue(L, s->idx);
  if (f)
    read_field(L, p, d, f, &at);
  else if (p->sort == LBX_OBJECT)
    replace_object(L, p->of);
  lua_replace(L, s->idx);
}

static void check_timeout(lua_State *L, const source *s) {
  if (lua_type(L, s->idx) != LUA_TNUMBER) wrong_type(L, s, "number of seconds");
  if (!(lua_tonumber(L, s->idx) > 0))
    lbx_error_invalid(L, "%s: timeout must be a positive number of seconds",
                      s->m->name);
}

static void refuse_options(lua_State *L, const lbx_method *m, int idx,
                           int number) {
  if (!lua_istable(L, idx))
    lbx_error_usage(L, "bad argument #%d to '%s' (table expected, got %s: "
                    "options have names, as in { timeout = 30 })", number,
                    m->name, lbx_type_name(L, idx));
  const names known = names_of(L, m->options, true);
  lbx_options(L, idx, m->name, known.list);
}

double lbx_read_options(lua_State *L, const lbx_method *m, const Message *d,
                        int idx, int number) {
  double timeout = 0;
  if (lua_isnil(L, idx)) return 0;
  refuse_options(L, m, idx, number);
  lua_newtable(L);
  int fields = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, idx); lua_settop(L, fields + 1)) {
    const char *name = lua_tostring(L, -2);
    const lbx_param *p = find_param(m->options, name);
    source s = {m, name, lua_gettop(L)};
    if (!p) {
      check_timeout(L, &s);
      timeout = lua_tonumber(L, -1);
      continue;
    }
    read_value(L, &s, p, d);
    if (p->place) p->place(L, fields, d);
    if (!p->field)
      lua_setfield(L, fields, p->name);
    else if (field_of(d, p->field))
      lua_setfield(L, fields, p->field);
  }
  lua_replace(L, idx);
  return timeout;
}

/* Arguments that may be left out make room for the options after them. */
static void place_arguments(lua_State *L, const lbx_method *m) {
  int given = lua_gettop(L), n = lbx_count_args(m), last = 1 + n;
  if (n > 0 && m->args[n - 1].optional && given >= last &&
      lua_istable(L, last) && lua_isnoneornil(L, last + 1)) {
    lua_pushnil(L);
    lua_insert(L, last);
  }
  lua_settop(L, last + 1);
  for (; n < LBX_ARGS_MAX; n++) {
    lua_pushnil(L);
    lua_insert(L, last + 1);
  }
  lua_pushvalue(L, lbx_object_at(m));
}

static void check_needed(lua_State *L, const lbx_method *m) {
  for (const lbx_param *p = m->options; p && p->name; p++) {
    if (!p->needed) continue;
    if (lua_istable(L, LBX_OPTIONS)) {
      lua_getfield(L, LBX_OPTIONS, p->field);
      bool given = lua_type(L, -1) != LUA_TNIL &&
                   !(lua_type(L, -1) == LUA_TSTRING && lua_rawlen(L, -1) == 0);
      lua_pop(L, 1);
      if (given) continue;
    }
    lbx_error_invalid(L, "%s: %s is missing", m->name, p->name);
  }
}

double lbx_read_arguments(lua_State *L, const lbx_method **row) {
  place_arguments(L, *row);
  if ((*row)->choose) *row = (*row)->choose(L, *row, LBX_OPTIONS);
  const lbx_method *m = *row;
  const Message *d = bx_rpc_request(bx_rpc_find(m->rpc));
  for (int i = 0; i < lbx_count_args(m); i++) {
    source s = {m, NULL, 2 + i};
    if (m->args[i].optional && lua_isnil(L, s.idx)) continue;
    read_value(L, &s, &m->args[i], d);
  }
  double timeout =
      lbx_read_options(L, m, d, LBX_OPTIONS, lbx_count_args(m) + 1);
  check_needed(L, m);
  if (!m->complete) return timeout;
  if (lua_isnil(L, LBX_OPTIONS)) {
    lua_newtable(L);
    lua_replace(L, LBX_OPTIONS);
  }
  m->complete(L);
  return timeout;
}
