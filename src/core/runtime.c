#include "runtime.h"

#include <grpc/grpc.h>
#include <grpc/support/log.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

static atomic_int owner; /* the process that started gRPC; 0: none has */

/* gRPC reports on stderr what our callers get as errors, and its traces print
** bearers: silence, whatever GRPC_VERBOSITY says. */
static void drop_log(gpr_log_func_args *args) { (void)args; }

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

bx_class bx_runtime_check(bx_error *e) {
  int pid = atomic_load(&owner);
  if (pid == 0 || pid == (int)getpid()) return BX_OK;
  return bx_error_set(e, BX_BOXD,
                      "this process was forked from one that uses boxd: "
                      "connections do not survive a fork; load boxd after "
                      "forking, or exec a new program");
}

bx_class bx_runtime_start(bx_error *e) {
  if (bx_runtime_check(e)) return e->class_;
  sigset_t old;
  bx_block_signals(&old);
  gpr_set_log_function(drop_log);
  grpc_init();
  bx_restore_signals(&old);
  atomic_store(&owner, (int)getpid());
  return BX_OK;
}

void bx_runtime_stop(void) {
  if (atomic_load(&owner) == (int)getpid()) grpc_shutdown();
}
