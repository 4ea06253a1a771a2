/*
** observe: events, reported as they happen: the lines of BOXD_LOG on stderr
** (log.c) and the file of boxdlua --trace (trace.c). Off unless asked for; each
** hook then costs one test. No report holds a request, a reply, output of a
** command, a key or a token: methods, times, sizes, statuses and messages of
** errors only. All of it belongs to the process; hooks are called on the thread
** of the loop they report on.
*/
#ifndef BX_OBSERVE_H
#define BX_OBSERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

typedef struct bx_call bx_call;

enum { BX_LOG_INFO = 1, BX_LOG_DEBUG = 2, BX_TRACE = 4 };

/* The active observers: a set of the above. Read it; log.c and trace.c write
** it. */
extern unsigned bx_observers;

/* Reads BOXD_LOG (info, debug; empty or absent: nothing), once a process. */
void bx_log_open(void);

/* Writes a line of BOXD_LOG=debug. Test bx_observers before. */
void bx_log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Starts the trace; false and e filled when the file can't be made. */
bool bx_trace_open(const char *path, bx_error *e);

/* Ends open spans and the file. False: it is not whole. Idempotent. */
bool bx_trace_close(bx_error *e);

/* What the hooks below call. */
void bx_log_started(const bx_call *c);
void bx_log_message(const bx_call *c, bool sent, size_t bytes);
void bx_log_finished(const bx_call *c);
void bx_trace_started(const bx_call *c);
void bx_trace_message(const bx_call *c, bool sent, size_t bytes);
void bx_trace_finished(const bx_call *c);

/* A task: its number and where its function begins ("script.lua:12"). */
void bx_trace_task(uint64_t id, const char *where);
void bx_trace_task_end(uint64_t id, const char *status);
/* It runs from here to bx_trace_rest; runs nest. */
void bx_trace_run(uint64_t id);
void bx_trace_rest(void);

/* ---- the hooks of a call ---- */

void bx_observe_start(bx_call *c);
void bx_observe_message(bx_call *c, bool sent, size_t bytes);
void bx_observe_finish(bx_call *c);

#endif
