/*
** torture: runs scripts/torture/run.lua in a Lua of its own, with the means to
** make other states, the subjects, whose allocations fail on request. A
** subject has the client as `lua5.4` has it with boxd.so, and "boxd.serve".
**
**   torture.kinds            names of what can fail
**   torture.open(kind, at, times, paths, main, ...)
**                            -> Subject or nil, message, refused
**   subject:run(kind, at, times, name) -> ok, result, refused
**   subject:close(kind, at, times) -> bytes left, refused
**   torture.live(kind), torture.mark(), torture.report(mark)
**   torture.runs(name)       has this process a thread of that name?
**   torture.grpc_aborts()    does gRPC's allocator end the process?
**
** The subject's main chunk gets the arguments and returns a function (name) ->
** result, which `run` calls. kind "" fails nothing. Results are strings.
*/
#include <dirent.h>
#include <grpc/support/alloc.h>
#include <lauxlib.h>
#include <lualib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bind/lua_compat.h"
#include "bind/serve/serve.h"
#include "boxd.h"
#include "core/grpc_compat.h"
#include "fault.h"

#define SUBJECT "torture.Subject"
#define PATIENCE 60 /* seconds that one point may take */

typedef struct subject {
  lua_State *L;
  long bytes;
} subject;

/* The point that is tried, for the report of one that never ends. */
static char point[256];

static void on_alarm(int sig) {
  static const char text[] = "torture: no end of ";
  (void)sig;
  if (write(STDERR_FILENO, text, sizeof text - 1) < 0 ||
      write(STDERR_FILENO, point, strlen(point)) < 0 ||
      write(STDERR_FILENO, "\n", 1) < 0)
    _exit(3);
  abort();
}

/* Arms what arguments idx to idx + 2 say. */
static void arm(lua_State *L, int idx, const char *what) {
  const char *kind = luaL_checkstring(L, idx);
  long at = (long)luaL_checkinteger(L, idx + 1);
  long times = (long)luaL_checkinteger(L, idx + 2);
  snprintf(point, sizeof point, "%s: %s %ld x%ld", what, kind, at, times);
  alarm(PATIENCE);
  if (*kind)
    fault_arm(luaL_checkoption(L, idx, NULL, fault_names), at, times);
}

static long disarm(void) {
  alarm(0);
  return fault_disarm();
}

static subject *check(lua_State *L) {
  subject *s = luaL_checkudata(L, 1, SUBJECT);
  luaL_argcheck(L, s->L, 1, "closed");
  return s;
}

/* Protected: paths, main and its arguments. Leaves main's function in the
** registry. */
static int prepare(lua_State *L) {
  luaL_checkversion(L);
  luaL_openlibs(L);
  lua_getglobal(L, "package");
  lua_pushvalue(L, 1);
  lua_setfield(L, -2, "path");
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, luaopen_boxd);
  lua_setfield(L, -2, "boxd");
  lua_pushcfunction(L, luaopen_boxd_serve);
  lua_setfield(L, -2, "boxd.serve");
  lua_settop(L, lua_gettop(L) - 2);
  if (luaL_loadfile(L, lua_tostring(L, 2))) lua_error(L);
  lua_replace(L, 2);
  lua_call(L, lua_gettop(L) - 2, 1);
  lua_setfield(L, LUA_REGISTRYINDEX, SUBJECT);
  return 0;
}

/* Text that the driver owns. */
typedef struct texts {
  const char *text[8];
  int n;
} texts;

/* Protected. */
static int start(lua_State *L) {
  const texts *t = lua_touserdata(L, 1);
  lua_settop(L, 0);
  for (int i = 0; i < t->n; i++) lua_pushstring(L, t->text[i]);
  return prepare(L);
}

/* Warnings of a failed __gc are expected. */
static void ignore(void *ud, const char *message, int more) {
  (void)ud, (void)message, (void)more;
}

static int open_subject(lua_State *L) {
  texts t = {.n = lua_gettop(L) - 3};
  luaL_argcheck(L, t.n <= 8, 4, "too many");
  for (int i = 0; i < t.n; i++) t.text[i] = luaL_checkstring(L, 4 + i);
  subject *s = lua_newuserdatauv(L, sizeof *s, 0);
  *s = (subject){0};
  luaL_setmetatable(L, SUBJECT);
  arm(L, 1, "open");
  s->L = lbx_newstate(fault_lua_alloc, &s->bytes);
  int status = s->L ? LUA_OK : LUA_ERRMEM;
  if (s->L) {
    lua_setwarnf(s->L, ignore, NULL);
    lua_pushcfunction(s->L, start);
    lua_pushlightuserdata(s->L, &t);
    status = lua_pcall(s->L, 1, 0, 0);
  }
  long refused = disarm();
  if (status == LUA_OK) {
    lua_pushnil(L);
  } else {
    const char *message = s->L ? luaL_tolstring(s->L, -1, NULL) : "no state";
    lua_pushstring(L, message);
    if (s->L) lua_settop(s->L, 0);
  }
  lua_pushinteger(L, refused);
  return 3;
}

