/*
** boxdlua: the Lua interpreter with boxd inside, and the embedded service.
** Behaves as lua(1) 5.4 does, except that os.exit closes the state, and that
** error values with a __tostring get a traceback too.
*/
#include "boxdlua.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lualib.h>

#include "../bind/await.h"
#include "../bind/lua_compat.h"
#include "../bind/module.h"
#include "../bind/serve/serve.h"
#include "../core/observe.h"
#include "../sandbox/clean.h"
#include "doctor.h"
#include "state.h"

/* A generator in a task waits as the task does. */
static void replace_coroutines(lua_State *L) {
  static const char *const names[] = {"resume", "wrap"};
  lua_getglobal(L, "boxd");
  lua_getglobal(L, LUA_COLIBNAME);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    lua_getfield(L, -2, names[i]);
    lua_setfield(L, -2, names[i]);
  }
  lua_pop(L, 2);
}

/* Most tables are short-lived. `make gc` has a build that collects all the
** time. */
static void start_collector(lua_State *L) {
#ifdef BOXD_COLLECT_ALWAYS
  lbx_collect_always(L);
#else
  lua_gc(L, LUA_GCGEN, 0, 0);
#endif
}

static void open_libraries(lua_State *L, const host_options *o) {
  if (o->ignore_env || o->serve || o->doctor) {
    lua_pushboolean(L, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
  }
  luaL_openlibs(L);
  start_collector(L);
  host_embed_install(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, luaopen_boxd_serve);
  lua_setfield(L, -2, "boxd.serve");
  lua_pushcfunction(L, luaopen_doctor_probe);
  lua_setfield(L, -2, "boxd.cli.probe");
  lua_pop(L, 1);
  lbx_open_state(L);
  lbx_state_get(L)->host = false; /* before boxd adds its files as text */
  luaL_requiref(L, "boxd", luaopen_boxd, 1);
  lua_pop(L, 1);
  replace_coroutines(L);
  host_exit_install(L);
  host_signal_install(L, !o->serve);
}

/* arg: the script at 0, its arguments above, the words before it below. */
static void set_arguments(lua_State *L, const host_options *o) {
  int script = o->script < o->argc ? o->script : 0;
  lua_createtable(L, o->argc - script, script + 1);
  for (int i = 0; i < o->argc; i++) {
    lua_pushstring(L, o->argv[i]);
    lua_rawseti(L, -2, i - script);
  }
  lua_setglobal(L, "arg");
}

static void print_version(lua_State *L) {
  lua_getglobal(L, "boxd");
  lua_getfield(L, -1, "_VERSION");
  printf("%s  %s\n", lua_tostring(L, -1), LUA_COPYRIGHT);
  fflush(stdout);
  lua_pop(L, 2);
}

/* ---- the embedded service ---- */

static bool wants_local(const host_options *o) {
  const char *env = getenv("BOXD_LOCAL");
  if (o->serve) return false;
  return o->local || (env != NULL && *env != '\0' && strcmp(env, "0") != 0);
}

/* The module finds the service's address in these fields of the registry. */
static int start_local(lua_State *L, const host_options *o) {
  host_service s;
  char message[512];
  if (host_local_start(o, &s, message, sizeof message) < 0) {
    host_complain(message);
    return -1;
  }
  lua_pushstring(L, s.api_url);
  lua_setfield(L, LUA_REGISTRYINDEX, "boxd.local.api_url");
  lua_pushstring(L, s.exchange_url);
  lua_setfield(L, LUA_REGISTRYINDEX, "boxd.local.exchange_url");
  lua_pushstring(L, s.api_key);
  lua_setfield(L, LUA_REGISTRYINDEX, "boxd.local.api_key");
  return 0;
}

static void set_text(lua_State *L, const char *field, const char *value) {
  lua_pushstring(L, value);
  lua_setfield(L, -2, field);
}

/* Of another service: neither for this one, nor for readers of its
** /proc/PID/environ, which is the very memory that is overwritten here. */
static void forget_credentials(void) {
  static const char *const names[] = {"BOXD_API_KEY", "BOXD_TOKEN"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    size_t n = strlen(names[i]);
    for (char **e = environ; *e; e++)
      if (strncmp(*e, names[i], n) == 0 && (*e)[n] == '=')
        explicit_bzero(*e + n + 1, strlen(*e + n + 1));
    unsetenv(names[i]);
  }
}

/* The service has keys and secrets in its memory for as long as it runs; a user
** that wants a core file all the same gets one by prlimit(1). */
static void leave_no_core(void) {
  struct rlimit core;
  if (getrlimit(RLIMIT_CORE, &core) < 0) return;
  core.rlim_cur = 0;
  setrlimit(RLIMIT_CORE, &core);
}

/* require "boxd.local.main" { listen=, state=, net=, max_boxes=, limits=,
   init=, exec_survives=, announce= } */
static int serve(lua_State *L, const host_options *o) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "boxd.local.main");
  int status = host_call(L, 1, 1);
  if (status != LUA_OK) return host_report(L, status);
  lua_newtable(L);
  set_text(L, "listen", o->listen);
  set_text(L, "state", o->state);
  set_text(L, "net", o->net);
  set_text(L, "limits", o->limits);
  set_text(L, "init", o->init);
  lua_pushboolean(L, o->exec_survives);
  lua_setfield(L, -2, "exec_survives");
  if (o->max_boxes > 0) {
    lua_pushinteger(L, o->max_boxes);
    lua_setfield(L, -2, "max_boxes");
  }
  if (o->announce >= 0) {
    lua_pushinteger(L, o->announce);
    lua_setfield(L, -2, "announce");
  }
  return host_report(L, host_call(L, 1, 0));
}

