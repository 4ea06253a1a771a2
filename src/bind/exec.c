#include "exec.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "await.h"
#include "client.h"
#include "error.h"
#include "exec_private.h"
#include "record.h"
#include "type.h"

#define TYPE "boxd.ExecProcess"
#define STDIN_TYPE "boxd.ExecStdin"

/* User values: what the process keeps alive. */
#define UV_CLIENT LBX_EXEC_CLIENT
#define UV_FEED 2
#define UV_TARGET LBX_EXEC_TARGET
#define UV_COUNT 3

static const bx_rpc *exec_rpc(void) { return bx_rpc_find("Exec"); }

lbx_process *lbx_exec_process(lua_State *L) {
  lbx_process *p = lua_touserdata(L, 1);
  if (!p->call) lbx_gone(L, "the process");
  return p;
}

static lbx_process *check_process(lua_State *L) {
  luaL_checkudata(L, 1, TYPE);
  return lbx_exec_process(L);
}

/* 1: the process. */
static int throw_ended(lua_State *L, lbx_process *p) {
  lua_getiuservalue(L, 1, UV_CLIENT);
  lbx_client_push_error(L, lua_gettop(L), &p->call->error, exec_rpc());
  return lbx_exec_throw(L, p);
}

int lbx_exec_open(lua_State *L) {
  size_t len = 0;
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 8);
  const char *feed = luaL_optlstring(L, 3, NULL, &len);
  bool half_close = lua_toboolean(L, 4);
  double deadline = lbx_client_deadline(L, 6);
  lbx_process *p = lbx_new(L, sizeof *p, UV_COUNT, TYPE);
  int at = lua_gettop(L);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, at, UV_CLIENT);
  lua_pushvalue(L, 3);
  lua_setiuservalue(L, at, UV_FEED);
  lua_pushvalue(L, 8);
  lua_setiuservalue(L, at, UV_TARGET);
  p->collect = lua_toboolean(L, 5);
  lua_getfield(L, 2, "tty");
  p->tty = lua_toboolean(L, -1);
  lua_pop(L, 1);
  p->open_after = lua_toboolean(L, 7);
  lbx_process_own(p, lbx_client_prepare(L, 1, exec_rpc(), deadline));
  grpc_byte_buffer *first = lbx_client_encode(L, 2, exec_rpc());
  lbx_process_start(p, first, feed, len, half_close);
  lua_settop(L, at);
  return 1;
}

/* Reading. Each reader says which queues it takes from; either may be NULL. */

/* One reader a stream; chunks() reads both. */
static void check_free(lua_State *L, lbx_process *p, bool out, bool err) {
  if ((out && bx_event_claimed(&p->out.readable)) ||
      (err && bx_event_claimed(&p->err.readable)) || bx_event_claimed(&p->any))
    lbx_error_class(L, BX_BOXD, "busy: another task reads this output");
}

/* Gives that to the next reader. */
static void push_rest(lua_State *L, lbx_process *p) {
  bx_buf *b = &p->line;
  lua_pushlstring(L, b->data + p->line_at, b->len - p->line_at);
  p->line_at = p->line_scanned = b->len;
}

/* Pushes the next chunk of q, or what the end is; 0: nothing is there yet. */
static int push_next(lua_State *L, lbx_process *p, lbx_queue *q) {
  if (q == &p->out && lbx_process_has_rest(p)) {
    push_rest(L, p);
    return 1;
  }
  if (q->first) {
    lua_pushlstring(L, (const char *)q->first->data, q->first->len);
    lbx_queue_pop(q);
    return 1;
  }
  if (!p->done.set) return 0;
  if (p->call->error.class_) return throw_ended(L, p);
  lua_pushnil(L);
  return 1;
}

static int read_k(lua_State *L, int status, lua_KContext err) {
  (void)status;
  lbx_process *p = lbx_exec_process(L);
  lbx_queue *q = err ? &p->err : &p->out;
  for (;;) {
    int n = push_next(L, p, q);
    if (n) {
      lbx_process_receive(p, NULL);
      return n;
    }
    lbx_process_receive(p, &q->readable);
    lbx_await(L, &(lbx_wait){.event = &q->readable}, err, read_k);
  }
}

