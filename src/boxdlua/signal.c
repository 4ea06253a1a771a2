/*
** Signals of boxdlua: SIGINT, SIGTERM and SIGHUP raise in the script, whether
** it waits (an eventfd wakes the loop) or computes (a debug hook, as in
** lua(1)). A second one ends the process. SIGPIPE does the same where lua(1)
** would die of it: when nothing reads what we print any more. Handlers, not a
** mask or SIG_IGN: children that exec get the defaults back.
*/
#include "boxdlua.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <lauxlib.h>

#include "../bind/await.h"
#include "../bind/error.h"
#include "../bind/terminal.h"
#include "../core/io.h"

/* Some senders, timeout(1) for one, signal a process and then its group. */
#define SAME_SIGNAL_NS 20000000

static struct {
  lbx_state *S; /* NULL: there is none to raise in (any more) */
  pid_t owner;  /* a forked copy of us has the handlers, until it execs */
  bx_watch watch;
  volatile sig_atomic_t signo; /* the first one caught, or 0 */
  struct timespec at;
  bool ends_with_output;
} signals = {.watch.fd = -1};

static const char *name_of(int signo) {
  static const struct {
    int signo;
    const char *name;
  } names[] = {{SIGINT, "SIGINT"}, {SIGTERM, "SIGTERM"}, {SIGPIPE, "SIGPIPE"}};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (names[i].signo == signo) return names[i].name;
  return "SIGHUP";
}

/* What a coroutine that computes runs before its next instruction. */
static void on_instruction(lua_State *L, lua_Debug *ar) {
  (void)ar;
  lua_sethook(L, NULL, 0, 0);
  lbx_stop(L);
}

/* ---- in the handler ---- */

static bool is_second(int signo) {
  struct timespec now, at = signals.at;
  clock_gettime(CLOCK_MONOTONIC, &now);
  signals.at = now;
  if (signals.signo == 0 || signals.signo == SIGPIPE) return false;
  int64_t ns = (now.tv_sec - at.tv_sec) * INT64_C(1000000000) +
               now.tv_nsec - at.tv_nsec;
  return signals.signo != signo || ns > SAME_SIGNAL_NS;
}

static void raise_in(lbx_state *S, int signo) {
  uint64_t one = 1;
  S->signal_name = name_of(signo);
  S->signal = LBX_ASKED;
  ssize_t n = write(signals.watch.fd, &one, sizeof one);
  (void)n; /* it is full: then it is readable, too */
  lua_sethook(S->running, on_instruction, LUA_MASKCOUNT, 1);
}

static void on_signal(int signo) {
  int err = errno;
  if (getpid() != signals.owner) {
    signal(signo, SIG_DFL);
    raise(signo);
  } else if (is_second(signo)) {
    lbx_terminal_restore();
    _exit(128 + signo);
  } else if (signals.signo == 0) {
    signals.signo = signo;
    if (signals.S) raise_in(signals.S, signo);
  } else if (signals.signo == SIGPIPE) {
    signals.signo = signo; /* its error is on its way already */
  }
  errno = err;
}

static bool is_output_broken(void) {
  struct pollfd p[] = {{.fd = STDOUT_FILENO}, {.fd = STDERR_FILENO}};
  return poll(p, 2, 0) > 0 && ((p[0].revents | p[1].revents) & POLLERR);
}

/* Writing to any other pipe that nothing reads fails, and does no more. */
static void on_pipe(int signo) {
  int err = errno;
  bool own = getpid() == signals.owner && gettid() == signals.owner;
  if (own && signals.signo == 0 && signals.ends_with_output &&
      is_output_broken()) {
    signals.signo = signo;
    if (signals.S) raise_in(signals.S, signo);
  }
  errno = err;
}

/* ---- on the loop ---- */

static void watch(lua_State *L) {
  bx_error e;
  signals.S->watch = NULL;
  if (bx_io_arm(signals.S->loop, &signals.watch, EPOLLIN, &e))
    lbx_throw(L, &e, NULL);
}

/* The wait looks at the state itself; only the watch has to go on. */
static void on_readable(bx_watch *w, uint32_t events) {
  uint64_t count;
  bx_error e;
  (void)events;
  ssize_t n = read(w->fd, &count, sizeof count);
  (void)n; /* nothing: read already */
  if (signals.S && bx_io_arm(signals.S->loop, w, EPOLLIN, &e))
    signals.S->watch = watch; /* raises at the next wait */
}

/* ---- for the others ---- */

void host_signal_install(lua_State *L, bool ends_with_output) {
  static const int ending[] = {SIGINT, SIGTERM, SIGHUP};
  struct sigaction old, action = {.sa_handler = on_signal};
  lbx_state *S = lbx_state_get(L);
  signals.owner = getpid();
  signals.ends_with_output = ends_with_output;
  signals.watch.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (signals.watch.fd < 0)
    luaL_error(L, "cannot watch for signals: %s", strerror(errno));
  signals.watch.fire = on_readable;
  S->stop = on_instruction;
  S->watch = watch;
  signals.S = S;
  for (size_t i = 0; i < sizeof ending / sizeof *ending; i++) {
    sigaction(ending[i], NULL, &old);
    if (ending[i] != SIGHUP || old.sa_handler != SIG_IGN) /* nohup(1) */
      sigaction(ending[i], &action, NULL);
  }
  action.sa_handler = on_pipe;
  action.sa_flags = SA_RESTART;
  sigaction(SIGPIPE, &action, &old);
  if (old.sa_handler == SIG_IGN) signals.ends_with_output = false;
}

static void forget(lbx_state *S) {
  if (!S) return;
  S->signal = LBX_UNASKED;
  bx_timer_stop(S->loop, &S->signal_again);
  lua_sethook(S->main, NULL, 0, 0);
}

void host_signal_closing(void) {
  lbx_state *S = signals.S;
  signals.S = NULL;
  if (S) S->watch = NULL;
  forget(S);
}

bool host_signal_take(void) {
  if (signals.signo != SIGINT) return false;
  forget(signals.S);
  signals.signo = 0;
  return true;
}

int host_signal_status(void) { return signals.signo ? 128 + signals.signo : 0; }
