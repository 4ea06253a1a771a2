/*
** grpc_compat: all that differs, of what we use, between gRPC 1.51 (Debian 12
** and 13, Ubuntu 24.04) and today's (1.85). It tests for what is there, not
** for a version.
*/
#ifndef BX_GRPC_COMPAT_H
#define BX_GRPC_COMPAT_H

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/log.h>
#include <grpc/support/time.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Credentials, which have a header of their own by now, in which our warnings
** find something. */
#if __has_include(<grpc/credentials.h>)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#include <grpc/credentials.h>
#pragma GCC diagnostic pop
#endif

/* How long an answer to a ping may take: not in the public headers. Newer gRPC
** (1.66, 1.83) never starts the timer of GRPC_ARG_KEEPALIVE_TIMEOUT_MS, so that a
** dead peer is found by this one alone, after a minute by default. 1.51 does not
** know it. */
#define BX_GRPC_ARG_PING_TIMEOUT_MS "grpc.http2.ping_timeout_ms"

/* How many calls may wait for grpc_server_request_call: 1.51 has no bound. Newer
** gRPC (1.83) cancels some beyond 1000, and all beyond 3000, which to their clients
** is no overload but CANCELLED. */
#define BX_GRPC_ARG_SERVER_PENDING "grpc.server.max_pending_requests"
#define BX_GRPC_ARG_SERVER_PENDING_HARD "grpc.server.max_pending_requests_hard_limit"

/* The bytes that may come ahead of a slow reader; 0: as many as gRPC measures.
** Today's measures far more than a local connection needs, and keeps what
** nobody reads. Before 1.74, where this header came, a fixed one leaves 64 KiB a
** round trip: it is never the connection's, and the stream's only until the
** settings are acknowledged. Nothing else bounds it from 1.54 to 1.73: it is 4 MiB or
** twice what was measured, and a resource quota that is full cancels streams. */
#if __has_include(<grpc/create_channel_from_endpoint.h>)
#define BX_GRPC_WINDOW (4 << 20)
#else
#define BX_GRPC_WINDOW 0
#endif

/* By how many seconds gRPC's monotonic clock is ahead of the system's: by now it
** is, by 5. Asked again where something came between the two. */
static inline int bx_grpc_clock_ahead(void) {
  static atomic_int known = -1;
  int ahead = atomic_load_explicit(&known, memory_order_relaxed);
  while (ahead < 0) {
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    gpr_timespec now = gpr_now(GPR_CLOCK_MONOTONIC);
    clock_gettime(CLOCK_MONOTONIC, &after);
    if (after.tv_sec != before.tv_sec) continue;
    ahead = (int)(now.tv_sec - before.tv_sec);
    atomic_store_explicit(&known, ahead, memory_order_relaxed);
  }
  return ahead;
}

/* grpc_init, such that gRPC logs nothing, whatever GRPC_VERBOSITY says. */
#ifdef GPR_LOG_VERBOSITY_UNSET
static inline void bx_grpc_drop_log(gpr_log_func_args *args) { (void)args; }

static inline void bx_grpc_init_silent(void) {
  gpr_set_log_function(bx_grpc_drop_log);
  grpc_init();
}
#else
/* It logs through abseil, and the only way from C to its level is the variable,
** read once, as gRPC starts. Other users of the same abseil are silent, too.
** Without memory for the old value nothing is changed. */
static inline void bx_grpc_init_silent(void) {
  static const char name[] = "GRPC_VERBOSITY";
  const char *was = getenv(name);
  char *old = was ? strdup(was) : NULL;
  if (!was || old) setenv(name, "NONE", 1);
  grpc_init();
  if (old)
    setenv(name, old, 1);
  else if (!was)
    unsetenv(name);
  free(old);
}
#endif

#endif