static int read_stream(lua_State *L, bool err) {
  lbx_process *p = check_process(L);
  check_free(L, p, !err, err);
  lua_settop(L, 1);
  return read_k(L, LUA_OK, err);
}

/* p:read_stdout() -> bytes, or nil at the end */
static int m_read_stdout(lua_State *L) { return read_stream(L, false); }
static int m_read_stderr(lua_State *L) { return read_stream(L, true); }

/* Iterators hold the process in their upvalue and continue like its methods. */

static int iterate(lua_State *L, lua_CFunction next) {
  check_process(L);
  lua_settop(L, 1);
  lua_pushcclosure(L, next, 1);
  return 1;
}

static void from_upvalue(lua_State *L) {
  lua_settop(L, 0);
  lua_pushvalue(L, lua_upvalueindex(1));
}

static int next_stdout(lua_State *L) {
  from_upvalue(L);
  return read_stream(L, false);
}

static int next_stderr(lua_State *L) {
  from_upvalue(L);
  return read_stream(L, true);
}

static int m_iter_stdout(lua_State *L) { return iterate(L, next_stdout); }
static int m_iter_stderr(lua_State *L) { return iterate(L, next_stderr); }

static int chunk_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  lbx_process *p = lbx_exec_process(L);
  for (;;) {
    lbx_queue *q = lbx_process_has_rest(p) ? &p->out : lbx_process_oldest(p);
    int n = push_next(L, p, q);
    if (n) {
      lbx_process_receive(p, NULL);
      if (lua_isnil(L, -1)) return 1;
      lua_pushstring(L, q == &p->err ? "stderr" : "stdout");
      return 2;
    }
    lbx_process_receive(p, &p->any);
    lbx_await(L, &(lbx_wait){.event = &p->any}, ctx, chunk_k);
  }
}

static int next_chunk(lua_State *L) {
  from_upvalue(L);
  lbx_process *p = check_process(L);
  check_free(L, p, true, true);
  return chunk_k(L, LUA_OK, 0);
}

/* for data, stream in p:chunks() */
static int m_chunks(lua_State *L) { return iterate(L, next_chunk); }

/* Pushes the line that the buffer holds, or false. `scanned` bytes are known
** to hold no newline. */
static bool push_line(lua_State *L, lbx_process *p) {
  bx_buf *b = &p->line;
  char *from = b->data + p->line_at;
  char *end = b->len > p->line_scanned
                  ? memchr(b->data + p->line_scanned, '\n',
                           b->len - p->line_scanned)
                  : NULL;
  p->line_scanned = b->len;
  if (!end) return false;
  lua_pushlstring(L, from, (size_t)(end - from));
  p->line_at = p->line_scanned = (size_t)(end - b->data) + 1;
  return true;
}

static int line_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  lbx_process *p = lbx_exec_process(L);
  for (;;) {
    if (push_line(L, p)) return 1;
    if (p->out.first) {
      if (!lbx_process_take(p)) luaL_error(L, "not enough memory");
      lbx_process_receive(p, NULL);
      continue;
    }
    if (p->done.set) return push_next(L, p, &p->out); /* an unended line */
    lbx_process_receive(p, &p->out.readable);
    lbx_await(L, &(lbx_wait){.event = &p->out.readable}, ctx, line_k);
  }
}

static int next_line(lua_State *L) {
  from_upvalue(L);
  lbx_process *p = check_process(L);
  check_free(L, p, true, false);
  return line_k(L, LUA_OK, 0);
}

/* for line in p:lines() */
static int m_lines(lua_State *L) { return iterate(L, next_line); }

/* The end. */

static int push_exit(lua_State *L, lbx_process *p) {
  if (p->call->error.class_) return throw_ended(L, p);
  lua_pushinteger(L, p->exit_code);
  return 1;
}

static int wait_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  lbx_process *p = lbx_exec_process(L);
  double until = lua_tonumber(L, 2);
  while (!p->done.set) {
    if (until > 0 && bx_now() >= until)
      lbx_error_class(L, BX_TIMEOUT, "the command did not end in time");
    lbx_process_receive(p, &p->done);
    lbx_await(L, &(lbx_wait){.event = &p->done, .until = until}, ctx, wait_k);
  }
  return push_exit(L, p);
}

