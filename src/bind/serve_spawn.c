#include "serve_spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../core/io.h"
#include "../serve/spawn.h"
#include "await.h"
#include "error.h"
#include "serve_fd.h"
#include "type.h"

#define TYPE "boxd.Spawner"
#define REQUEST_TYPE "boxd.SpawnRequest"
#define COMMAND_TYPE "boxd.Command"

/* What a request's answer becomes. */
typedef enum answer {
  AS_TRUE,
  AS_START,   /* handle, pid */
  AS_FD,      /* Fd, value */
  AS_BEGIN,   /* Fd, temporary path, final path */
  AS_ENTRIES, /* a list */
  AS_COMMAND,
  AS_VALUE
} answer;

/* A request or a command: what an event's number stands for. */
typedef struct numbered numbered;
struct numbered {
  uint64_t id;
  numbered *next;
};

typedef struct spawner {
  bx_spawner *sp;
  bx_loop *loop;
  bx_watch watch;
  numbered *requests, *commands;
  bx_event news;          /* of a box that is gone, or of readiness */
  uint64_t gone[64];      /* handles, as a ring */
  unsigned gone_at, gone_count;
  bx_event ready;
  bx_error unable; /* class BX_OK: boxes can be made */
  char *limits;    /* lines */
  bool lost;
} spawner;

typedef struct request {
  numbered n;
  spawner *owner;
  answer as;
  bx_event done;
  bx_spawn_event ev;
  bool exited; /* the command has ended before its Command was made */
  int status;
} request;

typedef struct command {
  numbered n;
  spawner *owner;
  bx_event exited;
  int status, master;
} command;

static spawner *check_spawner(lua_State *L) {
  spawner *s = luaL_checkudata(L, 1, TYPE);
  if (!s->sp) luaL_error(L, "the spawner is stopped");
  return s;
}

static numbered *find(numbered *list, uint64_t id) {
  while (list && list->id != id) list = list->next;
  return list;
}

static void unlink_number(numbered **list, numbered *n) {
  for (; *list; list = &(*list)->next)
    if (*list == n) {
      *list = n->next;
      return;
    }
}

/* Events. */

static void lose_all(spawner *s) {
  s->lost = true;
  for (numbered *n = s->requests; n; n = n->next)
    bx_event_set(s->loop, &((request *)n)->done);
  for (numbered *n = s->commands; n; n = n->next)
    bx_event_set(s->loop, &((command *)n)->exited);
  bx_event_set(s->loop, &s->news);
  bx_event_set(s->loop, &s->ready);
}

static void on_reply(spawner *s, bx_spawn_event *ev) {
  request *r = (request *)find(s->requests, ev->id);
  if (!r) { /* its caller is gone */
    bx_spawn_event_clear(ev);
    return;
  }
  r->ev = *ev;
  bx_event_set(s->loop, &r->done);
}

