/*
** host: what specs of boxd.so need of a host program that Lua alone can't do;
** built by them.
**
**   fork(fn) -> status   runs fn in a forked process; 128 + n for a signal
**   run(code) -> result  runs code in a Lua state of its own, then closes that;
**                        the text it returns, or "failed: " and why
**   threads(code, code)  the same in two threads at once; both texts
**   tick(seconds)        has SIGALRM handled that often; 0: no more
*/
#include <lauxlib.h>
#include <lualib.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static int fork_(lua_State *L) {
  int status;
  pid_t pid = fork();
  if (pid < 0) return luaL_error(L, "no process");
  if (pid == 0) {
    alarm(20); /* one that hangs ends as a failure */
    if (lua_pcall(L, 0, 0, 0) == LUA_OK) _exit(0);
    fprintf(stderr, "%s\n", luaL_tolstring(L, -1, NULL));
    _exit(1);
  }
  if (waitpid(pid, &status, 0) < 0) return luaL_error(L, "no status");
  lua_pushinteger(L, WIFEXITED(status) ? WEXITSTATUS(status)
                                       : 128 + WTERMSIG(status));
  return 1;
}

typedef struct job {
  const char *code;
  char result[512];
} job;

static void *run_job(void *arg) {
  job *j = arg;
  lua_State *L = luaL_newstate();
  if (!L) return NULL;
  luaL_openlibs(L);
  int failed = luaL_loadstring(L, j->code) || lua_pcall(L, 0, 1, 0);
  snprintf(j->result, sizeof j->result, "%s%s", failed ? "failed: " : "",
           luaL_tolstring(L, -1, NULL));
  lua_close(L);
  return NULL;
}

static int run(lua_State *L) {
  job j = {luaL_checkstring(L, 1), "no memory"};
  run_job(&j);
  lua_pushstring(L, j.result);
  return 1;
}

static int threads(lua_State *L) {
  job jobs[2] = {{luaL_checkstring(L, 1), "no memory"},
                 {luaL_checkstring(L, 2), "no memory"}};
  pthread_t thread;
  if (pthread_create(&thread, NULL, run_job, &jobs[1]) != 0)
    return luaL_error(L, "no thread");
  run_job(&jobs[0]);
  pthread_join(thread, NULL);
  lua_pushstring(L, jobs[0].result);
  lua_pushstring(L, jobs[1].result);
  return 2;
}

static void on_tick(int signo) { (void)signo; }

static int tick(lua_State *L) {
  long us = (long)(luaL_checknumber(L, 1) * 1e6);
  struct itimerval often = {{0, us}, {0, us}};
  struct sigaction action = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &action, NULL);
  setitimer(ITIMER_REAL, &often, NULL);
  return 0;
}

int luaopen_host(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"fork", fork_}, {"run", run}, {"threads", threads}, {"tick", tick},
      {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
