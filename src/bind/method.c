#include "method.h"

#include <ctype.h>
#include <grpc/byte_buffer.h>
#include <lauxlib.h>
#include <string.h>

#include "../core/message.h"
#include "../core/text.h"
#include "arena.h"
#include "await.h"
#include "client.h"
#include "codec.h"
#include "decode.h"
#include "error.h"
#include "json.h"
#include "names.h"
#include "type.h"
#include "types.h"

typedef ProtobufCMessageDescriptor Message;
typedef ProtobufCFieldDescriptor Field;

#define CALL_TYPE "boxd.Call"
#define ARGS_MAX 3

/* The stack of a method: the object, its arguments, and then */
enum { OPTIONS = ARGS_MAX + 2, COMPUTE, CALL, FIRST_ERROR };

/* A unary call on the stack: cancelled when it is collected. */
typedef struct unary {
  bx_call *call;
  const bx_rpc *rpc;
  const lbx_method *m;
  double deadline;
} unary;

static const Field *field_of(const Message *d, const char *name) {
  return protobuf_c_message_descriptor_get_field_by_name(d, name);
}

static int count_args(const lbx_method *m) {
  int n = 0;
  while (n < ARGS_MAX && m->args[n].name) n++;
  return n;
}

/* ---- arguments: checked where they stand, and replaced by what is sent ---- */

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

/* Sizes, counts and ports: none is negative. */
static void check_integer(lua_State *L, const source *s, const char *what,
                          int64_t most) {
  if (!lua_isinteger(L, s->idx)) wrong_type(L, s, "integer");
  lua_Integer n = lua_tointeger(L, s->idx);
  if (n < 0 || n > most)
    lbx_error_invalid(L, "%s: %s: an integer from 0 to %lld expected, not "
                      "%lld", s->m->name, what, (long long)most, (long long)n);
}

static int64_t most_of(const Field *f) {
  return f->type == PROTOBUF_C_TYPE_UINT32 ? UINT32_MAX : INT64_MAX;
}

static void check_type(lua_State *L, const source *s, const char *what,
                       const Field *f) {
  int got = lua_type(L, s->idx);
  if (f->label == PROTOBUF_C_LABEL_REPEATED) {
    if (got != LUA_TTABLE) wrong_type(L, s, "table");
  } else if (f->type == PROTOBUF_C_TYPE_STRING ||
             f->type == PROTOBUF_C_TYPE_BYTES) {
    if (got != LUA_TSTRING) wrong_type(L, s, "string");
  } else if (f->type == PROTOBUF_C_TYPE_BOOL) {
    if (got != LUA_TBOOLEAN) wrong_type(L, s, "boolean");
  } else if (f->type != PROTOBUF_C_TYPE_MESSAGE) {
    check_integer(L, s, what, most_of(f));
  }
}

static void read_size(lua_State *L, const source *s) {
  size_t len;
  uint64_t bytes;
  bx_error e;
  if (lua_isinteger(L, s->idx)) return;
  if (lua_type(L, s->idx) != LUA_TSTRING) wrong_type(L, s, "size");
  const char *text = lua_tolstring(L, s->idx, &len);
  if (bx_text_size(text, len, &bytes, &e)) lbx_throw(L, &e, NULL);
  lua_pushinteger(L, (lua_Integer)bytes);
  lua_replace(L, s->idx);
}

static void read_object(lua_State *L, const source *s, const lbx_type *of) {
  if (of && lbx_type_of(L, s->idx) == of) {
    lbx_record_get(L, s->idx, "id");
    lua_replace(L, s->idx);
  }
  if (lua_type(L, s->idx) != LUA_TSTRING) {
    lua_pushfstring(L, of ? "%s or string" : "string", of ? of->metatable : "");
    wrong_type(L, s, lua_tostring(L, -1));
  }
  if (lua_rawlen(L, s->idx) == 0)
    lbx_error_invalid(L, "%s: an id or a name expected, not \"\"", s->m->name);
}

static void read_value(lua_State *L, const source *s, const lbx_param *p,
                       const Message *d) {
  if (p->read) {
    p->read(L, s->idx, s->m->name);
    return;
  }
  switch (p->sort) {
    case LBX_PORT: check_integer(L, s, p->name, 65535); break;
    case LBX_SIZE: read_size(L, s); break;
    case LBX_OBJECT: read_object(L, s, p->of); break;
    default: check_type(L, s, p->name, field_of(d, p->field));
  }
}