static void on_exit_event(spawner *s, const bx_spawn_event *ev) {
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

static void on_gone(spawner *s, uint64_t box) {
  unsigned room = sizeof s->gone / sizeof *s->gone;
  s->gone[(s->gone_at + s->gone_count) % room] = box;
  if (s->gone_count < room)
    s->gone_count++;
  else
    s->gone_at = (s->gone_at + 1) % room;
  bx_event_set(s->loop, &s->news);
}

static void on_ready_event(spawner *s, bx_spawn_event *ev) {
  if (ev->err) s->unable = ev->error;
  s->limits = ev->text;
  ev->text = NULL;
  bx_event_set(s->loop, &s->ready);
}

static void on_event(spawner *s, bx_spawn_event *ev) {
  switch (ev->kind) {
    case BX_SPAWN_REPLY: on_reply(s, ev); return; /* it keeps the event */
    case BX_SPAWN_READY: on_ready_event(s, ev); break;
    case BX_SPAWN_EXIT: on_exit_event(s, ev); break;
    case BX_SPAWN_BOX_GONE: on_gone(s, ev->id); break;
    case BX_SPAWN_LOST: lose_all(s); break;
  }
  bx_spawn_event_clear(ev);
}

static void listen_again(spawner *s) {
  bx_error e;
  if (!s->lost && bx_io_arm(s->loop, &s->watch, EPOLLIN, &e)) lose_all(s);
}

static void on_readable(bx_watch *w, uint32_t events) {
  spawner *s = (spawner *)((char *)w - offsetof(spawner, watch));
  bx_spawn_event ev;
  (void)events;
  while (s->sp && bx_spawner_next(s->sp, &ev)) on_event(s, &ev);
  if (s->sp) listen_again(s);
}

/* Requests. */

/* Pushes a request that is about to be made. */
static request *new_request(lua_State *L, spawner *s, answer as) {
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
  unlink_number(&r->owner->requests, &r->n);
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
static void push_fd(lua_State *L, request *r, int i) {
  if (r->ev.fds[i] < 0) {
    lua_pushnil(L);
    return;
  }
  int *fd = lbx_new_fd(L);
  *fd = r->ev.fds[i];
  r->ev.fds[i] = -1;
}

static void push_entry(lua_State *L, const bx_file_entry *f) {
  static const char *const kinds[16] = {
      [S_IFDIR >> 12] = "directory", [S_IFREG >> 12] = "file",
      [S_IFLNK >> 12] = "link",      [S_IFIFO >> 12] = "fifo",
      [S_IFSOCK >> 12] = "socket",   [S_IFCHR >> 12] = "device",
      [S_IFBLK >> 12] = "device"};
  lua_createtable(L, 0, 6);
  lua_pushstring(L, f->name);
  lua_setfield(L, -2, "name");
  lua_pushstring(L, kinds[(f->mode & S_IFMT) >> 12]);
  lua_setfield(L, -2, "kind");
  lua_pushstring(L, f->link);
  lua_setfield(L, -2, "link");
  lua_pushinteger(L, f->mode & 07777);
  lua_setfield(L, -2, "mode");
  lua_pushinteger(L, (lua_Integer)f->size);
  lua_setfield(L, -2, "size");
  lua_pushinteger(L, f->mtime_ns / 1000000000);
  lua_setfield(L, -2, "mtime");
}

static int push_entries(lua_State *L, request *r) {
  bx_file_entry f;
  size_t at = 0;
  lua_newtable(L);
  for (lua_Integer n = 1; bx_file_entry_next(&r->ev, &at, &f); n++) {
    push_entry(L, &f);
    lua_rawseti(L, -2, n);
  }
  return 1;
}

/* 1: the spawner; the request is at `at`. The command counts from here. */
static int push_command(lua_State *L, request *r) {
  spawner *s = r->owner;
  command *c = lbx_new(L, sizeof *c, 4, COMMAND_TYPE);
  c->n.id = r->n.id;
  c->master = -1;
  c->exited.set = r->exited;
  c->status = r->status;
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 4);
  c->owner = s;
  c->n.next = s->commands;
  s->commands = &c->n;
  bool pty = r->ev.fds[1] < 0;
  if (pty) c->master = r->ev.fds[0];
  for (int i = 0; i < BX_SPAWN_FDS; i++) {
    push_fd(L, r, i);
    lua_setiuservalue(L, -2, i + 1);
  }
  if (pty) { /* one terminal, both ways */
    lua_getiuservalue(L, -1, 1);
    lua_setiuservalue(L, -2, 2);
  }
  return 1;
}

static int push_answer(lua_State *L, request *r) {
  switch (r->as) {
    case AS_START:
      lua_pushinteger(L, (lua_Integer)r->n.id);
      lua_pushinteger(L, r->ev.pid);
      return 2;
    case AS_FD:
      push_fd(L, r, 0);
      lua_pushinteger(L, (lua_Integer)r->ev.value);
      return 2;
    case AS_BEGIN:
      push_fd(L, r, 0);
      lua_pushstring(L, r->ev.text);
      lua_pushstring(L, r->ev.text + strlen(r->ev.text) + 1);
      return 3;
    case AS_VALUE: lua_pushinteger(L, (lua_Integer)r->ev.value); return 1;
    case AS_ENTRIES: return push_entries(L, r);
    case AS_COMMAND: return push_command(L, r);
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
  unlink_number(&r->owner->requests, &r->n);
  return n;
}

/* The request on top was made under this number; 0: refused. For a command the
** exit may come right behind the reply: see push_command's caller. */
static int submit(lua_State *L, request *r, uint64_t id, const bx_error *e) {
  spawner *s = r->owner;
  if (id == 0) return refuse(L, e->message, EINVAL);
  r->n.id = id;
  r->n.next = s->requests;
  s->requests = &r->n;
  return request_k(L, LUA_OK, lua_gettop(L));
}

static uint64_t check_handle(lua_State *L) {
  return (uint64_t)luaL_checkinteger(L, 2);
}

/* Methods: boxes. */

static const char *field_string(lua_State *L, int idx, const char *name) {
  return lbx_opt_string(L, idx, name, NULL, NULL);
}

/* The list `mounts` of the table at idx, in a userdata that is pushed. */
static bx_mount *read_mounts(lua_State *L, int idx, size_t *n) {
  *n = 0;
  if (lua_getfield(L, idx, "mounts") != LUA_TTABLE) return NULL;
  int list = lua_gettop(L);
  size_t count = (size_t)lua_rawlen(L, list);
  bx_mount *mounts = lua_newuserdatauv(L, (count + 1) * sizeof *mounts, 0);
  for (*n = 0; *n < count; ++*n) {
    lua_rawgeti(L, list, (lua_Integer)*n + 1);
    mounts[*n] = (bx_mount){field_string(L, -1, "source"),
                            field_string(L, -1, "target"),
                            lbx_opt_boolean(L, -1, "read_only", false)};
    lua_pop(L, 1);
  }
  return mounts;
}

/* spawner:start{ dir=, hostname=, memory=, processes=, net_host=, mounts= } */
static int m_start(lua_State *L) {
  bx_error e;
  spawner *s = check_spawner(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  bx_box_spec spec = {
      .dir = field_string(L, 2, "dir"),
      .hostname = field_string(L, 2, "hostname"),
      .limits = {(uint64_t)lbx_opt_integer(L, 2, "memory", 0),
                 (uint32_t)lbx_opt_integer(L, 2, "processes", 0)},
      .net_host = lbx_opt_boolean(L, 2, "net_host", false)};
  spec.mounts = read_mounts(L, 2, &spec.nmounts);
  request *r = new_request(L, s, AS_START);
  return submit(L, r, bx_box_start(s->sp, &spec, &e), &e);
}

typedef uint64_t box_request(bx_spawner *sp, uint64_t box, bx_error *e);

static int on_box(lua_State *L, box_request *make) {
  bx_error e;
  spawner *s = check_spawner(L);
  uint64_t box = check_handle(L);
  request *r = new_request(L, s, AS_TRUE);
  return submit(L, r, make(s->sp, box, &e), &e);
}

static int m_kill(lua_State *L) { return on_box(L, bx_box_kill); }
static int m_suspend(lua_State *L) { return on_box(L, bx_box_suspend); }
static int m_resume(lua_State *L) { return on_box(L, bx_box_resume); }

/* spawner:attach(box, source, target, read_only) */
static int m_attach(lua_State *L) {
  bx_error e;
  spawner *s = check_spawner(L);
  uint64_t box = check_handle(L);
  bx_mount m = {luaL_checkstring(L, 3), luaL_checkstring(L, 4),
                lua_toboolean(L, 5)};
  request *r = new_request(L, s, AS_TRUE);
  return submit(L, r, bx_disk_attach(s->sp, box, &m, &e), &e);
}

static int m_detach(lua_State *L) {
  bx_error e;
  spawner *s = check_spawner(L);
  uint64_t box = check_handle(L);
  const char *target = luaL_checkstring(L, 3);
  request *r = new_request(L, s, AS_TRUE);
  return submit(L, r, bx_disk_detach(s->sp, box, target, &e), &e);
}

/* spawner:connect(box, port) -> Fd */
static int m_connect(lua_State *L) {
  bx_error e;
  spawner *s = check_spawner(L);
  uint64_t box = check_handle(L);
  lua_Integer port = luaL_checkinteger(L, 3);
  luaL_argcheck(L, port > 0 && port < 65536, 3, "no port");
  request *r = new_request(L, s, AS_FD);
  return submit(L, r, bx_net_connect(s->sp, box, (uint16_t)port, &e), &e);
}

/* Methods: commands. */

/* The list `env` of the table at idx, NULL at the end; pushed. */
static const char *const *read_env(lua_State *L, int idx) {
  if (lua_getfield(L, idx, "env") != LUA_TTABLE) return NULL;
  int list = lua_gettop(L);
  size_t n = (size_t)lua_rawlen(L, list);
  const char **env = lua_newuserdatauv(L, (n + 1) * sizeof *env, 0);
  for (size_t i = 0; i < n; i++) {
    lua_rawgeti(L, list, (lua_Integer)i + 1);
    env[i] = luaL_checkstring(L, -1);
    lua_pop(L, 1); /* the table holds it */
  }
  env[n] = NULL;
  return env;
}

/* spawner:exec(box, { command=, env=, cwd=, pty=, cols=, rows= }) -> Command */
static int m_exec(lua_State *L) {
  bx_error e;
  spawner *s = check_spawner(L);
  uint64_t box = check_handle(L);
  luaL_checktype(L, 3, LUA_TTABLE);
  bx_exec_spec spec = {
      .cwd = field_string(L, 3, "cwd"),
      .pty = lbx_opt_boolean(L, 3, "pty", false),
      .cols = (uint16_t)lbx_opt_integer(L, 3, "cols", 0),
      .rows = (uint16_t)lbx_opt_integer(L, 3, "rows", 0)};
  spec.command = lbx_opt_string(L, 3, "command", &spec.command_len, "");
  spec.env = read_env(L, 3);
  request *r = new_request(L, s, AS_COMMAND);
  return submit(L, r, bx_box_exec(s->sp, box, &spec, &e), &e);
}

static command *check_command(lua_State *L) {
  return luaL_checkudata(L, 1, COMMAND_TYPE);
}

static int wait_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  command *c = lua_touserdata(L, 1);
  while (!c->exited.set)
    lbx_await(L, &(lbx_wait){.event = &c->exited}, ctx, wait_k);
  int s = c->status;
  lua_pushinteger(L, WIFSIGNALED(s) ? 128 + WTERMSIG(s) : WEXITSTATUS(s));
  return 1;
}

/* command:wait() -> exit code, 128+n for signal n */
static int m_wait(lua_State *L) {
  check_command(L);
  lua_settop(L, 1);
  return wait_k(L, LUA_OK, 0);
}

/* command:signal(number): to its session. Not waited for: it may be over. */
static int m_signal(lua_State *L) {
  bx_error e;
  command *c = check_command(L);
  int signo = (int)luaL_checkinteger(L, 2);
  uint64_t id = c->owner->sp ? bx_exec_signal(c->owner->sp, c->n.id, signo,
                                              BX_SCOPE_SESSION, &e)
                             : 0;
  lua_pushboolean(L, id != 0);
  return 1;
}

/* command:resize(cols, rows) */
static int m_resize(lua_State *L) {
  command *c = check_command(L);
  lua_Integer cols = luaL_checkinteger(L, 2), rows = luaL_checkinteger(L, 3);
  lua_getiuservalue(L, 1, 1);
  int master = c->master < 0 ? -1 : lbx_check_fd(L, -1);
  if (master >= 0) bx_pty_resize(master, (uint16_t)cols, (uint16_t)rows);
  return 0;
}

static int m__index_command(lua_State *L) {
  static const char *const ends[] = {"stdin", "stdout", "stderr"};
  const char *key = luaL_checkstring(L, 2);
  for (int i = 0; i < 3; i++)
    if (strcmp(key, ends[i]) == 0) {
      lua_getiuservalue(L, 1, i + 1);
      return 1;
    }
  lua_pushvalue(L, 2);
  lua_rawget(L, lua_upvalueindex(1));
  return 1;
}

static int m__gc_command(lua_State *L) {
  command *c = lua_touserdata(L, 1);
  if (c->owner) unlink_number(&c->owner->commands, &c->n);
  c->owner = NULL;
  return 0;
}

/* Methods: files and folders. */

typedef struct file_row {
  const char *name;
  bx_file_op op;
  answer as;
  int flags;
} file_row;

static const file_row file_rows[] = {
    {"read", BX_FILE_OPEN, AS_FD, O_RDONLY},
    {"begin", BX_FILE_BEGIN, AS_BEGIN, 0},
    {"commit", BX_FILE_COMMIT, AS_TRUE, 0},
    {"stat", BX_FILE_STAT, AS_ENTRIES, 0},
    {"list", BX_FILE_LIST, AS_ENTRIES, 0},
    {"mkdir", BX_FILE_MKDIR, AS_TRUE, 0},
    {"rename", BX_FILE_RENAME, AS_TRUE, 0},
    {"remove", BX_FILE_REMOVE, AS_TRUE, 0},
    {"copy", BX_FILE_COPY, AS_TRUE, 0},
};

/* spawner:file(box, operation, path [, path2 [, mode]]) */
static int m_file(lua_State *L) {
  bx_error e;
  spawner *s = check_spawner(L);
  uint64_t box = check_handle(L);
  const char *name = luaL_checkstring(L, 3);
  const file_row *row = NULL;
  for (size_t i = 0; i < sizeof file_rows / sizeof *file_rows; i++)
    if (strcmp(name, file_rows[i].name) == 0) row = &file_rows[i];
  luaL_argcheck(L, row, 3, "no file operation");
  bx_file_spec spec = {.op = row->op,
                       .path = luaL_checkstring(L, 4),
                       .path2 = luaL_optstring(L, 5, NULL),
                       .flags = row->flags,
                       .mode = (mode_t)luaL_optinteger(L, 6, 0)};
  request *r = new_request(L, s, row->as);
  return submit(L, r, bx_box_file(s->sp, box, &spec, &e), &e);
}

/* spawner:copy(from, to) -> bytes */
static int m_copy(lua_State *L) {
  bx_error e;
  spawner *s = check_spawner(L);
  const char *from = luaL_checkstring(L, 2), *to = luaL_checkstring(L, 3);
  request *r = new_request(L, s, AS_VALUE);
  return submit(L, r, bx_dir_copy(s->sp, from, to, &e), &e);
}

/* spawner:remove(dir) */
static int m_remove(lua_State *L) {
  bx_error e;
  spawner *s = check_spawner(L);
  const char *dir = luaL_checkstring(L, 2);
  request *r = new_request(L, s, AS_TRUE);
  return submit(L, r, bx_dir_remove(s->sp, dir, &e), &e);
}

/* The spawner itself. */

static int ready_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  spawner *s = lua_touserdata(L, 1);
  while (!s->ready.set)
    lbx_await(L, &(lbx_wait){.event = &s->ready}, ctx, ready_k);
  if (s->lost) return refuse(L, "the spawner of local boxes has died", EPIPE);
  if (s->unable.class_) return refuse(L, s->unable.message, ENOTSUP);
  lua_pushstring(L, s->limits ? s->limits : "");
  return 1;
}

/* spawner:ready() -> lines on limits; nil and why boxes can't be made here */
static int m_ready(lua_State *L) {
  check_spawner(L);
  lua_settop(L, 1);
  return ready_k(L, LUA_OK, 0);
}

static int news_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  spawner *s = lua_touserdata(L, 1);
  while (s->gone_count == 0 && !s->lost) {
    bx_event_reset(&s->news);
    lbx_await(L, &(lbx_wait){.event = &s->news}, ctx, news_k);
  }
  if (s->gone_count == 0) return 0;
  lua_pushinteger(L, (lua_Integer)s->gone[s->gone_at]);
  s->gone_at = (s->gone_at + 1) % (sizeof s->gone / sizeof *s->gone);
  s->gone_count--;
  return 1;
}

