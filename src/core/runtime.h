/*
** runtime: what a process sets up once for gRPC: quiet logging, signals kept
** away from gRPC's threads, and word of a fork, so that a child gets a clear
** error instead of a hang.
*/
#ifndef BX_RUNTIME_H
#define BX_RUNTIME_H

#include <pthread.h>
#include <signal.h>

#include <sys/types.h>

#include "error.h"

/* Starts gRPC, or counts one more user of it. Balanced by bx_runtime_stop. */
bx_class bx_runtime_start(bx_error *e);
void bx_runtime_stop(void);

/* BX_BOXD in a child that was forked after gRPC started. */
bx_class bx_runtime_check(bx_error *e);

/* Around anything that may start a thread: threads that are not ours to signal
** must not take the host's signals. */
void bx_block_signals(sigset_t *old);
void bx_restore_signals(const sigset_t *old);

/* write(2) without a SIGPIPE, which would end a host: EPIPE alone says it. */
ssize_t bx_write_quietly(int fd, const void *data, size_t len);

/* Starts a thread that takes no signals; its name, 15 bytes at most, is what ps
** shows. False: errno says why. */
bool bx_thread_start(pthread_t *thread, const char *name, void *(*run)(void *),
                     void *arg);

#endif
