#include "terminal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "../core/io.h"
#include "await.h"
#include "error.h"
#include "type.h"

#define TYPE "boxd.Terminal"
#define READ_MAX 4096

typedef struct terminal {
  bx_loop *loop;
  bx_watch input, resize; /* resize.fd is ours */
  bx_event readable, resized;
  struct sigaction before; /* of SIGWINCH */
  bool open;
} terminal;

/* A process has one terminal: its old mode, while it is raw. */
static struct {
  struct termios mode;
  pid_t owner;
  volatile sig_atomic_t raw;
  int resize_fd;
} saved = {.resize_fd = -1};

void lbx_terminal_restore(void) {
  if (!saved.raw || saved.owner != getpid()) return;
  tcsetattr(STDIN_FILENO, TCSADRAIN, &saved.mode);
  saved.raw = 0;
}

static void on_winch(int signo) {
  uint64_t one = 1;
  int err = errno;
  (void)signo;
  ssize_t n = write(saved.resize_fd, &one, sizeof one);
  (void)n; /* full is readable, too */
  errno = err;
}

static void on_input(bx_watch *w, uint32_t events) {
  terminal *t = (terminal *)((char *)w - offsetof(terminal, input));
  (void)events;
  bx_event_set(t->loop, &t->readable);
}

static void on_resize(bx_watch *w, uint32_t events) {
  terminal *t = (terminal *)((char *)w - offsetof(terminal, resize));
  (void)events;
  bx_event_set(t->loop, &t->resized);
}

static terminal *check_terminal(lua_State *L) {
  return luaL_checkudata(L, 1, TYPE);
}

static int throw_errno(lua_State *L, const char *what) {
  bx_error e;
  bx_error_errno(&e, BX_BOXD, errno, what);
  return lbx_throw(L, &e, NULL);
}

/* Both waits end when the terminal is closed. */
static void await_watch(lua_State *L, terminal *t, bx_watch *w, bx_event *ev,
                        lua_KFunction k) {
  bx_error e;
  bx_event_reset(ev);
  if (bx_io_arm(t->loop, w, EPOLLIN, &e)) lbx_throw(L, &e, NULL);
  lbx_await(L, &(lbx_wait){.event = ev}, 1, k);
}

/* again: the descriptor has said that a read will not block. */
static int read_k(lua_State *L, int status, lua_KContext again) {
  char buffer[READ_MAX];
  (void)status;
  terminal *t = lua_touserdata(L, 1);
  while (t->open) {
    if (again && t->readable.set) {
      bx_event_reset(&t->readable);
      ssize_t n = read(STDIN_FILENO, buffer, sizeof buffer);
      if (n <= 0 && !(n < 0 && (errno == EINTR || errno == EAGAIN))) return 0;
      if (n > 0) {
        lua_pushlstring(L, buffer, (size_t)n);
        return 1;
      }
    }
    await_watch(L, t, &t->input, &t->readable, read_k);
    again = 1;
  }
  return 0;
}

/* terminal:read() -> typed bytes; nil: the terminal is gone, or
** this was closed. */
static int m_read(lua_State *L) {
  check_terminal(L);
  lua_settop(L, 1);
  return read_k(L, LUA_OK, 0);
}

static int push_size(lua_State *L) {
  struct winsize size;
  if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0 || !size.ws_col ||
      !size.ws_row)
    size = (struct winsize){.ws_row = 24, .ws_col = 80};
  lua_pushinteger(L, size.ws_col);
  lua_pushinteger(L, size.ws_row);
  return 2;
}

/* terminal:size() -> columns, rows */
static int m_size(lua_State *L) {
  check_terminal(L);
  return push_size(L);
}

static int resized_k(lua_State *L, int status, lua_KContext again) {
  uint64_t count;
  (void)status;
  terminal *t = lua_touserdata(L, 1);
  while (t->open) {
    if (again && t->resized.set) {
      bx_event_reset(&t->resized);
      if (read(t->resize.fd, &count, sizeof count) > 0) return push_size(L);
    }
    await_watch(L, t, &t->resize, &t->resized, resized_k);
    again = 1;
  }
  return 0;
}

/* terminal:resized() -> columns, rows once they change; nil: closed */
static int m_resized(lua_State *L) {
  check_terminal(L);
  lua_settop(L, 1);
  return resized_k(L, LUA_OK, 0);
}

static void close_terminal(terminal *t) {
  if (!t->open) return;
  t->open = false;
  lbx_terminal_restore();
  sigaction(SIGWINCH, &t->before, NULL);
  saved.resize_fd = -1;
  if (t->loop) {
    bx_io_forget(t->loop, &t->input);
    bx_io_forget(t->loop, &t->resize);
    bx_event_set(t->loop, &t->readable);
    bx_event_set(t->loop, &t->resized);
  }
  close(t->resize.fd);
}

static int m_close(lua_State *L) {
  close_terminal(check_terminal(L));
  return 0;
}

static bool make_raw(void) {
  static bool registered;
  if (!registered && atexit(lbx_terminal_restore) != 0) return false;
  registered = true;
  if (tcgetattr(STDIN_FILENO, &saved.mode) < 0) return false;
  struct termios raw = saved.mode;
  cfmakeraw(&raw);
  saved.owner = getpid();
  saved.raw = 1;
  if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0) return true;
  saved.raw = 0;
  return false;
}

/* core.terminal() -> Terminal, in raw mode */
static int f_terminal(lua_State *L) {
  struct sigaction action = {.sa_handler = on_winch, .sa_flags = SA_RESTART};
  if (!isatty(STDIN_FILENO))
    return lbx_error_invalid(L, "attach: stdin is not a terminal");
  if (saved.raw) return lbx_error_class(L, BX_BOXD, "busy: the terminal is "
                                                    "attached already");
  terminal *t = lbx_new(L, sizeof *t, 0, TYPE);
  t->loop = lbx_loop(L);
  t->input = (bx_watch){.fd = STDIN_FILENO, .fire = on_input};
  int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) return throw_errno(L, "can't attach the terminal");
  t->resize = (bx_watch){.fd = saved.resize_fd = fd, .fire = on_resize};
  sigaction(SIGWINCH, &action, &t->before);
  t->open = true;
  if (make_raw()) return 1;
  int why = errno;
  close_terminal(t);
  errno = why;
  return throw_errno(L, "can't attach the terminal");
}

/* core.screen() -> columns of the terminal that stderr is, or nil */
static int f_screen(lua_State *L) {
  struct winsize size;
  if (!isatty(STDERR_FILENO)) return 0;
  bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  lua_pushinteger(L, known ? size.ws_col : 80);
  return 1;
}

void lbx_open_terminal(lua_State *L) {
  static const luaL_Reg methods[] = {{"read", m_read},
                                     {"size", m_size},
                                     {"resized", m_resized},
                                     {"close", m_close},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {
      {"__gc", m_close}, {"__close", m_close}, {NULL, NULL}};
  lbx_newtype(L, TYPE, methods, meta);
  lua_pushcfunction(L, f_terminal);
  lua_setfield(L, -2, "terminal");
  lua_pushcfunction(L, f_screen);
  lua_setfield(L, -2, "screen");
}
