#include "spawn.h"

#include <errno.h>
#include <lauxlib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../await.h"
#include "../error.h"
#include "../fd.h"
#include "spawn_private.h"
#include "../type.h"

#define REQUEST_TYPE "boxd.SpawnRequest"

lbx_spawner *lbx_check_spawner(lua_State *L) {
  lbx_spawner *s = luaL_checkudata(L, 1, LBX_SPAWNER);
  if (!s->sp) luaL_error(L, "the spawner is stopped");
  return s;
}

static numbered *find(numbered *list, uint64_t id) {
  while (list && list->id != id) list = list->next;
  return list;
}

void lbx_unlink_number(numbered **list, numbered *n) {
  for (; *list; list = &(*list)->next)
    if (*list == n) {
      *list = n->next;
      return;
    }
}

/* Events. */

static void lose_all(lbx_spawner *s) {
  s->lost = true;
  for (numbered *n = s->requests; n; n = n->next)
    bx_event_set(s->loop, &((request *)n)->done);
  for (numbered *n = s->commands; n; n = n->next) {
    command *c = (command *)n;
    if (!c->exited.set) c->status = SIGKILL; /* as wait(2) has it */
    bx_event_set(s->loop, &c->exited);
  }
  bx_event_set(s->loop, &s->news);
  bx_event_set(s->loop, &s->ready);
}

static void on_reply(lbx_spawner *s, bx_spawn_event *ev) {
  bx_error e;
  request *r = (request *)find(s->requests, ev->id);
  if (!r) { /* its caller is gone */
    bx_spawn_event_clear(ev);
    return;
  }
  r->ev = *ev;
  /* The command may run, and nothing leads to it. */
  if (ev->err == EMFILE && r->as == AS_COMMAND)
    bx_exec_signal(s->sp, ev->id, SIGKILL, BX_SCOPE_SESSION, &e);
  bx_event_set(s->loop, &r->done);
}

static void on_exit_event(lbx_spawner *s, const bx_spawn_event *ev) {
  command *c = (command *)find(s->commands, ev->id);
  request *r = (request *)find(s->requests, ev->id);
  if (c) {
    c->status = ev->status;
    bx_event_set(s->loop, &c->exited);
  } else if (r) {
    r->status = ev->status;
    r->exited = true;
  }
}

static void on_gone(lbx_spawner *s, uint64_t box) {
  if (bx_buf_add(&s->gone, &box, sizeof box))
    bx_event_set(s->loop, &s->news);
  else
    lose_all(s); /* a cancelled caller must not go on */
}

static void on_ready_event(lbx_spawner *s, bx_spawn_event *ev) {
  if (ev->err) s->unable = ev->error;
  s->limits = ev->text;
  ev->text = NULL;
  bx_event_set(s->loop, &s->ready);
}

/* Slow steps and missing features are reported while they are awaited.
   A feature missing in every box is reported once. */
static void on_note(lbx_spawner *s, const bx_spawn_event *ev) {
  if (!ev->text || strncmp(s->note, ev->text, sizeof s->note - 1) == 0) return;
  fprintf(stderr, "boxdlua: %s\n", ev->text);
  snprintf(s->note, sizeof s->note, "%s", ev->text);
}

static void on_event(lbx_spawner *s, bx_spawn_event *ev) {
  switch (ev->kind) {
    case BX_SPAWN_REPLY: on_reply(s, ev); return; /* it keeps the event */
    case BX_SPAWN_READY: on_ready_event(s, ev); break;
    case BX_SPAWN_EXIT: on_exit_event(s, ev); break;
    case BX_SPAWN_BOX_GONE: on_gone(s, ev->id); break;
    case BX_SPAWN_NOTE: on_note(s, ev); break;
    case BX_SPAWN_LOST: lose_all(s); break;
  }
  bx_spawn_event_clear(ev);
}

static void listen_again(lbx_spawner *s) {
  bx_error e;
  if (!s->lost && bx_io_arm(s->loop, &s->watch, EPOLLIN, &e)) lose_all(s);
}

static void on_readable(bx_watch *w, uint32_t events) {
  lbx_spawner *s = (lbx_spawner *)((char *)w - offsetof(lbx_spawner, watch));
  bx_spawn_event ev;
  (void)events;
  while (s->sp && bx_spawner_next(s->sp, &ev)) on_event(s, &ev);
  if (s->sp) listen_again(s);
}

/* Requests. */