/* spawner:gone() -> the handle of a box that died by itself; nil once the
** spawner is lost */
static int m_gone(lua_State *L) {
  check_spawner(L);
  lua_settop(L, 1);
  return news_k(L, LUA_OK, 0);
}

/* spawner:stop(): ends every box. Idempotent. */
static int m_stop(lua_State *L) {
  spawner *s = luaL_checkudata(L, 1, TYPE);
  if (!s->sp) return 0;
  bx_io_forget(s->loop, &s->watch);
  bx_spawner_stop(s->sp);
  s->sp = NULL;
  free(s->limits);
  s->limits = NULL;
  lose_all(s);
  return 0;
}

static int spawner_new(lua_State *L) {
  bx_error e;
  bx_spawner_options o = {.state_dir = luaL_checkstring(L, 1)};
  spawner *s = lbx_new(L, sizeof *s, 0, TYPE);
  s->loop = lbx_state_get(L)->loop;
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
      {"detach", m_detach},   {"connect", m_connect}, {"exec", m_exec},
      {"file", m_file},       {"copy", m_copy},     {"remove", m_remove},
      {"gone", m_gone},       {"stop", m_stop},     {NULL, NULL}};
  static const luaL_Reg meta[] = {
      {"__gc", m_stop}, {"__close", m_stop}, {NULL, NULL}};
  static const luaL_Reg request_meta[] = {{"__gc", m__gc_request},
                                          {NULL, NULL}};
  static const luaL_Reg command_methods[] = {
      {"wait", m_wait}, {"signal", m_signal}, {"resize", m_resize},
      {NULL, NULL}};
  static const luaL_Reg command_meta[] = {{"__gc", m__gc_command},
                                          {NULL, NULL}};
  lbx_newtype(L, TYPE, methods, meta);
  lbx_newtype(L, REQUEST_TYPE, NULL, request_meta);
  lbx_newtype(L, COMMAND_TYPE, NULL, command_meta);
  luaL_getmetatable(L, COMMAND_TYPE);
  luaL_newlib(L, command_methods);
  lua_pushcclosure(L, m__index_command, 1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  lua_pushcfunction(L, spawner_new);
}
