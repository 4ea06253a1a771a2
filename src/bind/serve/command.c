#include <poll.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "../await.h"
#include "../fd.h"
#include "spawn_private.h"
#include "../type.h"

#define COMMAND_TYPE "boxd.Command"

/* User values of a Command: stdin, stdout, stderr, the spawner. */
#define UV_SPAWNER 4

int lbx_push_exec_command(lua_State *L, request *r) {
  lbx_spawner *s = r->owner;
  command *c = lbx_new(L, sizeof *c, UV_SPAWNER, COMMAND_TYPE);
  c->n.id = r->n.id;
  c->box = lbx_check_box(L);
  c->master = -1;
  c->exited.set = r->exited;
  c->status = r->status;
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, UV_SPAWNER);
  c->owner = s;
  c->n.next = s->commands;
  s->commands = &c->n;
  bool pty = r->ev.fds[1] < 0;
  if (pty) c->master = r->ev.fds[0];
  for (int i = 0; i < BX_SPAWN_FDS; i++) {
    lbx_push_answer_fd(L, r, i);
    lua_setiuservalue(L, -2, i + 1);
  }
  if (pty) { /* one terminal, both ways */
    lua_getiuservalue(L, -1, 1);
    lua_setiuservalue(L, -2, 2);
  }
  return 1;
}

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

/* spawner:exec(box, { command=, env=, cwd=, pty=, root=, cols=,
** rows= }) -> Command */
int lbx_spawner_exec(lua_State *L) {
  bx_error e;
  lbx_spawner *s = lbx_check_spawner(L);
  uint64_t box = lbx_check_box(L);
  luaL_checktype(L, 3, LUA_TTABLE);
  bx_exec_spec spec = {
      .cwd = lbx_opt_string(L, 3, "cwd", NULL, NULL),
      .pty = lbx_opt_boolean(L, 3, "pty", false),
      .root = lbx_opt_boolean(L, 3, "root", false),
      .cols = (uint16_t)lbx_opt_integer(L, 3, "cols", 0),
      .rows = (uint16_t)lbx_opt_integer(L, 3, "rows", 0)};
  spec.command = lbx_opt_string(L, 3, "command", &spec.command_len, "");
  spec.env = read_env(L, 3);
  request *r = lbx_new_request(L, s, AS_COMMAND);
  return lbx_submit(L, r, bx_box_exec(s->sp, box, &spec, &e), &e);
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

/* Whether a line of the terminal, whose input ended with `last`, is unfinished:
** there its end-of-file character only hands over what the line has, and does
** not end the input. */
static bool is_unfinished(const struct termios *t, unsigned char last) {
  static const int ends[] = {VEOL, VEOL2, VEOF, VKILL, VINTR, VQUIT, VSUSP};
  if (last == '\n' || (last == '\r' && (t->c_iflag & ICRNL))) return false;
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
    if (last != 0 && last == t->c_cc[ends[i]]) return false;
  return true;
}

/* command:end_input([written]) -> the bytes to write to stdin so that its
** input ends, "" for a pipe, which is closed. A terminal's input has no end but
** the character for it, which counts only while a program reads lines.
** `written` is the latest text that was written, if any. */
static int m_end_input(lua_State *L) {
  command *c = check_command(L);
  size_t n;
  const char *written = luaL_optlstring(L, 2, "", &n);
  struct termios t;
  lua_getiuservalue(L, 1, 1);
  int fd = lbx_check_fd(L, -1);
  if (c->master < 0 && fd >= 0) close(lbx_take_fd(L, -1));
  if (c->master < 0 || fd < 0 || tcgetattr(fd, &t) != 0 ||
      !(t.c_lflag & ICANON) || t.c_cc[VEOF] == 0) {
    lua_pushliteral(L, "");
    return 1;
  }
  const char end[2] = {(char)t.c_cc[VEOF], (char)t.c_cc[VEOF]};
  bool twice = n > 0 && is_unfinished(&t, (unsigned char)written[n - 1]);
  lua_pushlstring(L, end, twice ? 2 : 1);
  return 1;
}

/* Closes end i of a command. True if a process that holds the other end may go
** on writing. */
static bool close_end(lua_State *L, int i) {
  lua_getiuservalue(L, 1, i);
  int fd = lua_isnil(L, -1) || lbx_check_fd(L, -1) < 0 ? -1 : lbx_take_fd(L, -1);
  lua_pop(L, 1);
  if (fd < 0) return false;
  struct pollfd p = {fd, 0, 0};
  bool held = i > 1 && poll(&p, 1, 0) == 0;
  close(fd);
  return held;
}

/* command:close(): its ends are closed. What of it still runs can go on writing
** to a pipe, which the box drops; a terminal hangs up. Idempotent. */
static int m_close(lua_State *L) {
  bx_error e;
  command *c = check_command(L);
  bool held = false;
  for (int i = 1; i <= 3; i++) held = close_end(L, i) || held;
  if (held && c->master < 0 && c->owner && c->owner->sp)
    bx_exec_drop(c->owner->sp, c->box, c->n.id, &e);
  return 0;
}

static int m__gc_command(lua_State *L) {
  command *c = lua_touserdata(L, 1);
  m_close(L);
  if (c->owner) lbx_unlink_number(&c->owner->commands, &c->n);
  c->owner = NULL;
  return 0;
}

void lbx_open_command(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"wait", m_wait},     {"signal", m_signal},
      {"resize", m_resize}, {"end_input", m_end_input},
      {"close", m_close},   {NULL, NULL}};
  static const luaL_Reg meta[] = {
      {"__gc", m__gc_command}, {"__close", m_close}, {NULL, NULL}};
  lbx_newtype(L, COMMAND_TYPE, NULL, meta);
  lbx_index_by(L, COMMAND_TYPE, methods, m__index_command);
}
