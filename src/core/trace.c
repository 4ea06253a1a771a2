/*
** The file of --trace: Chrome's trace events in JSON, which Perfetto opens too.
** A call is an asynchronous span with its messages as instants in it, a task
** another, and a slice of the only thread wherever it runs.
*/
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "call.h"
#include "observe.h"

typedef struct span {
  const char *kind; /* "call" or "task" */
  uint64_t id;
} span;

static struct {
  FILE *file;
  char path[4096];
  double began;
  span *open; /* begun, not ended: what the end of the file must end */
  size_t count, cap;
  uint64_t *runs; /* the tasks that run now, innermost last */
  size_t depth, run_cap;
  bool lost; /* not enough memory for the above */
} trace;

static void put_text(const char *s) {
  for (; *s; s++) {
    unsigned char c = (unsigned char)*s;
    if (c == '"' || c == '\\')
      fprintf(trace.file, "\\%c", c);
    else if (c < ' ')
      fprintf(trace.file, "\\u%04x", c);
    else
      fputc(c, trace.file);
  }
}

/* The fields that every event has; the rest and "}" are the caller's. */
static void put_event(char phase, const char *kind, const char *name) {
  fprintf(trace.file, ",\n{\"ph\":\"%c\",\"pid\":1,\"tid\":1,\"ts\":%.3f,"
          "\"cat\":\"%s\",\"name\":\"", phase, (bx_now() - trace.began) * 1e6,
          kind);
  put_text(name);
  fputc('"', trace.file);
}

static void put_id(const char *kind, uint64_t id) {
  fprintf(trace.file, ",\"id\":\"%s %llu\"", kind, (unsigned long long)id);
}

static void open_span(const char *kind, uint64_t id) {
  if (trace.count == trace.cap) {
    size_t cap = trace.cap ? trace.cap * 2 : 64;
    span *list = realloc(trace.open, cap * sizeof *list);
    if (!list) {
      trace.lost = true;
      return;
    }
    trace.open = list;
    trace.cap = cap;
  }
  trace.open[trace.count++] = (span){kind, id};
}

static void close_span(const char *kind, uint64_t id) {
  for (size_t i = trace.count; i-- > 0;)
    if (trace.open[i].id == id && trace.open[i].kind == kind) {
      trace.open[i] = trace.open[--trace.count];
      return;
    }
}

static const char call_kind[] = "call", task_kind[] = "task";

static const char *method(const bx_call *c) {
  const char *slash = strrchr(c->method, '/');
  return slash ? slash + 1 : c->method;
}

static void task_name(char name[32], uint64_t id) {
  snprintf(name, 32, "task %llu", (unsigned long long)id);
}

bool bx_trace_open(const char *path, bx_error *e) {
  trace.file = fopen(path, "we");
  if (!trace.file) {
    bx_error_errno(e, BX_BOXD, errno, path);
    return false;
  }
  snprintf(trace.path, sizeof trace.path, "%s", path);
  trace.began = bx_now();
  fprintf(trace.file, "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n"
          "{\"ph\":\"M\",\"pid\":1,\"tid\":1,\"name\":\"process_name\","
          "\"args\":{\"name\":\"boxdlua (%d)\"}}", (int)getpid());
  bx_observers |= BX_TRACE;
  return true;
}

static void end_all(void) {
  while (trace.depth > 0 && !trace.lost) bx_trace_rest();
  for (size_t i = trace.count; i-- > 0;) {
    span *s = &trace.open[i];
    put_event('e', s->kind, "unfinished");
    put_id(s->kind, s->id);
    fputs(",\"args\":{\"status\":\"unfinished\"}}", trace.file);
  }
}

bool bx_trace_close(bx_error *e) {
  if (!trace.file) return true;
  bx_observers &= ~(unsigned)BX_TRACE;
  end_all();
  fputs("\n]}\n", trace.file);
  bool whole = !ferror(trace.file) && !trace.lost;
  errno = 0;
  if (fclose(trace.file) != 0) whole = false;
  trace.file = NULL;
  free(trace.open);
  free(trace.runs);
  trace.open = NULL;
  trace.runs = NULL;
  if (!whole)
    bx_error_set(e, BX_BOXD, "the trace %s could not be written whole: %s",
                 trace.path, errno ? strerror(errno) : "out of room");
  return whole;
}

/* ---- calls ---- */

void bx_trace_started(const bx_call *c) {
  open_span(call_kind, c->seen.id);
  put_event('b', call_kind, method(c));
  put_id(call_kind, c->seen.id);
  uint64_t task = trace.depth > 0 ? trace.runs[trace.depth - 1] : 0;
  fprintf(trace.file, ",\"args\":{\"task\":%llu}}", (unsigned long long)task);
}

void bx_trace_message(const bx_call *c, bool sent, size_t bytes) {
  put_event('n', call_kind, sent ? "sent" : "received");
  put_id(call_kind, c->seen.id);
  fprintf(trace.file, ",\"args\":{\"bytes\":%zu}}", bytes);
}

void bx_trace_finished(const bx_call *c) {
  close_span(call_kind, c->seen.id);
  put_event('e', call_kind, method(c));
  put_id(call_kind, c->seen.id);
  fprintf(trace.file, ",\"args\":{\"sent\":%llu,\"received\":%llu,"
          "\"status\":\"", (unsigned long long)c->seen.sent,
          (unsigned long long)c->seen.received);
  put_text(c->error.class_ == BX_OK ? "OK"
           : c->error.status != BX_NO_STATUS ? bx_status_name(c->error.status)
                                             : bx_class_name(c->error.class_));
  if (c->error.class_) {
    fputs("\",\"error\":\"", trace.file);
    put_text(c->error.message);
  }
  fputs("\"}}", trace.file);
}

/* ---- tasks ---- */

void bx_trace_task(uint64_t id, const char *where) {
  char name[32];
  task_name(name, id);
  open_span(task_kind, id);
  put_event('b', task_kind, name);
  put_id(task_kind, id);
  fputs(",\"args\":{\"at\":\"", trace.file);
  put_text(where);
  fputs("\"}}", trace.file);
}

void bx_trace_task_end(uint64_t id, const char *status) {
  char name[32];
  task_name(name, id);
  close_span(task_kind, id);
  put_event('e', task_kind, name);
  put_id(task_kind, id);
  fprintf(trace.file, ",\"args\":{\"status\":\"%s\"}}", status);
}

void bx_trace_run(uint64_t id) {
  char name[32];
  if (trace.lost) return; /* runs and rests would not be pairs any more */
  if (trace.depth == trace.run_cap) {
    size_t cap = trace.run_cap ? trace.run_cap * 2 : 16;
    uint64_t *runs = realloc(trace.runs, cap * sizeof *runs);
    if (!runs) {
      trace.lost = true;
      return;
    }
    trace.runs = runs;
    trace.run_cap = cap;
  }
  trace.runs[trace.depth++] = id;
  task_name(name, id);
  put_event('B', "run", name);
  fputc('}', trace.file);
}

void bx_trace_rest(void) {
  char name[32];
  if (trace.depth == 0 || trace.lost) return;
  task_name(name, trace.runs[--trace.depth]);
  put_event('E', "run", name);
  fputc('}', trace.file);
}
