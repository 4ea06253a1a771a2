/* box:exec and box:sh: what scripts give them, as the first chunk of an Exec. */
#include <lauxlib.h>

#include "command.h"
#include "error.h"
#include "client.h"
#include "exec.h"
#include "exec_private.h"
#include "method_private.h"
#include "type.h"
#include "types.h"

#define KIND(of, lua) {.name = of, .type = lua}

/* A function(data, stream), or a value with a method write: an io file. */
static void read_tee(lua_State *L, int idx, const char *method) {
  int type = lua_type(L, idx);
  if (type == LUA_TFUNCTION || luaL_testudata(L, idx, LUA_FILEHANDLE)) return;
  lbx_error_usage(L, "bad option 'tee' to '%s' (function or file expected, got "
                  "%s)", method, lbx_type_name(L, idx));
}

static const lbx_param options[] = {
    KIND("env", LUA_TTABLE), KIND("cwd", LUA_TSTRING),
    KIND("stdin", LUA_TSTRING), KIND("stream", LUA_TBOOLEAN),
    KIND("pty", LUA_TBOOLEAN), KIND("interactive", LUA_TBOOLEAN),
    KIND("close_stdin", LUA_TBOOLEAN), KIND("cols", LUA_TNUMBER),
    KIND("rows", LUA_TNUMBER), KIND("killable", LUA_TBOOLEAN),
    KIND("user", LUA_TSTRING), KIND("login", LUA_TBOOLEAN),
    KIND("secret_env", LUA_TTABLE), KIND("check", LUA_TBOOLEAN),
    KIND("max_output", LUA_TNUMBER), {.name = "tee", .read = read_tee}, {0}};
static const lbx_method exec = {"exec", "Exec", .options = options};
static const lbx_method sh = {"sh", "Exec", .options = options};

/* What the options say, at their index. */
typedef struct plan {
  int options;
  double timeout; /* seconds; 0: none */
  bool pty, stream, half_close;
  bool killable; /* it and all that it starts can be ended from outside */
  bool composed; /* more than one plain call */
} plan;

static bool flag(lua_State *L, int idx, const char *name) {
  return lbx_opt_boolean(L, idx, name, false);
}

static bool has_option(lua_State *L, int idx, const char *name) {
  bool is = lua_istable(L, idx) && lua_getfield(L, idx, name) != LUA_TNIL;
  lua_settop(L, lua_gettop(L) - (lua_istable(L, idx) ? 1 : 0));
  return is;
}

/* Is there an option for boxd.internal.exec? A timeout holds in the box, too. */
static void read_composed(lua_State *L, plan *p) {
  static const char *const names[] = {"user", "login", "secret_env", "check",
                                      "tee", "max_output"};
  bool any = false;
  lbx_push_compute(L, 1);
  bool by_default = lbx_client_killable(L, lua_gettop(L));
  lua_pop(L, 1);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    any = has_option(L, p->options, names[i]) || any;
  bool implied = by_default || p->timeout > 0 ||
                 has_option(L, p->options, "user") ||
                 has_option(L, p->options, "secret_env");
  p->killable = lbx_opt_boolean(L, p->options, "killable", implied);
  p->composed = any || p->killable;
}

/* interactive means pty and stream; stdin has ended where nothing can follow. */
static plan read_plan(lua_State *L, const lbx_method *m, int idx, int number) {
  plan p = {.options = idx};
  p.timeout = lbx_read_options(L, m, NULL, idx, number);
  bool interactive = flag(L, idx, "interactive");
  bool given = lbx_opt_string(L, idx, "stdin", NULL, NULL) != NULL;
  bool ended = flag(L, idx, "close_stdin");
  p.pty = interactive || flag(L, idx, "pty");
  p.stream = interactive || flag(L, idx, "stream");
  p.half_close = ended || (!p.stream && !given);
  if (p.pty && ended)
    lbx_error_invalid(L, "%s: close_stdin would end the terminal of a pty",
                      m->name);
  if (given && ended)
    lbx_error_invalid(L, "%s: stdin and close_stdin exclude each other",
                      m->name);
  read_composed(L, &p);
  return p;
}

/* Pushes an option's value; nil without options. */
static void push_option(lua_State *L, const plan *p, const char *name) {
  if (lua_istable(L, p->options))
    lua_getfield(L, p->options, name);
  else
    lua_pushnil(L);
}