static int call(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, SUBJECT);
  lua_insert(L, 1);
  lua_call(L, 1, 1);
  return 1;
}

static int m_run(lua_State *L) {
  subject *s = check(L);
  const char *name = luaL_checkstring(L, 5);
  if (!lua_checkstack(s->L, 8)) return luaL_error(L, "no stack");
  lua_pushcfunction(s->L, call);
  lua_pushstring(s->L, name);
  arm(L, 2, name);
  int status = lua_pcall(s->L, 1, 1, 0);
  long refused = disarm();
  lua_pushboolean(L, status == LUA_OK);
  size_t len;
  const char *text = luaL_tolstring(s->L, -1, &len);
  lua_pushlstring(L, text, len);
  lua_settop(s->L, 0);
  lua_pushinteger(L, refused);
  return 3;
}

static int m_close(lua_State *L) {
  subject *s = check(L);
  arm(L, 2, "close");
  lua_close(s->L);
  s->L = NULL;
  long refused = disarm();
  lua_pushinteger(L, s->bytes);
  lua_pushinteger(L, refused);
  return 2;
}

static int m__gc(lua_State *L) {
  subject *s = luaL_checkudata(L, 1, SUBJECT);
  if (s->L) lua_close(s->L);
  s->L = NULL;
  return 0;
}

static int live(lua_State *L) {
  lua_pushinteger(L, fault_live(luaL_checkoption(L, 1, NULL, fault_names)));
  return 1;
}

static int mark(lua_State *L) {
  lua_pushinteger(L, fault_mark());
  return 1;
}

static int report(lua_State *L) {
  fault_report((long)luaL_checkinteger(L, 1));
  return 0;
}

/* False also where it has ended. */
static bool is_named(const char *task, const char *name) {
  char path[64], line[32] = "";
  snprintf(path, sizeof path, "/proc/self/task/%.16s/comm", task);
  FILE *f = fopen(path, "r");
  if (!f) return false;
  bool read = fgets(line, sizeof line, f) != NULL;
  fclose(f);
  line[strcspn(line, "\n")] = '\0';
  return read && strcmp(line, name) == 0;
}

static int runs(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  DIR *tasks = opendir("/proc/self/task");
  bool found = false;
  if (!tasks) return luaL_error(L, "cannot list the threads");
  for (struct dirent *d; !found && (d = readdir(tasks));)
    found = is_named(d->d_name, name);
  closedir(tasks);
  lua_pushboolean(L, found);
  return 1;
}

static int grpc_aborts(lua_State *L) {
  fflush(NULL);
  pid_t pid = fork();
  if (pid == 0) {
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    if (!freopen("/dev/null", "w", stderr)) _exit(2);
    /* Not a constant, about which the compiler has an opinion. */
    volatile size_t much = (size_t)-1 / 4;
    gpr_free(gpr_malloc(much));
    _exit(0);
  }
  int status = 0;
  if (pid < 0 || waitpid(pid, &status, 0) != pid)
    return luaL_error(L, "cannot fork");
  lua_pushboolean(L, status != 0);
  return 1;
}

static int open_torture(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"run", m_run}, {"close", m_close}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"open", open_subject},
                                       {"live", live},
                                       {"mark", mark},
                                       {"report", report},
                                       {"runs", runs},
                                       {"grpc_aborts", grpc_aborts},
                                       {NULL, NULL}};
  luaL_newmetatable(L, SUBJECT);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, m__gc);
  lua_setfield(L, -2, "__gc");
  luaL_newlib(L, functions);
  lua_newtable(L);
  for (int i = 0; fault_names[i]; i++) {
    lua_pushstring(L, fault_names[i]);
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "kinds");
  return 1;
}

static int run(lua_State *L, char **argv) {
  luaL_openlibs(L);
  luaL_requiref(L, "torture", open_torture, 1);
  lua_settop(L, 0);
  lua_getglobal(L, "debug");
  lua_getfield(L, -1, "traceback");
  if (luaL_loadfile(L, argv[1]) == LUA_OK) {
    int n = 0;
    for (char **arg = argv + 2; *arg; arg++, n++) lua_pushstring(L, *arg);
    if (lua_pcall(L, n, 0, 2) == LUA_OK) return EXIT_SUCCESS;
  }
  fprintf(stderr, "torture: %s\n", luaL_tolstring(L, -1, NULL));
  return EXIT_FAILURE;
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: %s script [arguments]\n", argv[0]);
    return EXIT_FAILURE;
  }
  const char *wrong = fault_install();
  if (wrong) {
    fprintf(stderr, "torture: %s\n", wrong);
    return EXIT_FAILURE;
  }
  signal(SIGALRM, on_alarm);
  signal(SIGPIPE, SIG_IGN);
  bx_grpc_init_silent(); /* kept, so that a subject opens in a millisecond */
  lua_State *L = lbx_newstate(fault_lua_alloc, NULL);
  int status = L ? run(L, argv) : EXIT_FAILURE;
  if (L) lua_close(L);
  grpc_shutdown_blocking();
  return status;
}
