/* What a row's reply becomes: what the method returns, and what it sets. */
#include <lauxlib.h>
#include <string.h>

#include "../core/message.h"
#include "decode.h"
#include "json.h"
#include "method_private.h"
#include "names.h"

typedef ProtobufCMessageDescriptor Message;
typedef ProtobufCFieldDescriptor Field;

static const Field *field_of(const Message *d, const char *name) {
  return protobuf_c_message_descriptor_get_field_by_name(d, name);
}

/* An object of the reply, or of the message in its field; nil: it has none. */
static bool push_object(lua_State *L, const lbx_method *m, const Message *d,
                        lbx_bytes b) {
  if (m->field) {
    const Field *f = field_of(d, m->field);
    const uint8_t *at = b.s;
    if (!bx_message_valid(d, b.s, b.len)) return false;
    if (!lbx_next_message(f, &at, b.s + b.len, &b.s, &b.len)) {
      lua_pushnil(L);
      return true;
    }
    d = f->descriptor;
  }
  return lbx_push_record(L, LBX_COMPUTE, m->of, d, b.s, b.len);
}

/* Has the message the text at idx in a field that scripts call so? */
static bool has_text(lua_State *L, const Message *d, const char *name,
                     lbx_bytes b, int idx) {
  lbx_push_field(L, d, lbx_named(d, name), b.s, b.len);
  bool same = lua_rawequal(L, -1, idx);
  lua_pop(L, 1);
  return same;
}

lbx_bytes lbx_reply_find(lua_State *L, const Field *f, lbx_bytes b, int idx) {
  const uint8_t *at = b.s, *end = b.s + b.len;
  lbx_bytes one, found = {NULL, 0};
  while (lbx_next_message(f, &at, end, &one.s, &one.len)) {
    if (has_text(L, f->descriptor, "id", one, idx)) return one;
    if (!found.s && has_text(L, f->descriptor, "name", one, idx)) found = one;
  }
  return found;
}

/* False: malformed. Nothing found: nil. */
static bool push_found(lua_State *L, const lbx_unary *u, const Message *d,
                       lbx_bytes b) {
  const lbx_method *m = u->m;
  const Field *f = field_of(d, m->field);
  if (!bx_message_valid(d, b.s, b.len)) return false;
  lbx_bytes found = lbx_reply_find(L, f, b, u->first);
  if (found.s)
    return lbx_push_record(L, LBX_COMPUTE, m->of, f->descriptor, found.s,
                           found.len);
  lua_pushnil(L);
  return true;
}

/* Pushes what the request has in a field, "a" or "a.b"; nil: nothing. */
static void push_sent(lua_State *L, const lbx_method *m, const char *name) {
  const char *dot = strchr(name, '.');
  for (int i = 0; i < lbx_count_args(m); i++)
    if (m->args[i].field && strcmp(m->args[i].field, name) == 0 &&
        !lua_isnil(L, 2 + i)) {
      lua_pushvalue(L, 2 + i);
      return;
    }
  lua_pushvalue(L, LBX_OPTIONS);
  for (; dot && lua_istable(L, -1); name = dot + 1, dot = strchr(name, '.')) {
    lua_pushlstring(L, name, (size_t)(dot - name));
    lua_gettable(L, -2);
    lua_remove(L, -2);
  }
  if (lua_istable(L, -1))
    lua_getfield(L, -1, name);
  else
    lua_pushnil(L);
  lua_remove(L, -2);
}

/* Pushes the value that a set gives. */
static void push_set(lua_State *L, const lbx_method *m, const lbx_set *s,
                     const Message *d, lbx_bytes b) {
  if (s->value) {
    lua_pushstring(L, s->value);
  } else if (s->empty) {
    lua_newtable(L);
    luaL_setmetatable(L, LBX_JSON_ARRAY);
  } else if (s->given) {
    if (lbx_is_record(L, LBX_GIVEN))
      lbx_record_get(L, LBX_GIVEN, s->given);
    else
      lua_pushnil(L);
  } else {
    if (s->reply)
      lbx_push_field(L, d, field_of(d, s->reply), b.s, b.len);
    else
      lua_pushnil(L);
    if (!lua_isnil(L, -1) || !s->request) return;
    lua_pop(L, 1);
    push_sent(L, m, s->request);
  }
}

void lbx_reply_set(lua_State *L, const lbx_unary *u, lbx_bytes b) {
  const lbx_method *m = u->m;
  const Message *d = bx_rpc_reply(u->rpc);
  int object = m->result == LBX_RECORD ? lua_gettop(L) : 1;
  for (int i = 0; i < LBX_SETS_MAX && m->sets[i].field; i++) {
    push_set(L, m, &m->sets[i], d, b);
    if (lua_isnil(L, -1) && m->result == LBX_RECORD)
      lua_pop(L, 1);
    else
      lbx_record_set(L, object, m->sets[i].field);
  }
}

/* Only those of the list on the top that the row keeps. */
static void keep_some(lua_State *L, const lbx_method *m) {
  lua_Integer n = (lua_Integer)lua_rawlen(L, -1), kept = 0;
  if (!m->keep || !lua_istable(L, LBX_OPTIONS)) return;
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, -1, i);
    bool keep = m->keep(L, LBX_OPTIONS, lua_gettop(L));
    if (keep && ++kept < i)
      lua_rawseti(L, -2, kept);
    else
      lua_pop(L, 1);
  }
  for (lua_Integer i = kept + 1; i <= n; i++) {
    lua_pushnil(L);
    lua_rawseti(L, -2, i);
  }
  if (kept == 0) luaL_setmetatable(L, LBX_JSON_ARRAY);
}

bool lbx_reply_push(lua_State *L, const lbx_unary *u, lbx_bytes b) {
  const lbx_method *m = u->m;
  const Message *d = bx_rpc_reply(u->rpc);
  switch (m->result) {
    case LBX_WHOLE: return lbx_decode_named(L, d, b.s, b.len);
    case LBX_RECORD: return push_object(L, m, d, b);
    case LBX_RECORDS:
      if (!bx_message_valid(d, b.s, b.len)) return false;
      lbx_push_records(L, LBX_COMPUTE, m->of, field_of(d, m->field), b.s,
                       b.len);
      keep_some(L, m);
      return true;
    case LBX_FOUND: return push_found(L, u, d, b);
    case LBX_REFRESH:
      if (!lbx_record_refresh(L, 1, d, b.s, b.len)) return false;
      lua_pushvalue(L, 1);
      return true;
    case LBX_FIELD:
      if (!bx_message_valid(d, b.s, b.len)) return false;
      lbx_push_field(L, d, field_of(d, m->field), b.s, b.len);
      return true;
    case LBX_NOTHING: break;
  }
  if (!bx_message_valid(d, b.s, b.len)) return false;
  lua_pushnil(L);
  return true;
}