static void read_arguments(lua_State *L, const lbx_method *m,
                           const Message *d) {
  for (int i = 0; i < count_args(m); i++) {
    source s = {m, NULL, 2 + i};
    if (m->args[i].sort == LBX_OPTIONAL && lua_isnil(L, s.idx)) continue;
    read_value(L, &s, &m->args[i], d);
  }
}

static const lbx_param *find_option(const lbx_method *m, const char *name) {
  for (const lbx_param *p = m->options; p && p->name; p++)
    if (strcmp(p->name, name) == 0) return p;
  return NULL;
}

static void refuse_options(lua_State *L, const lbx_method *m) {
  const char *names[16] = {"timeout"};
  int n = 1;
  for (const lbx_param *p = m->options; p && p->name; p++) names[n++] = p->name;
  names[n] = NULL;
  lbx_options(L, OPTIONS, m->name, names);
}

static void check_timeout(lua_State *L, const source *s) {
  if (lua_type(L, s->idx) != LUA_TNUMBER) wrong_type(L, s, "number of seconds");
  if (!(lua_tonumber(L, s->idx) > 0))
    lbx_error_invalid(L, "%s: timeout must be a positive number of seconds",
                      s->m->name);
}

/* Puts a checked copy of the options in their place, of what is sent. */
static void read_options(lua_State *L, const lbx_method *m, const Message *d) {
  if (lua_isnil(L, OPTIONS)) return;
  if (!lua_istable(L, OPTIONS))
    lbx_error_usage(L, "bad argument #%d to '%s' (table expected, got %s: "
                    "options have names, as in { timeout = 30 })",
                    count_args(m) + 1, m->name, lbx_type_name(L, OPTIONS));
  refuse_options(L, m);
  lua_newtable(L);
  for (lua_pushnil(L); lua_next(L, OPTIONS); lua_pop(L, 1)) {
    const char *name = lua_tostring(L, -2);
    const lbx_param *p = find_option(m, name);
    source s = {m, name, lua_gettop(L)};
    if (p)
      read_value(L, &s, p, d);
    else
      check_timeout(L, &s);
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    lua_rawset(L, -5);
  }
  lua_replace(L, OPTIONS);
}

/* Arguments that may be left out make room for the options after them. */
static void place_arguments(lua_State *L, const lbx_method *m) {
  int given = lua_gettop(L), n = count_args(m), last = 1 + n;
  if (n > 0 && m->args[n - 1].sort == LBX_OPTIONAL && given == last &&
      lua_istable(L, last)) {
    lua_pushnil(L);
    lua_insert(L, last);
  }
  lua_settop(L, last + 1);
  for (; n < ARGS_MAX; n++) {
    lua_pushnil(L);
    lua_insert(L, last + 1);
  }
}

/* ---- the request ---- */

/* The arena is the state's own: nothing here may run the collector, whose
** finalizers could take it. All that is sent stands on the stack already. */
static grpc_byte_buffer *make_request(lua_State *L, const lbx_method *m,
                                      const Message *d) {
  lbx_arena *a = lbx_arena_scratch(L);
  ProtobufCMessage *q = lbx_encode_new(L, d, a);
  lbx_room(L, 8);
  if (m->fixed.field)
    lbx_encode_text(q, field_of(d, m->fixed.field), m->fixed.value);
  if (m->self) /* the id is on the top */
    lbx_encode_field(L, -1, q, field_of(d, m->self), a);
  for (int i = 0; i < count_args(m); i++)
    if (m->args[i].field && !lua_isnil(L, 2 + i))
      lbx_encode_field(L, 2 + i, q, field_of(d, m->args[i].field), a);
  for (const lbx_param *p = m->options;
       p && p->name && lua_istable(L, OPTIONS); p++) {
    if (lua_getfield(L, OPTIONS, p->name) != LUA_TNIL)
      lbx_encode_field(L, -1, q, field_of(d, p->field), a);
    lua_pop(L, 1); /* the table has it */
  }
  grpc_byte_buffer *buffer = bx_message_pack(q);
  lbx_arena_reset(a);
  if (!buffer)
    lbx_error_invalid(L, "%s: the message is longer than 64 MiB; send large "
                         "data as a stream", m->name);
  return buffer;
}

