#include "exec_queue.h"

#include <grpc/byte_buffer.h>
#include <stdlib.h>
#include <string.h>

#include "../core/message.h"
#include "../core/wire.h"
#include "boxd.pb-c.h"

typedef Boxd__Api__V1__ExecChunk exec_chunk;

/* Fields of an ExecChunk that the server sends. */
enum { DATA = 1, EXIT_CODE = 6, IS_STDERR = 10 };

static bx_loop *loop_of(lbx_process *p) { return p->call->channel->loop; }

void lbx_queue_pop(lbx_queue *q) {
  lbx_chunk *c = q->first;
  q->first = c->next;
  if (!q->first) q->last = NULL;
  q->cost -= c->cost;
  free(c);
}

bool lbx_process_take(lbx_process *p) {
  bx_buf *b = &p->line;
  const lbx_chunk *c = p->out.first;
  if (p->line_at > 0) {
    memmove(b->data, b->data + p->line_at, b->len - p->line_at);
    b->len -= p->line_at;
    p->line_scanned -= p->line_at;
    p->line_at = 0;
  }
  if (!bx_buf_add(b, c->data, c->len)) return false;
  lbx_queue_pop(&p->out);
  return true;
}

lbx_queue *lbx_process_oldest(lbx_process *p) {
  if (!p->err.first) return &p->out;
  if (!p->out.first) return &p->err;
  return p->out.first->number < p->err.first->number ? &p->out : &p->err;
}

/* Keeps the chunk: it is the queue's from here on. */
static void append(lbx_process *p, lbx_queue *q, lbx_chunk *c) {
  c->next = NULL;
  c->number = p->chunks++;
  if (q->last)
    q->last->next = c;
  else
    q->first = c;
  q->last = c;
  q->cost += c->cost;
  while (!p->collect && q->cost > LBX_KEEP_MAX && q->first != q->last) {
    q->dropped += q->first->len;
    lbx_queue_pop(q);
  }
  bx_event_set(loop_of(p), &q->readable);
  bx_event_set(loop_of(p), &p->any);
}

static void fail(lbx_process *p, const char *why) {
  if (p->bad.class_ == BX_OK) bx_error_set(&p->bad, BX_INTERNAL, "%s", why);
  bx_call_cancel(p->call, "the server's output can't be used");
}

/* Reads the chunk's message, in place. False: not an ExecChunk. */
static bool read_chunk(lbx_chunk *c, size_t size, int32_t *exit_code,
                       bool *is_stderr) {
  bx_reader r = {c->message, c->message + size};
  bx_field f;
  while (r.p < r.end) {
    if (!bx_read_field(&r, &f)) return false;
    bool known = f.id == DATA || f.id == EXIT_CODE || f.id == IS_STDERR;
    if (known && (f.type == BX_WIRE_BYTES) != (f.id == DATA)) return false;
    if (f.id == DATA) {
      c->data = f.s;
      c->len = f.n;
    } else if (f.id == EXIT_CODE) {
      *exit_code = (int32_t)f.n;
    } else if (f.id == IS_STDERR) {
      *is_stderr = f.n != 0;
    }
  }
  return true;
}

/* The message, copied once, to where it stays; NULL: no memory. */
static lbx_chunk *copy_message(grpc_byte_buffer *message, size_t size) {
  lbx_chunk *c = malloc(sizeof *c + size);
  if (!c) return NULL;
  *c = (lbx_chunk){.cost = (sizeof *c + size) / 2};
  bx_message_copy(message, c->message);
  return c;
}

static void keep_tail(lbx_process *p, const lbx_chunk *c) {
  p->tail_len = c->len < LBX_TAIL_MAX ? c->len : LBX_TAIL_MAX;
  memcpy(p->tail, c->data + c->len - p->tail_len, p->tail_len);
}

/* Takes the call's message apart. */
static void take_message(lbx_process *p) {
  size_t size = grpc_byte_buffer_length(p->call->message);
  lbx_chunk *c = copy_message(p->call->message, size);
  grpc_byte_buffer_destroy(p->call->message);
  p->call->message = NULL;
  int32_t exit_code = 0;
  bool is_stderr = false;
  if (!c) {
    fail(p, "not enough memory for the output");
    return;
  }
  bool ok = read_chunk(c, size, &exit_code, &is_stderr);
  if (!ok) fail(p, "the server sent a message that is not an ExecChunk");
  if (exit_code != 0) p->exit_code = exit_code;
  p->spoke = true;
  p->said_end = exit_code != 0 || c->len == 0;
  p->heard = bx_now();
  if (!ok || c->len == 0) {
    free(c);
    return;
  }
  if (c->cost < c->len) c->cost = c->len;
  keep_tail(p, c);
  append(p, is_stderr ? &p->err : &p->out, c);
}

double lbx_silence = 1790; /* of 1800: what the clocks may differ by */

/* Says so where the end of the call looks like that of a silent command. */
static void explain_silence(lbx_process *p) {
  bx_error *e = &p->call->error;
  double silent = bx_now() - p->heard;
  bool ended = e->class_ == BX_OK && p->said_end;
  bool here = e->class_ == BX_TIMEOUT || e->class_ == BX_CANCELLED;
  if (p->tty || silent < lbx_silence || ended || here) return;
  bx_error told;
  bx_error_set(&told, e->class_ ? e->class_ : BX_INTERNAL,
               "%s%sthe command's stream ended without an exit code after %.0f "
               "minutes without output, at which the service drops a command: "
               "run it as a job (box:job), which needs no connection, on a "
               "terminal (pty = true), or let it print something now and then",
               e->class_ ? e->message : "", e->class_ ? ": " : "", silent / 60);
  told.status = e->class_ ? e->status : BX_NO_STATUS;
  *e = told;
}