/* p:wait{ timeout= } -> exit code */
static int m_wait(lua_State *L) {
  static const char *const options[] = {"timeout", NULL};
  check_process(L);
  lbx_options(L, 2, "wait", options);
  double timeout = lbx_opt_seconds(L, 2, "timeout", 0);
  lua_settop(L, 1);
  lua_pushnumber(L, timeout > 0 ? bx_now() + timeout : 0);
  return wait_k(L, LUA_OK, 0);
}

/* Writing. */

static void check_stdin(lua_State *L, lbx_process *p) {
  bx_call *c = p->call;
  if (p->feeding && !p->open_after)
    lbx_error_class(L, BX_BOXD, "stdin was given with the command");
  if (c->closing) lbx_error_class(L, BX_BOXD, "stdin is closed");
}

/* Waits for room on the wire; raises when the command has ended. */
static void await_room(lua_State *L, lbx_process *p, lua_KContext ctx,
                       lua_KFunction k) {
  bx_call *c = p->call;
  while (c->sending) lbx_await(L, &(lbx_wait){.event = &c->sent}, ctx, k);
  if (!c->finished.set) return;
  if (c->error.class_) throw_ended(L, p);
  lbx_error_class(L, BX_BOXD, "the command has ended");
}

static lbx_process *check_writer(lua_State *L) {
  lbx_process *p = check_process(L);
  if (bx_event_claimed(&p->call->sent))
    lbx_error_class(L, BX_BOXD, "busy: another task writes to this process");
  return p;
}

static int write_k(lua_State *L, int status, lua_KContext written) {
  (void)status;
  size_t len, done = (size_t)written;
  lbx_process *p = lbx_exec_process(L);
  const char *data = lua_tolstring(L, 2, &len);
  while (done < len) {
    size_t n = len - done < LBX_SEND_MAX ? len - done : LBX_SEND_MAX;
    await_room(L, p, (lua_KContext)done, write_k);
    check_stdin(L, p);
    lbx_process_send(p, data + done, n);
    done += n;
  }
  return 0;
}

/* p:write(data): waits while the transport is full. */
static int m_write(lua_State *L) {
  lbx_process *p = check_writer(L);
  if (!lua_isstring(L, 2)) lbx_wrong_argument(L, 2, "write", "string");
  check_stdin(L, p);
  lua_settop(L, 2);
  return write_k(L, LUA_OK, 0);
}

static int write_eof_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  lbx_process *p = lbx_exec_process(L);
  bx_call *c = p->call;
  while (c->sending)
    lbx_await(L, &(lbx_wait){.event = &c->sent}, ctx, write_eof_k);
  if (!c->finished.set && !c->closing) bx_call_send(c, NULL, true);
  return 0;
}

/* p:write_eof(): a second one is an error, as a write after it is. */
static int m_write_eof(lua_State *L) {
  lbx_process *p = check_writer(L);
  check_stdin(L, p);
  lua_settop(L, 1);
  return write_eof_k(L, LUA_OK, 0);
}

static int resize_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  lbx_process *p = lbx_exec_process(L);
  await_room(L, p, ctx, resize_k);
  if (p->call->closing)
    lbx_error_class(L, BX_BOXD, "stdin is closed: no size can be sent");
  lbx_process_resize(p, (unsigned)lua_tointeger(L, 2),
                     (unsigned)lua_tointeger(L, 3));
  return 0;
}

/* p:resize(cols, rows) */
static int m_resize(lua_State *L) {
  check_writer(L);
  for (int i = 2; i <= 3; i++) {
    if (!lua_isinteger(L, i)) lbx_wrong_argument(L, i, "resize", "integer");
    if (lua_tointeger(L, i) < 1 || lua_tointeger(L, i) > 65535)
      lbx_error_invalid(L, "resize: %s are 1 to 65535, not %lld",
                        i == 2 ? "columns" : "rows",
                        (long long)lua_tointeger(L, i));
  }
  lua_settop(L, 3);
  return resize_k(L, LUA_OK, 0);
}

/* p.stdin:write(data), p.stdin:write_eof() */

static int on_stdin(lua_State *L, lua_CFunction method) {
  luaL_checkudata(L, 1, STDIN_TYPE);
  lua_getiuservalue(L, 1, 1);
  lua_replace(L, 1);
  return method(L);
}

