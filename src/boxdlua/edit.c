#include "edit.h"

#include <dlfcn.h>
#include <errno.h>
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include <lauxlib.h>

#include "../bind/await.h"
#include "../bind/error.h"
#include "../bind/type.h"
#include "../core/io.h"

/* Debian numbers it by itself. */
#define LIBRARY_OF_DEBIAN "libedit.so.2"
#define LIBRARY "libedit.so.0"

#define FUNCTIONS(X)                                                    \
  X(el_init) X(el_end) X(el_set) X(el_wset) X(el_gets) X(el_line)       \
  X(el_insertstr) X(el_resize) X(el_source) X(history_init)             \
  X(history_end) X(history)

static struct {
#define X(name) __typeof__(name) *name;
  FUNCTIONS(X)
#undef X
} lib;

static void on_readable(bx_watch *w, uint32_t events);

static struct {
  EditLine *el; /* NULL: not open */
  History *history;
  const char *prompt;
  lua_State *L; /* the reader; an error it met is on its stack when `failed` */
  bool failed, reading;
  struct winsize size;
  bx_watch watch;
  bx_event readable;
} editor = {.watch = {.fd = STDIN_FILENO, .fire = on_readable}};

static bool load_library(void) {
  void *so = dlopen(LIBRARY_OF_DEBIAN, RTLD_NOW | RTLD_LOCAL);
  if (so == NULL) so = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
  if (so == NULL) return false;
#define X(name)                                         \
  *(void **)&lib.name = dlsym(so, #name);               \
  if (lib.name == NULL) return false;
  FUNCTIONS(X)
#undef X
  return true;
}

/* ---- characters ---- */

static void on_readable(bx_watch *w, uint32_t events) {
  (void)w, (void)events;
  bx_event_set(lbx_state_get(editor.L)->loop, &editor.readable);
}

/* Protected: waits for stdin, and the loop goes on. */
static int wait_input(lua_State *L) {
  bx_error e;
  struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
  if (poll(&p, 1, 0) > 0) return 0;
  bx_event_reset(&editor.readable);
  if (bx_io_arm(lbx_state_get(L)->loop, &editor.watch, EPOLLIN, &e))
    lbx_throw(L, &e, NULL);
  while (!editor.readable.set)
    lbx_await(L, &(lbx_wait){.event = &editor.readable}, 0, NULL);
  return 0;
}

void host_edit_wait(lua_State *L) {
  editor.L = L;
  wait_input(L);
  bx_io_forget(lbx_state_get(L)->loop, &editor.watch);
}

/* Instead of a handler for SIGWINCH, which calls of the script would meet. */
static void follow_size(void) {
  struct winsize size;
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0) return;
  if (size.ws_col == editor.size.ws_col && size.ws_row == editor.size.ws_row)
    return;
  editor.size = size;
  lib.el_resize(editor.el);
}

/* One character of stdin for libedit: 1, 0 at the end, -1. No Lua error may
** pass through it. */
static int read_char(EditLine *el, wchar_t *out) {
  mbstate_t state = {0};
  (void)el;
  for (;;) {
    char byte;
    lua_pushcfunction(editor.L, wait_input);
    if (lua_pcall(editor.L, 0, 0, 0) != LUA_OK) {
      editor.failed = true;
      return -1;
    }
    follow_size();
    ssize_t n = read(STDIN_FILENO, &byte, 1);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return (int)n;
    size_t used = mbrtowc(out, &byte, 1, &state);
    if (used == (size_t)-2) continue; /* more bytes make it */
    if (used != (size_t)-1) return 1;
    memset(&state, 0, sizeof state); /* no text: not for a line of Lua */
  }
}

static char *prompt(EditLine *el) {
  (void)el;
  return (char *)editor.prompt;
}

/* ---- completion ---- */

static int columns(void) {
  return editor.size.ws_col > 0 ? editor.size.ws_col : 80;
}

/*
** Protected: the text before the cursor -> what to insert, and a listing.
** boxd.cli.repl's complete(text, columns) knows both.
*/
static int complete(lua_State *L) {
  const LineInfo *line = lua_touserdata(L, 1);
  lbx_require_field(L, "boxd.cli.repl", "complete");
  lua_pushlstring(L, line->buffer, (size_t)(line->cursor - line->buffer));
  lua_pushinteger(L, columns());
  lua_call(L, 2, 2);
  return 2;
}