/* A message without an exit code has 0; no message is no exit code. */
static void check_end(lbx_process *p) {
  if (p->call->error.class_ == BX_OK && !p->spoke)
    bx_error_set(&p->call->error, BX_INTERNAL,
                 "the command's stream ended without an exit code: whether the "
                 "command ran is not known");
}

/* The status is there: all is, unless a message is still on its way. */
static void settle(lbx_process *p) {
  if (p->call->receiving) return;
  if (p->bad.class_) p->call->error = p->bad;
  explain_silence(p);
  check_end(p);
  bx_loop *loop = loop_of(p);
  bx_event_set(loop, &p->done);
  bx_event_set(loop, &p->out.readable);
  bx_event_set(loop, &p->err.readable);
  bx_event_set(loop, &p->any);
}

static void on_receive(bx_call *c) {
  lbx_process *p = c->owner;
  if (c->message)
    take_message(p);
  else
    p->over = true;
  if (c->finished.set)
    settle(p);
  else
    lbx_process_receive(p, NULL);
}

static void on_finish(bx_call *c) { settle(c->owner); }

/* May another message be received, while `awaited` or nothing is awaited? */
static bool may_receive(const lbx_process *p, const bx_event *awaited) {
  if (p->collect || awaited == &p->done || bx_event_awaited(&p->done))
    return true;
  size_t ahead = p->out.cost + p->err.cost;
  if (ahead < LBX_READ_AHEAD) return true;
  const struct {
    const bx_event *event;
    bool empty;
  } readers[] = {{&p->out.readable, !p->out.first},
                 {&p->err.readable, !p->err.first},
                 {&p->any, !p->out.first && !p->err.first}};
  for (size_t i = 0; i < 3; i++)
    if (readers[i].empty && (awaited == readers[i].event ||
                             bx_event_awaited(readers[i].event)))
      return true;
  return false;
}

void lbx_process_receive(lbx_process *p, const bx_event *awaited) {
  bx_call *c = p->call;
  if (!p->done.set) {
    if (!p->out.first) bx_event_reset(&p->out.readable);
    if (!p->err.first) bx_event_reset(&p->err.readable);
    if (!p->out.first && !p->err.first) bx_event_reset(&p->any);
  }
  if (c->receiving || c->finished.set || p->over) return;
  if (may_receive(p, awaited)) bx_call_recv(c);
}

static grpc_byte_buffer *pack(exec_chunk *m) { return bx_message_pack(&m->base); }

void lbx_process_send(lbx_process *p, const char *data, size_t len) {
  exec_chunk m = BOXD__API__V1__EXEC_CHUNK__INIT;
  m.stdin = 1;
  m.data = (ProtobufCBinaryData){len, (uint8_t *)data};
  bx_call_send(p->call, pack(&m), false);
}

void lbx_process_resize(lbx_process *p, unsigned cols, unsigned rows) {
  exec_chunk m = BOXD__API__V1__EXEC_CHUNK__INIT;
  m.window_change = 1;
  m.cols = cols;
  m.rows = rows;
  bx_call_send(p->call, pack(&m), false);
}

/* Sends the next part of the stdin that was given with the command. */
static void on_send(bx_call *c) {
  lbx_process *p = c->owner;
  if (!p->feeding || c->finished.set) return;
  size_t n = p->feed_len < LBX_SEND_MAX ? p->feed_len : LBX_SEND_MAX;
  if (n == 0) {
    p->feeding = false;
    if (!p->open_after) bx_call_send(c, NULL, true);
    return;
  }
  const char *data = p->feed;
  p->feed += n;
  p->feed_len -= n;
  lbx_process_send(p, data, n);
}

void lbx_process_own(lbx_process *p, bx_call *call) {
  p->call = call;
  p->out.readable.exclusive = true;
  p->err.readable.exclusive = true;
  p->any.exclusive = true;
  call->owner = p;
  call->on_receive = on_receive;
  call->on_finish = on_finish;
  call->on_send = on_send;
}

void lbx_process_start(lbx_process *p, grpc_byte_buffer *first,
                       const char *feed, size_t len, bool half_close) {
  p->feed = feed;
  p->feed_len = len;
  p->feeding = feed != NULL;
  p->heard = bx_now();
  bx_call_start(p->call, first, half_close && !feed);
  lbx_process_receive(p, NULL);
}

static void clear(lbx_queue *q) {
  while (q->first) lbx_queue_pop(q);
}

void lbx_process_release(lbx_process *p) {
  bx_call *c = p->call;
  clear(&p->out);
  clear(&p->err);
  bx_buf_free(&p->line);
  if (!c) return;
  bx_event_end(loop_of(p), &p->out.readable);
  bx_event_end(loop_of(p), &p->err.readable);
  bx_event_end(loop_of(p), &p->any);
  bx_event_end(loop_of(p), &p->done);
  c->owner = NULL;
  c->on_receive = c->on_finish = c->on_send = NULL;
  bx_call_cancel(c, "the process is no longer referenced");
  bx_call_unref(c);
  p->call = NULL;
}
