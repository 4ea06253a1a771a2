#include "runtime.h"

#include <errno.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "grpc_compat.h"

/* started: gRPC, by this process; lost: it was, by the one we were forked
** from. */
static atomic_bool started, lost;

void bx_block_signals(sigset_t *old) {
  sigset_t all;
  sigfillset(&all);
  /* A fault must reach the thread that made it. */
  sigdelset(&all, SIGSEGV);
  sigdelset(&all, SIGBUS);
  sigdelset(&all, SIGFPE);
  sigdelset(&all, SIGILL);
  sigdelset(&all, SIGABRT);
  pthread_sigmask(SIG_SETMASK, &all, old);
}

void bx_restore_signals(const sigset_t *old) {
  pthread_sigmask(SIG_SETMASK, old, NULL);
}

/* Takes the signal that our write has sent to this thread. */
static void take_signal(const sigset_t *set) {
  const struct timespec now = {0};
  while (sigtimedwait(set, NULL, &now) < 0 && errno == EINTR) continue;
}

ssize_t bx_write_quietly(int fd, const void *data, size_t len) {
  sigset_t pipes, old, pending;
  sigemptyset(&pipes);
  sigaddset(&pipes, SIGPIPE);
  sigpending(&pending);
  pthread_sigmask(SIG_BLOCK, &pipes, &old);
  ssize_t n = write(fd, data, len);
  int err = errno;
  if (n < 0 && err == EPIPE && !sigismember(&pending, SIGPIPE))
    take_signal(&pipes);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  errno = err;
  return n;
}

bool bx_thread_start(pthread_t *thread, const char *name, void *(*run)(void *),
                     void *arg) {
  sigset_t old;
  bx_block_signals(&old);
  int rc = pthread_create(thread, NULL, run, arg);
  bx_restore_signals(&old);
  if (rc == 0) pthread_setname_np(*thread, name);
  errno = rc;
  return rc == 0;
}

static void on_fork(void) {
  if (atomic_load(&started)) atomic_store(&lost, true);
}

/* For every call: no system call here. */
bx_class bx_runtime_check(bx_error *e) {
  if (!atomic_load(&lost)) return BX_OK;
  return bx_error_set(e, BX_BOXD,
                      "this process was forked from one that uses boxd: "
                      "connections do not survive a fork; load boxd after "
                      "forking, or exec a new program");
}

bx_class bx_runtime_start(bx_error *e) {
  if (bx_runtime_check(e)) return e->class_;
  if (!atomic_load(&started) && pthread_atfork(NULL, NULL, on_fork) != 0)
    return bx_error_set(e, BX_BOXD, "not enough memory");
  sigset_t old;
  bx_block_signals(&old);
  /* gRPC reports on stderr what our callers get as errors, and its traces print
  ** bearers. */
  bx_grpc_init_silent();
  bx_restore_signals(&old);
  atomic_store(&started, true);
  return BX_OK;
}

void bx_runtime_stop(void) {
  if (!atomic_load(&lost)) grpc_shutdown();
}