/* ---- the doctor ---- */

/* require "boxd.cli.doctor"(ca_file) -> whether all is well */
static int examine(lua_State *L, const host_options *o) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "boxd.cli.doctor");
  int status = host_call(L, 1, 1);
  lua_pushstring(L, o->ca_file);
  if (status == LUA_OK) status = host_call(L, 1, 1);
  if (host_report(L, status) != LUA_OK) return status;
  bool well = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return well ? LUA_OK : LUA_ERRRUN;
}

/* ---- what the options ask for ---- */

static int run_actions(lua_State *L, const host_options *o) {
  for (size_t i = 0; i < o->action_count; i++) {
    const host_action *a = &o->actions[i];
    int status = LUA_OK;
    switch (a->kind) {
      case 'e': status = host_run_string(L, a->text, "=(command line)"); break;
      case 'l': status = host_run_library(L, a->text); break;
      case 'W': lua_warning(L, "@on", 0); break;
    }
    if (status != LUA_OK) return status;
  }
  return LUA_OK;
}

static bool executes(const host_options *o) {
  for (size_t i = 0; i < o->action_count; i++)
    if (o->actions[i].kind == 'e') return true;
  return false;
}

static int run_program(lua_State *L, const host_options *o) {
  bool script = o->script < o->argc;
  bool ask = !script && !executes(o) && !o->version && !o->interactive;
  bool terminal = ask && isatty(STDIN_FILENO);
  int status = run_actions(L, o);
  if (status != LUA_OK) return status;
  if (script && (status = host_run_script(L, o)) != LUA_OK) return status;
  if (ask && !terminal) return host_run_file(L, NULL);
  if (o->interactive || terminal) {
    if (!o->version) print_version(L);
    host_repl(L);
  }
  return LUA_OK;
}

/* -v with nothing else to do. */
static bool only_version(const host_options *o) {
  return o->version && o->script >= o->argc && o->action_count == 0 &&
         !o->interactive;
}

/* Protected: takes the options, returns whether all went well. */
static int run(lua_State *L) {
  const host_options *o = lua_touserdata(L, 1);
  lua_settop(L, 0);
  luaL_checkversion(L);
  open_libraries(L, o);
  if (o->version) print_version(L);
  set_arguments(L, o);
  int failed = 0;
  if (o->serve) {
    failed = serve(L, o);
  } else {
    if (wants_local(o) && !only_version(o)) failed = start_local(L, o);
    if (!failed && o->doctor) {
      failed = examine(L, o);
    } else {
      if (!failed && !o->ignore_env) failed = host_run_init(L);
      if (!failed) failed = run_program(L, o);
    }
  }
  lua_pushboolean(L, !failed);
  return 1;
}

/* os.exit without closing the state comes by here. */
static void end_trace(void) {
  bx_error e;
  if (!bx_trace_close(&e)) host_complain(e.message);
}

static bool start_trace(const host_options *o) {
  bx_error e;
  if (o->trace == NULL) return true;
  atexit(end_trace);
  if (bx_trace_open(o->trace, &e)) return true;
  host_complain(e.message);
  return false;
}

/* Where boxd.provision finds its options. */
static void set_provision(const host_options *o) {
  if (o->dry_run) setenv("BOXD_DRY_RUN", "1", 1);
  if (o->resume != NULL) setenv("BOXD_RESUME", o->resume, 1);
}

static int run_state(host_options *o) {
  set_provision(o);
  if (o->serve) {
    forget_credentials();
    leave_no_core();
  }
  if (!start_trace(o)) return EXIT_FAILURE;
  lua_State *L = host_state_new();
  if (L == NULL) {
    host_complain("cannot create the Lua state: not enough memory");
    return EXIT_FAILURE;
  }
  lua_pushcfunction(L, run);
  lua_pushlightuserdata(L, o);
  int status = lua_pcall(L, 1, 1, 0);
  bool ok = status == LUA_OK && lua_toboolean(L, -1);
  host_report(L, status);
  host_close(L);
  host_local_stop();
  fflush(stdout); /* that fails by a signal, too */
  if (host_signal_status()) return host_signal_status();
  return host_exit_status(ok ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* Before any thread exists: it forks. */
static int clean(void) {
  char message[512];
  if (bx_sandbox_clean(message, sizeof message) != 0) {
    host_complain(message);
    return EXIT_FAILURE;
  }
  puts(message);
  return EXIT_SUCCESS;
}

/* Freed memory stays ours up to this much: messages of some MiB come one
** after the other, and fresh pages for each would cost more than its copies. */
static void keep_memory(void) {
  mallopt(M_MMAP_THRESHOLD, 16 << 20);
  mallopt(M_TRIM_THRESHOLD, 32 << 20);
}

int main(int argc, char **argv) {
  host_options o;
  char message[512];
  int status = EXIT_FAILURE;
  const char *name = argc > 0 && argv[0][0] ? argv[0] : "boxdlua";
  host_set_name(name);
  keep_memory();
  if (host_plain_locks) host_plain_locks();
  if (argc < 1) {
    host_complain("no argv[0]");
    return status;
  }
  if (host_options_read(&o, argc, argv, message, sizeof message) < 0) {
    host_complain(message);
    fprintf(stderr,
            "usage: %s [options] [script [args]]; --help lists all options\n",
            name);
  } else if (o.help) {
    printf("usage: %s [options] [script [args]]\n%s", name, host_options_help);
    status = EXIT_SUCCESS;
  } else if (o.clean) {
    status = clean();
  } else {
    status = run_state(&o);
  }
  free(o.actions);
  return status;
}
