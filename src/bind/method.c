#include "method_private.h"

#include <ctype.h>
#include <grpc/byte_buffer.h>
#include <lauxlib.h>
#include <string.h>

#include "../core/message.h"
#include "arena.h"
#include "client.h"
#include "codec.h"
#include "decode.h"
#include "error.h"
#include "names.h"
#include "type.h"
#include "types.h"

typedef ProtobufCMessageDescriptor Message;
typedef ProtobufCFieldDescriptor Field;

static const Field *field_of(const Message *d, const char *name) {
  return protobuf_c_message_descriptor_get_field_by_name(d, name);
}

/* ---- the request ---- */

/* Pushes the object's name and id. */
static void push_self(lua_State *L, const lbx_method *m) {
  if (m->self_name)
    lbx_record_get(L, 1, "name");
  else
    lua_pushnil(L);
  if (m->self)
    lbx_record_get(L, 1, "id");
  else
    lua_pushnil(L);
}

/* The arena is the state's own: nothing here may run the collector, whose
** finalizers could take it. All that is sent stands on the stack already, the
** object's name and id on its top. first: where the arguments are. */
static grpc_byte_buffer *make_request(lua_State *L, const lbx_method *m,
                                      const Message *d, int first) {
  lbx_arena *a = lbx_arena_scratch(L);
  ProtobufCMessage *q = lbx_encode_new(L, d, a);
  lbx_room(L, 8);
  if (m->fixed.field)
    lbx_encode_text(q, field_of(d, m->fixed.field), m->fixed.value);
  if (m->self) lbx_encode_field(L, -1, q, field_of(d, m->self), a);
  if (m->self_name && !lua_isnil(L, -2))
    lbx_encode_field(L, -2, q, field_of(d, m->self_name), a);
  for (int i = 0; i < lbx_count_args(m); i++)
    if (m->args[i].field && !lua_isnil(L, first + i))
      lbx_encode_field(L, first + i, q, field_of(d, m->args[i].field), a);
  if ((m->options || m->complete) && lua_istable(L, LBX_OPTIONS))
    for (lua_pushnil(L); lua_next(L, LBX_OPTIONS); lua_pop(L, 1)) {
      const Field *f = field_of(d, lua_tostring(L, -2));
      if (f) lbx_encode_field(L, -1, q, f, a); /* else it is not sent */
    }
  return lbx_client_pack(L, q, a, m->name);
}

/* ---- the calls ---- */