/* Pushes a request that is about to be made. */
request *lbx_new_request(lua_State *L, lbx_spawner *s, answer as) {
  request *r = lbx_new(L, sizeof *r, 1, REQUEST_TYPE);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  for (int i = 0; i < BX_SPAWN_FDS; i++) r->ev.fds[i] = -1;
  r->owner = s;
  r->as = as;
  return r;
}

static int m__gc_request(lua_State *L) {
  request *r = lua_touserdata(L, 1);
  if (!r->owner) return 0;
  lbx_unlink_number(&r->owner->requests, &r->n);
  bx_spawn_event_clear(&r->ev);
  r->owner = NULL;
  return 0;
}

static int refuse(lua_State *L, const char *message, int err) {
  lua_pushnil(L);
  lua_pushstring(L, message);
  lua_pushinteger(L, err);
  return 3;
}

/* Takes descriptor i of the answer as an Fd. */
void lbx_push_answer_fd(lua_State *L, request *r, int i) {
  if (r->ev.fds[i] < 0) {
    lua_pushnil(L);
    return;
  }
  int *fd = lbx_new_fd(L);
  *fd = r->ev.fds[i];
  r->ev.fds[i] = -1;
}

static int push_answer(lua_State *L, request *r) {
  switch (r->as) {
    case AS_START:
      lua_pushinteger(L, (lua_Integer)r->n.id);
      lua_pushinteger(L, r->ev.pid);
      return 2;
    case AS_FD:
      lbx_push_answer_fd(L, r, 0);
      lua_pushinteger(L, (lua_Integer)r->ev.value);
      return 2;
    case AS_BEGIN:
      lbx_push_answer_fd(L, r, 0);
      lua_pushstring(L, r->ev.text);
      lua_pushstring(L, r->ev.text + strlen(r->ev.text) + 1);
      return 3;
    case AS_VALUE: lua_pushinteger(L, (lua_Integer)r->ev.value); return 1;
    case AS_ENTRIES: return lbx_push_entries(L, r);
    case AS_COMMAND: return lbx_push_exec_command(L, r);
    case AS_TRUE: break;
  }
  lua_pushboolean(L, 1);
  return 1;
}

static int request_k(lua_State *L, int status, lua_KContext at) {
  (void)status;
  request *r = lua_touserdata(L, (int)at);
  while (!r->done.set)
    lbx_await(L, &(lbx_wait){.event = &r->done}, at, request_k);
  if (r->ev.kind != BX_SPAWN_REPLY)
    return refuse(L, "the spawner of local boxes has died", EPIPE);
  if (r->ev.err) return refuse(L, r->ev.error.message, r->ev.err);
  int n = push_answer(L, r);
  lbx_unlink_number(&r->owner->requests, &r->n);
  return n;
}

/* The request on top was made under this number; 0: refused. For a command the
** exit may come right behind the reply: see push_command's caller. */
int lbx_submit(lua_State *L, request *r, uint64_t id, const bx_error *e) {
  lbx_spawner *s = r->owner;
  if (id == 0) return refuse(L, e->message, EINVAL);
  r->n.id = id;
  r->n.next = s->requests;
  s->requests = &r->n;
  return request_k(L, LUA_OK, lua_gettop(L));
}

uint64_t lbx_check_box(lua_State *L) {
  return (uint64_t)luaL_checkinteger(L, 2);
}

/* Methods: boxes. */

/* Pushes the field, which keeps the text. */
static const char *field_string(lua_State *L, int idx, const char *name) {
  return lbx_opt_string(L, idx, name, NULL, NULL);
}

/* The list `mounts` of the table at idx, in a userdata; that and their texts
** are pushed. */
static bx_mount *read_mounts(lua_State *L, int idx, size_t *n) {
  *n = 0;
  if (lua_getfield(L, idx, "mounts") != LUA_TTABLE) return NULL;
  int list = lua_gettop(L);
  size_t count = (size_t)lua_rawlen(L, list);
  bx_mount *mounts = lua_newuserdatauv(L, (count + 1) * sizeof *mounts, 0);
  for (*n = 0; *n < count; ++*n) {
    lbx_room(L, 4);
    lua_rawgeti(L, list, (lua_Integer)*n + 1);
    int mount = lua_gettop(L);
    mounts[*n] = (bx_mount){field_string(L, mount, "source"),
                            field_string(L, mount, "target"),
                            lbx_opt_boolean(L, mount, "read_only", false)};
  }
  return mounts;
}