static int m_stdin_write(lua_State *L) { return on_stdin(L, m_write); }
static int m_stdin_eof(lua_State *L) { return on_stdin(L, m_write_eof); }

static int m_close(lua_State *L) {
  luaL_checkudata(L, 1, TYPE);
  return lbx_exec_close(L);
}

/* p:expect(pattern, { timeout= }) */
static int m_expect(lua_State *L) {
  lbx_process *p = check_process(L);
  check_free(L, p, true, false);
  return lbx_exec_expect(L);
}

/* p:kill(signal="TERM") */
static int m_kill(lua_State *L) {
  check_process(L);
  return lbx_exec_kill(L);
}

static int m__gc(lua_State *L) {
  lua_settop(L, 1);
  lbx_exec_forget(L);
  lbx_process_release(lua_touserdata(L, 1));
  return 0;
}

static int m__index(lua_State *L) {
  static const char *const fields[] = {"stdin", "dropped", NULL};
  lbx_process *p = luaL_checkudata(L, 1, TYPE);
  if (lua_type(L, 2) != LUA_TSTRING || *lua_tostring(L, 2) == '_') return 0;
  const char *key = lua_tostring(L, 2);
  if (strcmp(key, "stdin") == 0) {
    lbx_new(L, 0, 1, STDIN_TYPE);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
  } else if (strcmp(key, "dropped") == 0) {
    lua_pushinteger(L, (lua_Integer)(p->out.dropped + p->err.dropped));
  } else {
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) == LUA_TNIL)
      lbx_no_method(L, "ExecProcess", key, lua_upvalueindex(1), fields);
  }
  return 1;
}

static int m__tostring(lua_State *L) {
  lbx_process *p = luaL_checkudata(L, 1, TYPE);
  lua_pushfstring(L, "boxd.ExecProcess (%s)",
                  p->done.set || !p->call ? "ended" : "running");
  return 1;
}

/* core.tail(process) -> the end of its latest output, at most 120 bytes */
static int tail(lua_State *L) {
  lbx_process *p = check_process(L);
  lua_pushlstring(L, (const char *)p->tail, p->tail_len);
  return 1;
}

/* core.silence(seconds) -> the old value. For specs. */
static int silence(lua_State *L) {
  double before = lbx_silence;
  lbx_silence = luaL_checknumber(L, 1);
  lua_pushnumber(L, before);
  return 1;
}

void lbx_open_exec_core(lua_State *L) {
  lua_pushcfunction(L, silence);
  lua_setfield(L, -2, "silence");
  lua_pushcfunction(L, tail);
  lua_setfield(L, -2, "tail");
  lua_pushcfunction(L, lbx_core_exec);
  lua_setfield(L, -2, "exec");
  lua_pushcfunction(L, lbx_exec_open);
  lua_setfield(L, -2, "exec_open");
  lua_pushcfunction(L, lbx_exec_collect);
  lua_setfield(L, -2, "exec_collect");
  lua_pushcfunction(L, lbx_exec_result);
  lua_setfield(L, -2, "exec_result");
}

void lbx_open_exec(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"read_stdout", m_read_stdout}, {"read_stderr", m_read_stderr},
      {"iter_stdout", m_iter_stdout}, {"iter_stderr", m_iter_stderr},
      {"chunks", m_chunks},           {"lines", m_lines},
      {"wait", m_wait},               {"close", m_close},
      {"kill", m_kill},               {"expect", m_expect},
      {"write", m_write},             {"write_eof", m_write_eof},
      {"resize", m_resize},           {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", m__gc},
                                  {"__close", m_close},
                                  {"__newindex", lbx_read_only},
                                  {"__tostring", m__tostring},
                                  {NULL, NULL}};
  static const luaL_Reg stdin_methods[] = {
      {"write", m_stdin_write}, {"write_eof", m_stdin_eof}, {NULL, NULL}};
  static const luaL_Reg stdin_meta[] = {{"__newindex", lbx_read_only},
                                        {NULL, NULL}};
  lbx_newtype(L, STDIN_TYPE, stdin_methods, stdin_meta);
  lbx_refuse_unknown(L, STDIN_TYPE);
  lbx_open_exec_result(L);
  lbx_newtype(L, TYPE, NULL, meta);
  lbx_index_by(L, TYPE, methods, m__index);
}