/* Starts the RPC of a row, with the values on the stack. first: where its
** arguments are. */
static void start(lua_State *L, lbx_unary *u, const lbx_method *m, int first) {
  u->m = m;
  u->first = first;
  lbx_unary_prepare(L, u, bx_rpc_find(m->rpc));
  push_self(L, m);
  grpc_byte_buffer *request =
      make_request(L, m, bx_rpc_request(u->rpc), first);
  bx_call_unary(u->call, request);
  lua_pop(L, 2);
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
static bool refused_disk(lua_State *L, const lbx_unary *u,
                         const lbx_method *m) {
  int status = u->call->error.status;
  if (u->look || !m->disks || u->named_disks ||
      (status != GRPC_STATUS_NOT_FOUND &&
       status != GRPC_STATUS_INVALID_ARGUMENT) || !push_volumes(L))
    return false;
  lua_pop(L, 1);
  return true;
}

/* May the RPC have refused a name where it knows ids alone? */
static bool refused_name(lua_State *L, const lbx_unary *u,
                         const lbx_method *m) {
  return m->late && !u->look && !u->looked &&
         u->call->error.class_ == BX_NOT_FOUND &&
         lua_type(L, LBX_GIVEN) == LUA_TSTRING;
}

/* Does the service know the other era's RPC in place of this one? */
static bool is_of_other_era(const lbx_unary *u) {
  return u->m->era && !u->turned &&
         u->call->error.status == GRPC_STATUS_UNIMPLEMENTED;
}

/* The row to go on with where the call has failed; NULL: there is none. */
static const lbx_method *after_failure(lua_State *L, lbx_unary *u,
                                       const lbx_method *m) {
  if (is_of_other_era(u)) {
    u->turned = true;
    lbx_client_turn_era(L, LBX_COMPUTE);
    return u->m->otherwise;
  }
  if (u->call->error.class_ == BX_NOT_FOUND && u->m->otherwise && !u->m->era)
    return u->m->otherwise;
  if (refused_name(L, u, m)) {
    u->look = LBX_LOOK_OBJECT;
    return m->before;
  }
  if (!refused_disk(L, u, m)) return NULL;
  u->look = LBX_LOOK_DISKS;
  return m->disks;
}

static void raise_first(lua_State *L) {
  lua_settop(L, LBX_FIRST_ERROR);
  lua_error(L);
}

/* "no box has the id or the name": where the service's own words don't say. */
static void not_found(lua_State *L, const lbx_unary *u) {
  const char *name = lua_tostring(L, u->first), *of = u->m->of->name;
  int first = tolower((unsigned char)*of);
  bx_error e;
  if (lua_istable(L, LBX_FIRST_ERROR)) {
    lua_settop(L, LBX_FIRST_ERROR);
    lua_getfield(L, -1, "message");
    if (!strstr(lua_tostring(L, -1), name)) {
      lua_pushfstring(L, "no %c%s has the id or the name \"%s\": %s", first,
                      of + 1, name, lua_tostring(L, -1));
      lua_setfield(L, -3, "message");
    }
    raise_first(L);
  }
  bx_error_set(&e, BX_NOT_FOUND, "no %c%s has the id or the name \"%s\"",
               first, of + 1, name);
  lbx_throw(L, &e, u->rpc->name);
}

/* Nothing has the id or the name: the method has ended where its options allow
** that, else an error is raised. */
static void give_up(lua_State *L, lbx_unary *u, const lbx_method *m) {
  u->gone = lbx_option_on(L, LBX_MISSING_OK);
  if (u->gone)
    u->m = m;
  else if (u->look && m->late)
    raise_first(L);
  else if (u->call->error.class_)
    lbx_unary_throw(L, u);
  else
    not_found(L, u);
}

/* Goes on with another RPC, or raises. */
static void fail(lua_State *L, lbx_unary *u, const lbx_method *m) {
  const lbx_method *next = after_failure(L, u, m);
  if (!next) {
    if (u->call->error.class_ != BX_NOT_FOUND) lbx_unary_throw(L, u);
    give_up(L, u, m);
    return;
  }
  int first = u->look == LBX_LOOK_OBJECT ? lbx_object_at(m) : u->first;
  lbx_client_push_error(L, LBX_COMPUTE, &u->call->error, u->rpc);
  lbx_unary_release(u);
  start(L, u, next, first);
}

static int finish(lua_State *L, lbx_unary *u) {
  const lbx_method *m = u->m;
  const Message *d = bx_rpc_reply(u->rpc);
  lbx_bytes b = u->gone ? (lbx_bytes){NULL, 0} : lbx_unary_reply(u);
  if (!lbx_reply_push(L, u, b)) lbx_unary_malformed(L, u);
  if (m->of && lua_isnil(L, -1)) not_found(L, u);
  lbx_reply_set(L, u, b);
  if (m->done) m->done(L);
  if (m->also) lbx_push_field(L, d, field_of(d, m->also), b.s, b.len);
  lbx_unary_release(u); /* not left to the gc: the reply may be large */
  return m->result == LBX_NOTHING ? 0 : m->also ? 2 : 1;
}

/* Makes the RPC of the method's own row, or that of the other era. */
static void start_own(lua_State *L, lbx_unary *u, const lbx_method *m) {
  bool other = m->era && lbx_client_is_turned(L, LBX_COMPUTE);
  u->look = LBX_NO_LOOK;
  start(L, u, other ? m->otherwise : m, 2);
}

/* Has the object that an argument names, if there is one: on to the row, with
** its id. A row that is late has been told already of that text. */
static void go_on(lua_State *L, lbx_unary *u, const lbx_method *m) {
  if (!lbx_reply_push(L, u, lbx_unary_reply(u))) lbx_unary_malformed(L, u);
  if (lua_isnil(L, -1)) {
    give_up(L, u, m);
    return;
  }
  lbx_record_get(L, -1, "id");
  if (m->late && lua_rawequal(L, -1, u->first)) {
    give_up(L, u, m);
    return;
  }
  lua_replace(L, u->first);
  lua_settop(L, LBX_CALL);
  lbx_unary_release(u);
  u->looked = true;
  start_own(L, u, m);
}

/* Puts ids in the place of the names of disks, and makes the row's RPC again;
** without any such name its error was another. */
static void name_disks(lua_State *L, lbx_unary *u, const lbx_method *m) {
  const Message *d = bx_rpc_reply(u->rpc);
  const Field *f = field_of(d, m->disks->field);
  lbx_bytes b = lbx_unary_reply(u);
  bool any = false;
  if (!bx_message_valid(d, b.s, b.len)) lbx_unary_malformed(L, u);
  push_volumes(L);
  for (lua_Integer i = 1; lua_rawgeti(L, -1, i) != LUA_TNIL; i++) {
    lua_getfield(L, -1, "disk_id");
    lbx_bytes disk = lbx_reply_find(L, f, b, lua_gettop(L));
    if (disk.s) {
      lbx_push_field(L, f->descriptor, lbx_named(f->descriptor, "id"), disk.s,
                     disk.len);
      any = any || !lua_rawequal(L, -1, -2);
      lua_setfield(L, -3, "disk_id");
    }
    lua_pop(L, 2);
  }
  if (!any) raise_first(L);
  lua_settop(L, LBX_CALL);
  u->named_disks = true;
  lbx_unary_release(u);
  start_own(L, u, m);
}

/* ---- what is Lua's of a row ---- */

static int results_k(lua_State *L, int status, lua_KContext below) {
  (void)status;
  return lua_gettop(L) - (int)below;
}

/* Finishes the object on the top, which is returned: the row's `after`. */
static int go_after(lua_State *L, const lbx_method *m, double deadline) {
  if (!lua_istable(L, LBX_OPTIONS)) {
    lua_newtable(L);
    lua_replace(L, LBX_OPTIONS);
  }
  int below = lua_gettop(L) - 1;
  lua_getglobal(L, "require");
  lua_pushstring(L, m->after);
  lua_call(L, 1, 1);
  lua_insert(L, -2);
  lua_pushvalue(L, LBX_OPTIONS);
  lua_pushnumber(L, deadline - bx_now());
  lua_callk(L, 3, 1, below, results_k);
  return 1;
}

bool lbx_option_on(lua_State *L, const char *name) {
  if (!lua_istable(L, LBX_OPTIONS)) return false;
  lua_getfield(L, LBX_OPTIONS, name);
  bool on = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return on;
}

/* Do the options, or the object, ask for more than the row's one call? */
static bool asks_more(lua_State *L, const lbx_method *m) {
  if (m->more && m->more(L)) return true;
  if (!lua_istable(L, LBX_OPTIONS)) return false;
  for (const lbx_param *p = m->options; p && p->name; p++) {
    if (!p->wider) continue;
    lua_getfield(L, LBX_OPTIONS, p->name);
    bool asked = p->any ? !lua_isnil(L, -1) : lua_toboolean(L, -1);
    lua_pop(L, 1);
    if (asked) return true;
  }
  return false;
}

/* The method of the same name that is written in Lua. */
static int go_wider(lua_State *L, const lbx_method *m, const lbx_type *t,
                    double timeout) {
  int n = lbx_count_args(m), below = lua_gettop(L);
  if (timeout > 0) {
    lua_pushnumber(L, timeout);
    lua_setfield(L, LBX_OPTIONS, "timeout");
  }
  lbx_push_composed(L, t);
  for (int i = 1; i <= 1 + n; i++) lua_pushvalue(L, i);
  lua_pushvalue(L, LBX_OPTIONS);
  lua_callk(L, n + 2, LUA_MULTRET, below, results_k);
  return results_k(L, LUA_OK, below);
}

/* Is the row's `instead` true in the options, the last argument? */
static bool asks_instead(lua_State *L, const lbx_method *m) {
  if (!m->instead || !lua_istable(L, -1)) return false;
  lua_getfield(L, -1, m->instead);
  bool on = lua_isboolean(L, -1) && lua_toboolean(L, -1);
  lua_pop(L, 1);
  return on;
}

static int go_instead(lua_State *L, const lbx_type *t) {
  int n = lua_gettop(L);
  lbx_push_composed(L, t);
  lua_insert(L, 1);
  lua_callk(L, n, LUA_MULTRET, 0, results_k);
  return results_k(L, LUA_OK, 0);
}

/* ---- the method ---- */

static int method_k(lua_State *L, int status, lua_KContext row) {
  (void)status;
  const lbx_method *m = (const lbx_method *)row;
  lbx_unary *u = lua_touserdata(L, LBX_CALL);
  while (!u->gone) {
    lbx_unary_wait(L, u, row, method_k);
    if (u->call->error.class_)
      fail(L, u, m);
    else if (u->look == LBX_LOOK_DISKS)
      name_disks(L, u, m);
    else if (u->look == LBX_LOOK_OBJECT)
      go_on(L, u, m);
    else
      break;
  }
  int n = finish(L, u);
  return m->after ? go_after(L, m, u->deadline) : n;
}

/* upvalues: the function of the same name that is written in Lua, once it has
** been loaded; the type of the object; the row */
static int m_method(lua_State *L) {
  const lbx_type *t = lua_touserdata(L, lua_upvalueindex(2));
  const lbx_method *m = lua_touserdata(L, lua_upvalueindex(3));
  lbx_type_check(L, t, m->name);
  if (asks_instead(L, m)) return go_instead(L, t);
  double timeout = lbx_read_arguments(L, &m);
  if (asks_more(L, m)) return go_wider(L, m, t, timeout);
  lbx_push_compute(L, 1);
  lbx_unary *u = lbx_unary_new(
      L, timeout > 0 ? timeout : lbx_client_timeout(L, LBX_COMPUTE));
  if (m->before && !m->late && lua_type(L, LBX_GIVEN) == LUA_TSTRING) {
    u->look = LBX_LOOK_OBJECT;
    start(L, u, m->before, lbx_object_at(m));
  } else {
    start_own(L, u, m);
  }
  return method_k(L, LUA_OK, (lua_KContext)m);
}

void lbx_push_method(lua_State *L, const lbx_type *t, const lbx_method *m) {
  if (m->lua) {
    lua_pushcfunction(L, m->lua);
    return;
  }
  lua_pushnil(L);
  lua_pushlightuserdata(L, (void *)t);
  lua_pushlightuserdata(L, (void *)m);
  lua_pushcclosure(L, m_method, 3);
}

bool lbx_is_wider(lua_State *L, int idx) {
  if (lua_tocfunction(L, idx) != m_method) return false;
  lua_getupvalue(L, idx, 3);
  const lbx_method *m = lua_touserdata(L, -1);
  lua_pop(L, 1);
  for (const lbx_param *p = m->options; p && p->name; p++)
    if (p->wider) return true;
  return m->more || m->instead;
}
