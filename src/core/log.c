#include "observe.h"

#include <grpc/support/alloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "call.h"

unsigned bx_observers;

void bx_log_open(void) {
  static bool opened;
  const char *level = getenv("BOXD_LOG");
  if (opened || level == NULL || *level == '\0') return;
  opened = true;
  if (strcmp(level, "info") == 0)
    bx_observers |= BX_LOG_INFO;
  else if (strcmp(level, "debug") == 0)
    bx_observers |= BX_LOG_INFO | BX_LOG_DEBUG;
  else
    fputs("boxd: BOXD_LOG is info or debug; nothing is logged\n", stderr);
}

/* One write, so that the lines of many processes stay apart. */
static void put(const char *fmt, va_list args) {
  char line[1024];
  struct timespec now;
  struct tm tm;
  clock_gettime(CLOCK_REALTIME, &now);
  localtime_r(&now.tv_sec, &tm);
  size_t n = strftime(line, sizeof line, "boxd %H:%M:%S", &tm);
  n += (size_t)snprintf(line + n, sizeof line - n, ".%03d ",
                        (int)(now.tv_nsec / 1000000));
  int more = vsnprintf(line + n, sizeof line - n - 1, fmt, args);
  if (more > 0) n += (size_t)more;
  if (n > sizeof line - 2) n = sizeof line - 2;
  for (size_t i = 0; i < n; i++)
    if ((unsigned char)line[i] < ' ') line[i] = ' ';
  line[n] = '\n';
  fwrite(line, 1, n + 1, stderr);
}

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  put(fmt, args);
  va_end(args);
}

void bx_log_debug(const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  put(fmt, args);
  va_end(args);
}

static const char *method(const bx_call *c) {
  const char *slash = strrchr(c->method, '/');
  return slash ? slash + 1 : c->method;
}

static const char *connection(const bx_call *c) {
  static const char *const names[] = {"idle", "connecting", "ready", "failing",
                                      "closed"};
  grpc_channel *of = c->streaming ? c->channel->streams : c->channel->channel;
  if (!of) return "closed";
  int state = (int)grpc_channel_check_connectivity_state(of, 0);
  return state >= 0 && state < 5 ? names[state] : "unknown";
}

void bx_log_started(const bx_call *c) {
  if (bx_observers & BX_LOG_DEBUG)
    say("%s #%llu begins, connection %s", method(c),
        (unsigned long long)c->seen.id, connection(c));
}

void bx_log_message(const bx_call *c, bool sent, size_t bytes) {
  if (bx_observers & BX_LOG_DEBUG)
    say("%s #%llu %s %zu B", method(c), (unsigned long long)c->seen.id,
        sent ? "sends" : "receives", bytes);
}

static const char *outcome(const bx_call *c) {
  if (c->error.class_ == BX_OK) return "OK";
  if (c->error.status != BX_NO_STATUS) return bx_status_name(c->error.status);
  return bx_class_name(c->error.class_);
}

void bx_log_finished(const bx_call *c) {
  double ms = (bx_now() - c->seen.began) * 1000;
  if (!(bx_observers & BX_LOG_DEBUG)) {
    say("%s %s %.1f ms, %llu B sent, %llu B received", method(c), outcome(c),
        ms, (unsigned long long)c->seen.sent,
        (unsigned long long)c->seen.received);
    return;
  }
  char *peer = c->call ? grpc_call_get_peer(c->call) : NULL;
  say("%s #%llu %s %.1f ms, %llu B sent, %llu B received%s%s%s%s", method(c),
      (unsigned long long)c->seen.id, outcome(c), ms,
      (unsigned long long)c->seen.sent, (unsigned long long)c->seen.received,
      peer ? ", " : "", peer ? peer : "", c->error.class_ ? ": " : "",
      c->error.class_ ? c->error.message : "");
  gpr_free(peer);
}

/* ---- the hooks ---- */

static bool is_traced(const bx_call *c) {
  return (bx_observers & BX_TRACE) && !c->untraced;
}

void bx_observe_start(bx_call *c) {
  static _Atomic uint64_t last; /* leases have a thread of their own */
  if (!bx_observers) return;
  c->seen.id = ++last;
  c->seen.began = bx_now();
  if (bx_observers & BX_LOG_INFO) bx_log_started(c);
  if (is_traced(c)) bx_trace_started(c);
}

void bx_observe_message(bx_call *c, bool sent, size_t bytes) {
  if (c->seen.id == 0) return; /* it began before observation did */
  if (sent)
    c->seen.sent += bytes;
  else
    c->seen.received += bytes;
  if (bx_observers & BX_LOG_INFO) bx_log_message(c, sent, bytes);
  if (is_traced(c)) bx_trace_message(c, sent, bytes);
}

void bx_observe_finish(bx_call *c) {
  if (c->seen.id == 0) return;
  if (bx_observers & BX_LOG_INFO) bx_log_finished(c);
  if (is_traced(c)) bx_trace_finished(c);
}