/* spawner:start{ dir=, hostname=, memory=, processes=, net_host=, outgoing=,
** mounts= } -> handle, pid */
static int m_start(lua_State *L) {
  bx_error e;
  lbx_spawner *s = lbx_check_spawner(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  bx_box_spec spec = {
      .dir = field_string(L, 2, "dir"),
      .hostname = field_string(L, 2, "hostname"),
      .limits = {(uint64_t)lbx_opt_integer(L, 2, "memory", 0),
                 (uint32_t)lbx_opt_integer(L, 2, "processes", 0)},
      .net_host = lbx_opt_boolean(L, 2, "net_host", false),
      .outgoing = lbx_opt_boolean(L, 2, "outgoing", false)};
  spec.mounts = read_mounts(L, 2, &spec.nmounts);
  request *r = lbx_new_request(L, s, AS_START);
  return lbx_submit(L, r, bx_box_start(s->sp, &spec, &e), &e);
}

typedef uint64_t box_request(bx_spawner *sp, uint64_t box, bx_error *e);

static int on_box(lua_State *L, box_request *make) {
  bx_error e;
  lbx_spawner *s = lbx_check_spawner(L);
  uint64_t box = lbx_check_box(L);
  request *r = lbx_new_request(L, s, AS_TRUE);
  return lbx_submit(L, r, make(s->sp, box, &e), &e);
}

static int m_kill(lua_State *L) { return on_box(L, bx_box_kill); }
static int m_suspend(lua_State *L) { return on_box(L, bx_box_suspend); }
static int m_resume(lua_State *L) { return on_box(L, bx_box_resume); }

/* spawner:hostname(box, name) */
static int m_hostname(lua_State *L) {
  bx_error e;
  lbx_spawner *s = lbx_check_spawner(L);
  uint64_t box = lbx_check_box(L);
  const char *name = luaL_checkstring(L, 3);
  request *r = lbx_new_request(L, s, AS_TRUE);
  return lbx_submit(L, r, bx_box_hostname(s->sp, box, name, &e), &e);
}

/* spawner:memory(box, bytes) */
static int m_memory(lua_State *L) {
  bx_error e;
  lbx_spawner *s = lbx_check_spawner(L);
  uint64_t box = lbx_check_box(L);
  lua_Integer bytes = luaL_checkinteger(L, 3);
  luaL_argcheck(L, bytes > 0, 3, "no size");
  request *r = lbx_new_request(L, s, AS_TRUE);
  return lbx_submit(L, r, bx_box_memory(s->sp, box, (uint64_t)bytes, &e), &e);
}

/* spawner:attach(box, source, target, read_only) */
static int m_attach(lua_State *L) {
  bx_error e;
  lbx_spawner *s = lbx_check_spawner(L);
  uint64_t box = lbx_check_box(L);
  bx_mount m = {luaL_checkstring(L, 3), luaL_checkstring(L, 4),
                lua_toboolean(L, 5)};
  request *r = lbx_new_request(L, s, AS_TRUE);
  return lbx_submit(L, r, bx_disk_attach(s->sp, box, &m, &e), &e);
}

static int m_detach(lua_State *L) {
  bx_error e;
  lbx_spawner *s = lbx_check_spawner(L);
  uint64_t box = lbx_check_box(L);
  const char *target = luaL_checkstring(L, 3);
  request *r = lbx_new_request(L, s, AS_TRUE);
  return lbx_submit(L, r, bx_disk_detach(s->sp, box, target, &e), &e);
}

/* spawner:connect(box, port) -> Fd */
static int m_connect(lua_State *L) {
  bx_error e;
  lbx_spawner *s = lbx_check_spawner(L);
  uint64_t box = lbx_check_box(L);
  lua_Integer port = luaL_checkinteger(L, 3);
  luaL_argcheck(L, port > 0 && port < 65536, 3, "no port");
  request *r = lbx_new_request(L, s, AS_FD);
  return lbx_submit(L, r, bx_net_connect(s->sp, box, (uint16_t)port, &e), &e);
}

/* spawner:sockets(box) -> Fd, to ask the kernel for the sockets in it */
static int m_sockets(lua_State *L) {
  bx_error e;
  lbx_spawner *s = lbx_check_spawner(L);
  uint64_t box = lbx_check_box(L);
  request *r = lbx_new_request(L, s, AS_FD);
  return lbx_submit(L, r, bx_net_sockets(s->sp, box, &e), &e);
}

/* The spawner itself. */

static int ready_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  lbx_spawner *s = lua_touserdata(L, 1);
  while (!s->ready.set)
    lbx_await(L, &(lbx_wait){.event = &s->ready}, ctx, ready_k);
  if (s->lost) return refuse(L, "the spawner of local boxes has died", EPIPE);
  if (s->unable.class_) return refuse(L, s->unable.message, ENOTSUP);
  lua_pushstring(L, s->limits ? s->limits : "");
  return 1;
}

