#include "fd.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../core/io.h"
#include "await.h"
#include "error.h"
#include "type.h"

#define TYPE "boxd.Fd"
#define READ_MAX (64 << 10)
#define FILE_MAX (64 << 20)

typedef struct fd_ud {
  int fd;
  bx_loop *loop;
  bx_watch watch;
  bx_event ready;
  uint32_t wanted; /* a reader and a writer may wait at once: EPOLLIN, OUT */
  bool piped; /* no socket, as a write found out */
  bool last; /* only `left` bytes more are to be read */
  int left;
} fd_ud;

static void on_ready(bx_watch *w, uint32_t events) {
  (void)events; /* the next read or write reports it */
  fd_ud *f = (fd_ud *)((char *)w - offsetof(fd_ud, watch));
  f->wanted = 0;
  bx_event_set(f->loop, &f->ready);
}

int *lbx_new_fd(lua_State *L) {
  fd_ud *f = lbx_new(L, sizeof *f, 0, TYPE);
  f->fd = -1;
  f->loop = lbx_loop(L);
  f->watch.fire = on_ready;
  return &f->fd;
}

int lbx_check_fd(lua_State *L, int idx) {
  fd_ud *f = luaL_checkudata(L, idx, TYPE);
  return f->fd;
}

static void await_fd(lua_State *L, fd_ud *f, uint32_t events, lua_KContext ctx,
                     lua_KFunction k) {
  bx_error e;
  bx_event_reset(&f->ready);
  f->watch.fd = f->fd;
  f->wanted |= events;
  if (bx_io_arm(lbx_loop(L), &f->watch, f->wanted, &e)) lbx_throw(L, &e, NULL);
  lbx_await(L, &(lbx_wait){.event = &f->ready}, ctx, k);
}

static int read_k(lua_State *L, int status, lua_KContext max) {
  char buffer[READ_MAX];
  (void)status;
  fd_ud *f = lua_touserdata(L, 1);
  for (;;) {
    if (f->fd < 0 || (f->last && f->left == 0)) return 0;
    size_t room = f->last && f->left < max ? (size_t)f->left : (size_t)max;
    ssize_t n = read(f->fd, buffer, room);
    if (n > 0) {
      if (f->last) f->left -= (int)n;
      lua_pushlstring(L, buffer, (size_t)n);
      return 1;
    }
    if (n == 0 || errno == EIO) return 0; /* EIO: a terminal without a holder */
    if (errno == EAGAIN && f->last) return 0;
    if (errno == EAGAIN)
      await_fd(L, f, EPOLLIN, max, read_k);
    else if (errno != EINTR)
      return luaL_fileresult(L, 0, NULL);
  }
}

/* fd:read([max]) -> bytes, at most 64 KiB; nil at the end; or nil, message and
** errno */
static int m_read(lua_State *L) {
  luaL_checkudata(L, 1, TYPE);
  lua_Integer max = luaL_optinteger(L, 2, READ_MAX);
  lua_settop(L, 1);
  return read_k(L, LUA_OK, max < 0 ? 0 : max > READ_MAX ? READ_MAX : max);
}

/* fd:read_file(n) -> n bytes, at most 64 MiB, fewer only at the end; or nil,
** message and errno. For a regular file, which is never waited for. */
static int m_read_file(lua_State *L) {
  luaL_Buffer b;
  fd_ud *f = luaL_checkudata(L, 1, TYPE);
  lua_Integer max = luaL_checkinteger(L, 2), done = 0;
  luaL_argcheck(L, max >= 0 && max <= FILE_MAX, 2, "0 to 64 MiB");
  char *out = luaL_buffinitsize(L, &b, (size_t)max);
  while (done < max) {
    ssize_t n = read(f->fd, out + done, (size_t)(max - done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return luaL_fileresult(L, 0, NULL);
    if (n == 0) break;
    done += n;
  }
  luaL_pushresultsize(&b, (size_t)done);
  return 1;
}

/* A socket whose other side has gone must not raise SIGPIPE in a host. */
static ssize_t write_some(fd_ud *f, const char *data, size_t len) {
  if (f->fd < 0) errno = EBADF;
  if (f->fd < 0) return -1;
  if (!f->piped) {
    ssize_t n = send(f->fd, data, len, MSG_NOSIGNAL);
    if (n >= 0 || errno != ENOTSOCK) return n;
    f->piped = true;
  }
  return write(f->fd, data, len);
}

static int write_k(lua_State *L, int status, lua_KContext done) {
  size_t len;
  (void)status;
  fd_ud *f = lua_touserdata(L, 1);
  const char *data = lua_tolstring(L, 2, &len);
  while ((size_t)done < len) {
    ssize_t n = write_some(f, data + done, len - (size_t)done);
    if (n >= 0)
      done += n;
    else if (errno == EAGAIN)
      await_fd(L, f, EPOLLOUT, done, write_k);
    else if (errno != EINTR)
      return luaL_fileresult(L, 0, NULL);
  }
  lua_pushboolean(L, 1);
  return 1;
}

/* fd:write(data) -> true; or nil, message and errno */
static int m_write(lua_State *L) {
  luaL_checkudata(L, 1, TYPE);
  luaL_checkstring(L, 2);
  lua_settop(L, 2);
  return write_k(L, LUA_OK, 0);
}

static int bytes_waiting(const fd_ud *f) {
  int n = 0;
  return f->fd < 0 || ioctl(f->fd, FIONREAD, &n) < 0 ? 0 : n;
}

/* fd:waiting() -> how many bytes there are to read; 0 of a closed one */
static int m_waiting(lua_State *L) {
  lua_pushinteger(L, bytes_waiting(luaL_checkudata(L, 1, TYPE)));
  return 1;
}

/* fd:finish(): reading ends once all that is there now has been read, whoever
** holds the other end. */
static int m_finish(lua_State *L) {
  fd_ud *f = luaL_checkudata(L, 1, TYPE);
  f->left = bytes_waiting(f);
  f->last = true;
  bx_event_set(f->loop, &f->ready);
  return 0;
}

/* fd:shutdown(): a socket sends no more; the other side sees the end. */
static int m_shutdown(lua_State *L) {
  fd_ud *f = luaL_checkudata(L, 1, TYPE);
  if (f->fd >= 0) shutdown(f->fd, SHUT_WR);
  return 0;
}

int lbx_take_fd(lua_State *L, int idx) {
  fd_ud *f = luaL_checkudata(L, idx, TYPE);
  int fd = f->fd;
  if (fd < 0) luaL_argerror(L, idx, "closed");
  bx_io_forget(f->loop, &f->watch);
  f->fd = -1;
  bx_event_set(f->loop, &f->ready);
  return fd;
}

/* fd:close(): idempotent; its waiters see the end. */
static int m_close(lua_State *L) {
  fd_ud *f = luaL_checkudata(L, 1, TYPE);
  if (f->fd < 0) return 0;
  bx_io_forget(f->loop, &f->watch);
  close(f->fd);
  f->fd = -1;
  bx_event_set(f->loop, &f->ready);
  return 0;
}

void lbx_open_fd(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"read", m_read},     {"read_file", m_read_file}, {"write", m_write},
      {"finish", m_finish}, {"close", m_close},
      {"shutdown", m_shutdown}, {"waiting", m_waiting}, {NULL, NULL}};
  static const luaL_Reg meta[] = {
      {"__gc", m_close}, {"__close", m_close}, {NULL, NULL}};
  lbx_newtype(L, TYPE, methods, meta);
}