/* ---- the reply ---- */

typedef struct bytes {
  const uint8_t *s;
  size_t len;
} bytes;

/* The reply's bytes in one piece; the call has them. */
static bytes whole(bx_call *c) {
  if (c->reply->data.raw.slice_buffer.count != 1) {
    grpc_byte_buffer *pieces = c->reply;
    c->reply = bx_message_join(pieces);
    grpc_byte_buffer_destroy(pieces);
  }
  /* Not a copy of the slice: short ones have their bytes inside. */
  const grpc_slice *s = &c->reply->data.raw.slice_buffer.slices[0];
  return (bytes){GRPC_SLICE_START_PTR(*s), GRPC_SLICE_LENGTH(*s)};
}

static int malformed(lua_State *L, const bx_rpc *rpc) {
  bx_error e;
  bx_error_set(&e, BX_INTERNAL, "the server's message is not a valid %s",
               bx_rpc_reply(rpc)->short_name);
  return lbx_throw(L, &e, rpc->name);
}

/* An object of the reply, or of the message in its field; nil: it has none. */
static bool push_object(lua_State *L, const lbx_method *m, const Message *d,
                        bytes b) {
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
  return lbx_push_record(L, COMPUTE, m->of, d, b.s, b.len);
}

static bool has_text(lua_State *L, const Message *d, const char *name,
                     bytes b, int idx) {
  lbx_push_field(L, d, lbx_named(d, name), b.s, b.len);
  bool same = lua_rawequal(L, -1, idx);
  lua_pop(L, 1);
  return same;
}

/* The record with the id, or else the first with the name, at 2. False:
** malformed. Nothing found: nil. */
static bool push_found(lua_State *L, const lbx_method *m, const Message *d,
                       bytes b) {
  const Field *f = field_of(d, m->field);
  const uint8_t *at = b.s, *end = b.s + b.len;
  bytes one, found = {NULL, 0};
  if (!bx_message_valid(d, b.s, b.len)) return false;
  while (lbx_next_message(f, &at, end, &one.s, &one.len)) {
    if (has_text(L, f->descriptor, "id", one, 2)) {
      found = one;
      break;
    }
    if (!found.s && has_text(L, f->descriptor, "name", one, 2)) found = one;
  }
  if (found.s)
    return lbx_push_record(L, COMPUTE, m->of, f->descriptor, found.s,
                           found.len);
  lua_pushnil(L);
  return true;
}

/* Pushes the value that a set gives. */
static void push_set(lua_State *L, const lbx_method *m, const lbx_set *s,
                     const Message *d, bytes b) {
  if (s->value) {
    lua_pushstring(L, s->value);
    return;
  }
  if (s->empty) {
    lua_newtable(L);
    luaL_setmetatable(L, LBX_JSON_ARRAY);
    return;
  }
  if (s->reply)
    lbx_push_field(L, d, field_of(d, s->reply), b.s, b.len);
  else
    lua_pushnil(L);
  for (int i = 0; lua_isnil(L, -1) && s->request && i < count_args(m); i++)
    if (m->args[i].field && strcmp(m->args[i].field, s->request) == 0) {
      lua_pop(L, 1);
      lua_pushvalue(L, 2 + i);
    }
}

static void make_sets(lua_State *L, const lbx_method *m, const Message *d,
                      bytes b) {
  int object = m->result == LBX_RECORD ? lua_gettop(L) : 1;
  for (int i = 0; i < LBX_SETS_MAX && m->sets[i].field; i++) {
    push_set(L, m, &m->sets[i], d, b);
    lbx_record_set(L, object, m->sets[i].field);
  }
}

/* Only those of the list on the top that the row keeps. */
static void keep_some(lua_State *L, const lbx_method *m) {
  lua_Integer n = (lua_Integer)lua_rawlen(L, -1), kept = 0;
  if (!m->keep || !lua_istable(L, OPTIONS)) return;
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, -1, i);
    bool keep = m->keep(L, OPTIONS, lua_gettop(L));
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