/* Pushes the first chunk; the command is on the top. */
static void push_first(lua_State *L, const plan *p) {
  int command = lua_gettop(L);
  lua_createtable(L, 0, 5);
  lbx_record_get(L, 1, "id");
  lua_setfield(L, -2, "vm_id");
  lua_pushvalue(L, command);
  lua_setfield(L, -2, "command");
  lua_pushboolean(L, p->pty);
  lua_setfield(L, -2, "tty");
  push_option(L, p, "cols");
  lua_setfield(L, -2, "cols");
  push_option(L, p, "rows");
  lua_setfield(L, -2, "rows");
}

/* A terminal may show the process's output as progress. */
static void watch(lua_State *L) {
  lbx_require_field(L, "boxd.internal.progress", "watch");
  lua_pushvalue(L, -2);
  lua_call(L, 1, 0);
}

static void set_flag(lua_State *L, const char *name, bool value) {
  lua_pushboolean(L, value);
  lua_setfield(L, -2, name);
}

static int composed_k(lua_State *L, int status, lua_KContext ctx) {
  (void)L, (void)status, (void)ctx;
  return 1;
}

/* The same by boxd.internal.exec. */
static int run_composed(lua_State *L, const plan *p, const lbx_method *m) {
  int command = lua_gettop(L);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, command);
  if (lua_istable(L, p->options))
    lua_pushvalue(L, p->options);
  else
    lua_newtable(L);
  if (p->timeout > 0) {
    lua_pushnumber(L, p->timeout);
    lua_setfield(L, -2, "timeout");
  }
  lua_createtable(L, 0, 5);
  set_flag(L, "pty", p->pty);
  set_flag(L, "stream", p->stream);
  set_flag(L, "half_close", p->half_close);
  set_flag(L, "killable", p->killable);
  lua_pushstring(L, m->name);
  lua_setfield(L, -2, "method");
  lbx_exec_call(L, "boxd.internal.exec", "run", 4, 0, composed_k);
  return 1;
}

/* Starts the command on the top: the process, or its result. */
static int run(lua_State *L, const plan *p, const lbx_method *m) {
  lbx_room(L, 12);
  if (p->composed) return run_composed(L, p, m);
  push_first(L, p);
  lua_pushcfunction(L, lbx_exec_open);
  lbx_push_compute(L, 1);
  lua_pushvalue(L, -3);
  push_option(L, p, "stdin");
  lua_pushboolean(L, p->half_close);
  lua_pushboolean(L, !p->stream);
  if (p->timeout > 0)
    lua_pushnumber(L, p->timeout);
  else
    lua_pushnil(L);
  lua_call(L, 6, 1);
  watch(L);
  if (p->stream) return 1;
  lua_replace(L, 1);
  return lbx_exec_collect(L);
}

static void check_arguments(lua_State *L, int n) {
  if (n == 0 || (lua_type(L, 2) == LUA_TSTRING && lua_rawlen(L, 2) == 0))
    lbx_error_invalid(L, "exec: a command expected, such as box:exec(\"ls\", "
                      "\"-l\")");
  for (int i = 1; i <= n; i++)
    if (!lua_isstring(L, 1 + i))
      lbx_error_usage(L, "bad argument #%d to 'exec' (string expected, got %s)",
                      i, lbx_type_name(L, 1 + i));
}

/* core.exec(box or its files, arg, ..., opts?) */
int lbx_core_exec(lua_State *L) {
  int n = lua_gettop(L) - 1;
  if (n > 0 && lua_istable(L, -1))
    n--;
  else
    lua_pushnil(L);
  if (n == 0 && lua_istable(L, 2) && lua_rawlen(L, 2) > 0)
    lbx_error_invalid(L, "exec: arguments come one by one, as in "
                      "box:exec(\"ls\", \"-l\"), not in a table");
  plan p = read_plan(L, &exec, n + 2, n + 1);
  check_arguments(L, n);
  lbx_push_command(L, 2, n + 1, p.options);
  return run(L, &p, &exec);
}

/* box:exec(arg, ..., opts?) */
int lbx_box_exec(lua_State *L) {
  lbx_type_check(L, &lbx_box_type, "exec");
  return lbx_core_exec(L);
}

/* box:sh(line, opts?) */
int lbx_box_sh(lua_State *L) {
  lbx_type_check(L, &lbx_box_type, "sh");
  lua_settop(L, 3);
  if (lua_type(L, 2) != LUA_TSTRING)
    lbx_error_usage(L, "bad argument #1 to 'sh' (string expected, got %s)",
                    lbx_type_name(L, 2));
  if (lua_rawlen(L, 2) == 0)
    lbx_error_invalid(L, "sh: a command line expected");
  plan p = read_plan(L, &sh, 3, 2);
  lbx_push_line(L, 2, p.options);
  return run(L, &p, &sh);
}