static unsigned char on_tab(EditLine *el, wint_t key) {
  lua_State *L = editor.L;
  unsigned char what = CC_ERROR;
  (void)key;
  if (!lua_checkstack(L, 4)) return what;
  lua_pushcfunction(L, complete);
  lua_pushlightuserdata(L, (void *)lib.el_line(el));
  if (lua_pcall(L, 1, 2, 0) != LUA_OK) {
    lua_pop(L, 1); /* names that can't be known: as if there were none */
    return what;
  }
  if (lua_isstring(L, -1)) {
    printf("\n%s\n", lua_tostring(L, -1));
    fflush(stdout);
    what = CC_REDISPLAY;
  } else if (lua_isstring(L, -2) && *lua_tostring(L, -2)) {
    what = lib.el_insertstr(el, lua_tostring(L, -2)) == 0 ? CC_REFRESH
                                                          : CC_ERROR;
  }
  lua_pop(L, 2);
  return what;
}

/* ---- what tasks print while a line is edited ---- */

/* print, above the line: 1: the usual one is the upvalue. */
static int m_print(lua_State *L) {
  bool inside = editor.reading;
  if (inside) fputs("\r\033[K", stdout);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, 0);
  if (inside) {
    fflush(stdout);
    lib.el_set(editor.el, EL_REFRESH);
  }
  return 0;
}

static void replace_print(lua_State *L) {
  lua_getglobal(L, "print");
  lua_pushcclosure(L, m_print, 1);
  lua_setglobal(L, "print");
}

/* ---- the editor ---- */

static void add_history(void *arg, const char *line) {
  HistEvent ev;
  (void)arg;
  lib.history(editor.history, &ev, H_ENTER, line);
}

/* libedit edits text of the locale; ours is UTF-8 wherever nothing is said. */
static void use_utf8(void) {
  if (setlocale(LC_CTYPE, "") == NULL || strcmp(nl_langinfo(CODESET), "UTF-8"))
    setlocale(LC_CTYPE, "C.UTF-8");
}

static void configure(EditLine *el) {
  HistEvent ev;
  lib.el_set(el, EL_PROMPT, prompt);
  lib.el_set(el, EL_EDITOR, "emacs");
  lib.el_set(el, EL_SIGNAL, 0);
  lib.el_set(el, EL_GETCFN, read_char);
  lib.history(editor.history, &ev, H_SETSIZE, 2000);
  lib.history(editor.history, &ev, H_SETUNIQUE, 1);
  lib.el_set(el, EL_HIST, lib.history, editor.history);
  /* el_set would copy the names and never free them. */
  lib.el_wset(el, EL_ADDFN, L"boxd-complete", L"Completes a name", on_tab);
  lib.el_set(el, EL_BIND, "^I", "boxd-complete", NULL);
  lib.el_set(el, EL_BIND, "^R", "em-inc-search-prev", NULL);
  lib.el_source(el, NULL); /* ~/.editrc */
  /* With bindings of its own it may have taken another editor's. */
  lib.el_set(el, EL_BIND, "^I", "boxd-complete", NULL);
}

bool host_edit_open(lua_State *L) {
  const char *term = getenv("TERM");
  if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) return false;
  if (term == NULL || *term == '\0' || strcmp(term, "dumb") == 0) return false;
  if (!load_library()) return false;
  use_utf8();
  editor.L = L;
  atexit(host_edit_close); /* os.exit in a task leaves the prompt from inside */
  editor.el = lib.el_init("boxdlua", stdin, stdout, stderr);
  if (editor.el == NULL) return false;
  editor.history = lib.history_init();
  if (editor.history == NULL) {
    host_edit_close();
    return false;
  }
  configure(editor.el);
  ioctl(STDOUT_FILENO, TIOCGWINSZ, &editor.size);
  host_history_load(add_history, NULL);
  replace_print(L);
  return true;
}

bool host_edit_line(lua_State *L, const char *text) {
  int n;
  editor.L = L;
  editor.prompt = text;
  editor.failed = false;
  luaL_checkstack(L, LUA_MINSTACK, "too deep to read a line");
  editor.reading = true;
  const char *line = lib.el_gets(editor.el, &n);
  editor.reading = false;
  bx_io_forget(lbx_state_get(L)->loop, &editor.watch);
  if (editor.failed) return lua_error(L);
  if (line == NULL || n <= 0) return false;
  if (line[n - 1] == '\n') n--;
  lua_pushlstring(L, line, (size_t)n);
  line = lua_tostring(L, -1);
  if (line[strspn(line, " \t")] != '\0') {
    add_history(NULL, line);
    host_history_append(line);
  }
  return true;
}

void host_edit_close(void) {
  if (editor.history != NULL) lib.history_end(editor.history);
  if (editor.el != NULL) lib.el_end(editor.el);
  editor.history = NULL;
  editor.el = NULL;
}