/* Pushes what the method returns. */
static bool push_result(lua_State *L, const lbx_method *m, const Message *d,
                        bytes b) {
  switch (m->result) {
    case LBX_WHOLE: return lbx_decode_named(L, d, b.s, b.len);
    case LBX_RECORD: return push_object(L, m, d, b);
    case LBX_RECORDS:
      if (!lbx_push_records(L, COMPUTE, m->of, field_of(d, m->field), b.s,
                            b.len))
        return false;
      keep_some(L, m);
      return true;
    case LBX_FOUND: return push_found(L, m, d, b);
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

/* ---- the call ---- */

static void cancel_unary(void *arg) {
  bx_call_cancel(arg, "the caller was cancelled");
}

static void release(unary *u) {
  if (!u->call) return;
  bx_call *c = u->call;
  u->call = NULL;
  bx_call_unref(c);
}

static int m__gc_call(lua_State *L) {
  unary *u = lua_touserdata(L, 1);
  if (u->call) bx_call_cancel(u->call, "the caller no longer waits");
  release(u);
  return 0;
}

/* Makes the call of an RPC; a request is to follow. */
static void new_call(lua_State *L, unary *u, const bx_rpc *rpc) {
  u->rpc = rpc;
  u->call = lbx_client_prepare(L, COMPUTE, rpc, u->deadline);
}

/* Starts the RPC of a row, with what is on the stack. */
static void start(lua_State *L, unary *u, const lbx_method *m) {
  u->m = m;
  new_call(L, u, bx_rpc_find(m->rpc));
  if (m->self) lbx_record_get(L, 1, "id");
  grpc_byte_buffer *request = make_request(L, m, bx_rpc_request(u->rpc));
  bx_call_unary(u->call, request);
  if (m->self) lua_pop(L, 1);
}

/* Raises, and tells what took the place of an RPC that is gone. */
static int throw_error(lua_State *L, const unary *u) {
  const bx_error *e = &u->call->error;
  bx_error told = *e;
  if (u->rpc->successor && e->status == GRPC_STATUS_UNIMPLEMENTED) {
    bx_error_set(&told, e->class_, "%s: %s", e->message, u->rpc->successor);
    told.status = e->status;
  }
  return lbx_client_throw(L, COMPUTE, &told, u->rpc);
}

/* What to do when the call has failed: the other RPC, or the error. */
static void fail(lua_State *L, unary *u, const lbx_method *m) {
  bx_call *c = u->call;
  if (c->error.class_ != BX_NOT_FOUND || u->m != m || !m->otherwise)
    throw_error(L, u);
  lbx_client_push_error(L, COMPUTE, &c->error, u->rpc);
  release(u);
  start(L, u, m->otherwise);
}

/* "no box has the id or the name": where the service's own words don't say. */
static int not_found(lua_State *L, const unary *u) {
  const char *name = lua_tostring(L, 2), *of = u->m->of->name;
  int first = tolower((unsigned char)*of);
  bx_error e;
  if (lua_istable(L, FIRST_ERROR)) {
    lua_pushvalue(L, FIRST_ERROR);
    lua_getfield(L, -1, "message");
    if (!strstr(lua_tostring(L, -1), name)) {
      lua_pushfstring(L, "no %c%s has the id or the name \"%s\": %s", first,
                      of + 1, name, lua_tostring(L, -1));
      lua_setfield(L, -3, "message");
    }
    lua_pop(L, 1);
    return lua_error(L);
  }
  bx_error_set(&e, BX_NOT_FOUND, "no %c%s has the id or the name \"%s\"",
               first, of + 1, name);
  return lbx_throw(L, &e, u->rpc->name);
}

void lbx_push_living(lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, "boxd.living");
}

static void forget(lua_State *L) {
  lbx_push_living(L);
  lua_pushvalue(L, 1);
  lua_pushnil(L);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

static int finish(lua_State *L, unary *u) {
  const lbx_method *m = u->m;
  const Message *d = bx_rpc_reply(u->rpc);
  bytes b = whole(u->call);
  if (!push_result(L, m, d, b)) malformed(L, u->rpc);
  make_sets(L, m, d, b);
  if (m->ends) forget(L);
  if (m->of && lua_isnil(L, -1)) not_found(L, u);
  if (m->also) lbx_push_field(L, d, field_of(d, m->also), b.s, b.len);
  release(u); /* not left to the gc: the reply may be large */
  return m->result == LBX_NOTHING ? 0 : m->also ? 2 : 1;
}

static int method_k(lua_State *L, int status, lua_KContext row) {
  (void)status;
  unary *u = lua_touserdata(L, CALL);
  if (!u->call) return lbx_gone(L, "the call");
  for (;;) {
    while (!u->call->finished.set)
      lbx_await(L, &(lbx_wait){.event = &u->call->finished,
                               .cancel = cancel_unary, .arg = u->call}, row,
                method_k);
    if (!u->call->error.class_) return finish(L, u);
    fail(L, u, (const lbx_method *)row);
  }
}

static double deadline(lua_State *L) {
  double seconds = lbx_client_timeout(L, COMPUTE);
  if (lua_istable(L, OPTIONS)) {
    if (lua_getfield(L, OPTIONS, "timeout") != LUA_TNIL)
      seconds = lua_tonumber(L, -1);
    lua_pop(L, 1);
  }
  return bx_now() + seconds;
}

/* upvalues: the row, the type of the object */
static int m_method(lua_State *L) {
  const lbx_method *m = lua_touserdata(L, lua_upvalueindex(1));
  const lbx_type *t = lua_touserdata(L, lua_upvalueindex(2));
  const Message *d = bx_rpc_request(bx_rpc_find(m->rpc));
  lbx_type_check(L, t, m->name);
  place_arguments(L, m);
  read_arguments(L, m, d);
  read_options(L, m, d);
  lbx_push_compute(L, 1);
  unary *u = lbx_new(L, sizeof *u, 0, CALL_TYPE);
  u->deadline = deadline(L);
  start(L, u, m);
  return method_k(L, LUA_OK, (lua_KContext)m);
}

void lbx_push_method(lua_State *L, const lbx_type *t, const lbx_method *m) {
  static const luaL_Reg call_meta[] = {{"__gc", m__gc_call}, {NULL, NULL}};
  if (luaL_getmetatable(L, CALL_TYPE) == LUA_TNIL)
    lbx_newtype(L, CALL_TYPE, NULL, call_meta);
  lua_pop(L, 1);
  if (m->lua) {
    lua_pushcfunction(L, m->lua);
    return;
  }
  lua_pushlightuserdata(L, (void *)m);
  lua_pushlightuserdata(L, (void *)t);
  lua_pushcclosure(L, m_method, 2);
}

/* ---- core.call ---- */

/* 1 object, 2 rpc, 3 request, 4 seconds, 5 type or record; COMPUTE, CALL */
static int core_call_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  unary *u = lua_touserdata(L, CALL);
  bx_call *c = u->call;
  bool ok;
  if (!c) return lbx_gone(L, "the call");
  while (!c->finished.set)
    lbx_await(L, &(lbx_wait){.event = &c->finished, .cancel = cancel_unary,
                             .arg = c}, ctx, core_call_k);
  if (c->error.class_) throw_error(L, u);
  const Message *d = bx_rpc_reply(u->rpc);
  bytes b = whole(c);
  if (lua_isstring(L, 5)) {
    ok = lbx_push_record(L, COMPUTE, lbx_type_named(lua_tostring(L, 5)), d,
                         b.s, b.len);
  } else if (lua_isuserdata(L, 5)) {
    ok = lbx_record_refresh(L, 5, d, b.s, b.len);
    lua_pushvalue(L, 5);
  } else {
    ok = lbx_decode(L, d, b.s, b.len);
  }
  if (!ok) malformed(L, u->rpc);
  release(u);
  return 1;
}

int lbx_core_call(lua_State *L) {
  const bx_rpc *rpc = lbx_client_rpc(L, 2);
  if (rpc->kind != BX_UNARY)
    lbx_error_invalid(L, "%s is a stream: call stream for it", rpc->name);
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_settop(L, OPTIONS);
  lbx_push_compute(L, 1);
  double seconds = luaL_optnumber(L, 4, lbx_client_timeout(L, COMPUTE));
  unary *u = lbx_new(L, sizeof *u, 0, CALL_TYPE);
  u->deadline = bx_now() + seconds;
  new_call(L, u, rpc);
  grpc_byte_buffer *request = lbx_client_encode(L, 3, rpc);
  bx_call_unary(u->call, request);
  return core_call_k(L, LUA_OK, 0);
}
