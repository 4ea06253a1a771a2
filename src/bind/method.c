#include "method_private.h"

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

/* A unary call on the stack: cancelled when it is collected. */
typedef struct unary {
  bx_call *call;
  const bx_rpc *rpc;
  const lbx_method *m;
  double deadline;
  bool named_disks; /* their names have been looked up */
} unary;

static const Field *field_of(const Message *d, const char *name) {
  return protobuf_c_message_descriptor_get_field_by_name(d, name);
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
  for (int i = 0; i < lbx_count_args(m); i++)
    if (m->args[i].field && !lua_isnil(L, 2 + i))
      lbx_encode_field(L, 2 + i, q, field_of(d, m->args[i].field), a);
  if (m->options && lua_istable(L, LBX_OPTIONS))
    for (lua_pushnil(L); lua_next(L, LBX_OPTIONS); lua_pop(L, 1)) {
      const Field *f = field_of(d, lua_tostring(L, -2));
      if (f) lbx_encode_field(L, -1, q, f, a); /* else it is not sent */
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
  return lbx_push_record(L, LBX_COMPUTE, m->of, d, b.s, b.len);
}

static bool has_text(lua_State *L, const Message *d, const char *name,
                     bytes b, int idx) {
  lbx_push_field(L, d, lbx_named(d, name), b.s, b.len);
  bool same = lua_rawequal(L, -1, idx);
  lua_pop(L, 1);
  return same;
}

/* The message of the list f with the id, or else the first with the name, at
** idx; its `s` is NULL: there is none. */
static bytes find_one(lua_State *L, const Field *f, bytes b, int idx) {
  const uint8_t *at = b.s, *end = b.s + b.len;
  bytes one, found = {NULL, 0};
  while (lbx_next_message(f, &at, end, &one.s, &one.len)) {
    if (has_text(L, f->descriptor, "id", one, idx)) return one;
    if (!found.s && has_text(L, f->descriptor, "name", one, idx)) found = one;
  }
  return found;
}

/* False: malformed. Nothing found: nil. */
static bool push_found(lua_State *L, const lbx_method *m, const Message *d,
                       bytes b) {
  const Field *f = field_of(d, m->field);
  if (!bx_message_valid(d, b.s, b.len)) return false;
  bytes found = find_one(L, f, b, 2);
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
                     const Message *d, bytes b) {
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

static void make_sets(lua_State *L, const lbx_method *m, const Message *d,
                      bytes b) {
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

/* Pushes what the method returns. */
static bool push_result(lua_State *L, const lbx_method *m, const Message *d,
                        bytes b) {
  switch (m->result) {
    case LBX_WHOLE: return lbx_decode_named(L, d, b.s, b.len);
    case LBX_RECORD: return push_object(L, m, d, b);
    case LBX_RECORDS:
      if (!lbx_push_records(L, LBX_COMPUTE, m->of, field_of(d, m->field), b.s,
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
  u->call = lbx_client_prepare(L, LBX_COMPUTE, rpc, u->deadline);
}

/* Starts the RPC of a row, with the values on the stack. */
static void start(lua_State *L, unary *u, const lbx_method *m) {
  u->m = m;
  new_call(L, u, bx_rpc_find(m->rpc));
  if (m->self) lbx_record_get(L, 1, "id");
  grpc_byte_buffer *request = make_request(L, m, bx_rpc_request(u->rpc));
  bx_call_unary(u->call, request);
  if (m->self) lua_pop(L, 1);
}

/* Raises, and names the replacement of an RPC that is gone. */
static int throw_error(lua_State *L, const unary *u) {
  const bx_error *e = &u->call->error;
  bx_error told = *e;
  if (u->rpc->successor && e->status == GRPC_STATUS_UNIMPLEMENTED) {
    bx_error_set(&told, e->class_, "%s: %s", e->message, u->rpc->successor);
    told.status = e->status;
  }
  return lbx_client_throw(L, LBX_COMPUTE, &told, u->rpc);
}

/* Pushes the list of disks that the config names; false: there is none. */
static bool push_volumes(lua_State *L) {
  if (!lua_istable(L, LBX_OPTIONS)) return false;
  if (lua_getfield(L, LBX_OPTIONS, "config") == LUA_TTABLE &&
      lua_getfield(L, -1, "volumes") == LUA_TTABLE) {
    lua_remove(L, -2);
    return true;
  }
  lua_settop(L, LBX_CALL);
  return false;
}

/* May the RPC have refused a disk's name where it knows ids alone? */
static bool refused_disk(lua_State *L, const unary *u, const lbx_method *m) {
  int status = u->call->error.status;
  if (u->m != m || !m->disks || u->named_disks ||
      (status != GRPC_STATUS_NOT_FOUND &&
       status != GRPC_STATUS_INVALID_ARGUMENT) || !push_volumes(L))
    return false;
  lua_pop(L, 1);
  return true;
}

/* What to do when the call has failed: the other RPC, or the error. */
static void fail(lua_State *L, unary *u, const lbx_method *m) {
  bx_call *c = u->call;
  const lbx_method *next = NULL;
  if (c->error.class_ == BX_NOT_FOUND && u->m->otherwise)
    next = u->m->otherwise;
  else if (refused_disk(L, u, m))
    next = m->disks;
  else
    throw_error(L, u);
  lbx_client_push_error(L, LBX_COMPUTE, &c->error, u->rpc);
  release(u);
  start(L, u, next);
}

/* "no box has the id or the name": where the service's own words don't say. */
static int not_found(lua_State *L, const unary *u) {
  const char *name = lua_tostring(L, 2), *of = u->m->of->name;
  int first = tolower((unsigned char)*of);
  bx_error e;
  if (lua_istable(L, LBX_FIRST_ERROR)) {
    lua_pushvalue(L, LBX_FIRST_ERROR);
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

static int finish(lua_State *L, unary *u) {
  const lbx_method *m = u->m;
  const Message *d = bx_rpc_reply(u->rpc);
  bytes b = whole(u->call);
  if (!push_result(L, m, d, b)) malformed(L, u->rpc);
  if (m->of && lua_isnil(L, -1)) not_found(L, u);
  make_sets(L, m, d, b);
  if (m->also) lbx_push_field(L, d, field_of(d, m->also), b.s, b.len);
  release(u); /* not left to the gc: the reply may be large */
  return m->result == LBX_NOTHING ? 0 : m->also ? 2 : 1;
}

/* Has the object that the first argument names: on to the row, with its id. */
static void go_on(lua_State *L, unary *u, const lbx_method *m) {
  finish(L, u);
  lbx_record_get(L, -1, "id");
  lua_replace(L, 2);
  lua_settop(L, LBX_CALL);
  start(L, u, m);
}

/* Puts ids in the place of the names of disks, and makes the row's RPC again;
** without any such name its error was another. */
static void name_disks(lua_State *L, unary *u, const lbx_method *m) {
  const Message *d = bx_rpc_reply(u->rpc);
  const Field *f = field_of(d, m->disks->field);
  bytes b = whole(u->call);
  bool any = false;
  if (!bx_message_valid(d, b.s, b.len)) malformed(L, u->rpc);
  push_volumes(L);
  for (lua_Integer i = 1; lua_rawgeti(L, -1, i) != LUA_TNIL; i++) {
    lua_getfield(L, -1, "disk_id");
    bytes disk = find_one(L, f, b, lua_gettop(L));
    if (disk.s && !has_text(L, f->descriptor, "id", disk, lua_gettop(L))) {
      lbx_push_field(L, f->descriptor, lbx_named(f->descriptor, "id"), disk.s,
                     disk.len);
      lua_setfield(L, -3, "disk_id");
      any = true;
    }
    lua_pop(L, 2);
  }
  lua_settop(L, LBX_FIRST_ERROR);
  if (!any) lua_error(L);
  lua_settop(L, LBX_CALL);
  u->named_disks = true;
  release(u);
  start(L, u, m);
}

static int after_k(lua_State *L, int status, lua_KContext ctx) {
  (void)L, (void)status, (void)ctx;
  return 1;
}

/* Finishes the object on the top, which is returned: the row's `after`. */
static int go_after(lua_State *L, const lbx_method *m, double deadline) {
  if (!m->after || !lua_istable(L, LBX_OPTIONS)) return 1;
  lua_getglobal(L, "require");
  lua_pushstring(L, m->after);
  lua_call(L, 1, 1);
  lua_insert(L, -2);
  lua_pushvalue(L, LBX_OPTIONS);
  lua_pushnumber(L, deadline - bx_now());
  lua_callk(L, 3, 1, 0, after_k);
  return 1;
}

static int method_k(lua_State *L, int status, lua_KContext row) {
  (void)status;
  const lbx_method *m = (const lbx_method *)row;
  unary *u = lua_touserdata(L, LBX_CALL);
  if (!u->call) return lbx_gone(L, "the call");
  for (;;) {
    while (!u->call->finished.set)
      lbx_await(L, &(lbx_wait){.event = &u->call->finished,
                               .cancel = cancel_unary, .arg = u->call}, row,
                method_k);
    if (u->call->error.class_)
      fail(L, u, m);
    else if (m->disks && u->m == m->disks)
      name_disks(L, u, m);
    else if (m->before && u->m != m)
      go_on(L, u, m);
    else
      break;
  }
  int n = finish(L, u);
  return m->after ? go_after(L, m, u->deadline) : n;
}

/* upvalues: the row, the type of the object */
static int m_method(lua_State *L) {
  const lbx_method *m = lua_touserdata(L, lua_upvalueindex(1));
  const lbx_type *t = lua_touserdata(L, lua_upvalueindex(2));
  lbx_type_check(L, t, m->name);
  double timeout = lbx_read_arguments(L, &m);
  lbx_push_compute(L, 1);
  unary *u = lbx_new(L, sizeof *u, 0, CALL_TYPE);
  u->deadline = bx_now() +
                (timeout > 0 ? timeout : lbx_client_timeout(L, LBX_COMPUTE));
  bool named = m->before && lua_type(L, LBX_GIVEN) == LUA_TSTRING;
  start(L, u, named ? m->before : m);
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

/* 1 object, 2 rpc, 3 request, 4 seconds, 5 type or record; LBX_COMPUTE, ... */
static int core_call_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  unary *u = lua_touserdata(L, LBX_CALL);
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
    ok = lbx_push_record(L, LBX_COMPUTE, lbx_type_named(lua_tostring(L, 5)), d,
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
  lua_settop(L, LBX_GIVEN);
  lbx_push_compute(L, 1);
  double seconds = luaL_optnumber(L, 4, lbx_client_timeout(L, LBX_COMPUTE));
  unary *u = lbx_new(L, sizeof *u, 0, CALL_TYPE);
  u->deadline = bx_now() + seconds;
  new_call(L, u, rpc);
  grpc_byte_buffer *request = lbx_client_encode(L, 3, rpc);
  bx_call_unary(u->call, request);
  return core_call_k(L, LUA_OK, 0);
}