/* spawner:ready() -> lines on limits; nil and why boxes can't be made here */
static int m_ready(lua_State *L) {
  lbx_check_spawner(L);
  lua_settop(L, 1);
  return ready_k(L, LUA_OK, 0);
}

static int news_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  lbx_spawner *s = lua_touserdata(L, 1);
  uint64_t box;
  while (s->gone_at == s->gone.len && !s->lost) {
    bx_event_reset(&s->news);
    lbx_await(L, &(lbx_wait){.event = &s->news}, ctx, news_k);
  }
  if (s->gone_at == s->gone.len) return 0;
  memcpy(&box, s->gone.data + s->gone_at, sizeof box);
  s->gone_at += sizeof box;
  if (s->gone_at == s->gone.len) s->gone_at = s->gone.len = 0;
  lua_pushinteger(L, (lua_Integer)box);
  return 1;
}

/* spawner:gone() -> the handle of a box that died by itself; nil once the
** spawner is lost */
static int m_gone(lua_State *L) {
  lbx_check_spawner(L);
  lua_settop(L, 1);
  return news_k(L, LUA_OK, 0);
}

/* spawner:pid() -> its process id */
static int m_pid(lua_State *L) {
  lua_pushinteger(L, bx_spawner_pid(lbx_check_spawner(L)->sp));
  return 1;
}

/* spawner:stop(): ends every box. Idempotent. */
static int m_stop(lua_State *L) {
  lbx_spawner *s = luaL_checkudata(L, 1, LBX_SPAWNER);
  if (!s->sp) return 0;
  bx_io_forget(s->loop, &s->watch);
  bx_spawner_stop(s->sp);
  s->sp = NULL;
  free(s->limits);
  s->limits = NULL;
  bx_buf_free(&s->gone);
  s->gone_at = 0;
  lose_all(s);
  return 0;
}

static int spawner_new(lua_State *L) {
  bx_error e;
  bx_spawner_options o = {.state_dir = luaL_checkstring(L, 1)};
  if (!lua_isnoneornil(L, 2)) {
    o.outgoing = lbx_opt_boolean(L, 2, "outgoing", false);
    o.systemd = lbx_opt_boolean(L, 2, "systemd", false);
    o.passing = lbx_opt_boolean(L, 2, "passing", false);
  }
  lbx_spawner *s = lbx_new(L, sizeof *s, 0, LBX_SPAWNER);
  s->loop = lbx_loop(L);
  s->sp = bx_spawner_start(&o, &e);
  if (!s->sp) return lbx_throw(L, &e, NULL);
  s->watch.fd = bx_spawner_fd(s->sp);
  s->watch.fire = on_readable;
  listen_again(s);
  return 1;
}

void lbx_open_spawn(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"ready", m_ready},     {"start", m_start},   {"kill", m_kill},
      {"suspend", m_suspend}, {"resume", m_resume}, {"attach", m_attach},
      {"hostname", m_hostname}, {"memory", m_memory},
      {"detach", m_detach},   {"connect", m_connect}, {"exec", lbx_spawner_exec},
      {"sockets", m_sockets},
      {"file", lbx_spawner_file},       {"copy", lbx_spawner_copy},     {"remove", lbx_spawner_remove},
      {"gone", m_gone},       {"stop", m_stop},     {"pid", m_pid},
      {NULL, NULL}};
  static const luaL_Reg meta[] = {
      {"__gc", m_stop}, {"__close", m_stop}, {NULL, NULL}};
  static const luaL_Reg request_meta[] = {{"__gc", m__gc_request},
                                          {NULL, NULL}};
  lbx_newtype(L, LBX_SPAWNER, methods, meta);
  lbx_newtype(L, REQUEST_TYPE, NULL, request_meta);
  lbx_open_command(L);
  lua_pushcfunction(L, spawner_new);
}
