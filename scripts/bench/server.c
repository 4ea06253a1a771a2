/*
** The bench's server: gRPC core and as little else as can be. Plaintext on
** 127.0.0.1; prints its port and its process id, and serves until its stdin
** ends. What to do is in the request, so that it is neutral to all clients:
**
**   GetVm, Whoami       a box of that id, a user
**   ListVms             10,000 boxes
**   Exec "N SIZE"       N chunks of SIZE bytes, exit code 7
**   Exec "sink"         reads to the end, exit code 7
**   Exec "hold"         one chunk, then as "sink"
**   UploadFile(Stream)  counts the bytes
**   DownloadFileStream  path "N SIZE"
*/
#include <grpc/grpc_security.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>
#include <pthread.h>

#include "wire.h"

#define BOXES 10000
#define EXIT_CODE 7
#define MESSAGE_MAX (64 << 20)
#define FLUSH_BYTES 65536 /* of small chunks go out in one write */

typedef struct call call;
typedef void step(call *c, bool ok);

/* What a batch runs when it completes. */
typedef struct tag {
  step *fire;
  call *call;
} tag;

struct call {
  grpc_call *call;
  grpc_call_details details;
  grpc_metadata_array metadata;
  grpc_byte_buffer *in, *out;
  grpc_slice chunk;
  tag main, end;
  uint64_t left, size, unsent, total, counted;
  bool streams, uploads;
  int cancelled, batches;
};

static grpc_server *server;
static grpc_completion_queue *queue;
static grpc_slice boxes;

static void run(call *c, const grpc_op *ops, size_t n, step *next) {
  c->main = (tag){next, c};
  c->batches++;
  if (grpc_call_start_batch(c->call, ops, n, &c->main, NULL)) abort();
}

static void release(call *c) {
  if (--c->batches > 0) return;
  if (c->in) grpc_byte_buffer_destroy(c->in);
  if (c->out) grpc_byte_buffer_destroy(c->out);
  grpc_slice_unref(c->chunk);
  grpc_metadata_array_destroy(&c->metadata);
  grpc_call_details_destroy(&c->details);
  grpc_call_unref(c->call);
  free(c);
}

static void ended(call *c, bool ok) {
  (void)ok;
  release(c);
}

static grpc_op op(grpc_op_type type) { return (grpc_op){.op = type}; }

static grpc_op op_send(grpc_byte_buffer *b) {
  grpc_op o = op(GRPC_OP_SEND_MESSAGE);
  o.data.send_message.send_message = b;
  return o;
}

/* The last message and the status. Takes `last`. */
static void finish(call *c, grpc_byte_buffer *last) {
  grpc_op ops[3];
  size_t n = 0;
  if (!c->streams) ops[n++] = op(GRPC_OP_SEND_INITIAL_METADATA);
  if (last) ops[n++] = op_send(last);
  ops[n] = op(GRPC_OP_SEND_STATUS_FROM_SERVER);
  ops[n++].data.send_status_from_server.status = GRPC_STATUS_OK;
  run(c, ops, n, ended);
  if (last) grpc_byte_buffer_destroy(last);
}

/* ---- replies ---- */

static grpc_byte_buffer *box(const char *id, size_t len) {
  grpc_slice s = grpc_slice_malloc(len + 128);
  wire w = {GRPC_SLICE_START_PTR(s)};
  put_bytes(&w, 1, id, len);
  put_text(&w, 2, "bench-box");
  put_text(&w, 3, "ubuntu:24.04");
  put_text(&w, 4, "203.0.113.7");
  put_text(&w, 5, "running");
  put_text(&w, 6, "always");
  put_number(&w, 7, 20ull << 30);
  put_number(&w, 15, 2);
  put_number(&w, 16, 4ull << 30);
  put_number(&w, 17, 1750000000);
  size_t used = (size_t)(w.p - GRPC_SLICE_START_PTR(s));
  grpc_byte_buffer *b = to_buffer(grpc_slice_sub(s, 0, used));
  grpc_slice_unref(s);
  return b;
}

static grpc_slice make_boxes(void) {
  grpc_slice all = grpc_slice_malloc(BOXES * 160);
  wire w = {GRPC_SLICE_START_PTR(all)};
  for (int i = 0; i < BOXES; i++) {
    char id[32];
    int len = snprintf(id, sizeof id, "vm-%08d", i);
    grpc_byte_buffer *b = box(id, (size_t)len);
    grpc_slice s = b->data.raw.slice_buffer.slices[0];
    put_bytes(&w, 1, GRPC_SLICE_START_PTR(s), GRPC_SLICE_LENGTH(s));
    grpc_byte_buffer_destroy(b);
  }
  size_t used = (size_t)(w.p - GRPC_SLICE_START_PTR(all));
  grpc_slice s = grpc_slice_sub(all, 0, used);
  grpc_slice_unref(all);
  return s;
}

/* ---- what a request says ---- */

/* The slice of a message that is one; else the pieces joined. */
static grpc_slice whole(grpc_byte_buffer *b) {
  if (b->data.raw.slice_buffer.count == 1)
    return grpc_slice_ref(b->data.raw.slice_buffer.slices[0]);
  size_t len = grpc_byte_buffer_length(b), at = 0;
  grpc_slice s = grpc_slice_malloc(len);
  for (size_t i = 0; i < b->data.raw.slice_buffer.count; i++) {
    grpc_slice part = b->data.raw.slice_buffer.slices[i];
    memcpy(GRPC_SLICE_START_PTR(s) + at, GRPC_SLICE_START_PTR(part),
           GRPC_SLICE_LENGTH(part));
    at += GRPC_SLICE_LENGTH(part);
  }
  return s;
}

/* A text field of the request, into `out`; "" if absent. */
static void read_text(call *c, unsigned id, char *out, size_t room) {
  field f;
  out[0] = '\0';
  if (!c->in) return;
  grpc_slice s = whole(c->in);
  const uint8_t *p = GRPC_SLICE_START_PTR(s), *end = GRPC_SLICE_END_PTR(s);
  while (get_field(&p, end, &f))
    if (f.id == id && f.s)
      snprintf(out, room, "%.*s", (int)f.n, (const char *)f.s);
  grpc_slice_unref(s);
}

/* The length of a bytes field. */
static uint64_t payload(grpc_byte_buffer *b, unsigned id) {
  grpc_slice_buffer *sb = &b->data.raw.slice_buffer;
  bool split = sb->count > 1 && GRPC_SLICE_LENGTH(sb->slices[0]) < 128;
  grpc_slice s = split ? whole(b) : grpc_slice_ref(sb->slices[0]);
  const uint8_t *p = GRPC_SLICE_START_PTR(s), *end = GRPC_SLICE_END_PTR(s);
  uint64_t found = 0;
  while (p < end && found == 0) {
    uint64_t key = get_varint(&p, end), n = get_varint(&p, end);
    if (key == (id << 3 | 2)) found = n;
    if ((key & 7) == 2) p += n;
  }
  grpc_slice_unref(s);
  return found;
}

/* ---- streams out ---- */

static void sent(call *c, bool ok);

/* Sending takes what the buffer holds: it is filled with the slice again. */
static void send_next(call *c) {
  grpc_slice_buffer *sb = &c->out->data.raw.slice_buffer;
  grpc_slice_buffer_reset_and_unref(sb);
  grpc_slice_buffer_add(sb, grpc_slice_ref(c->chunk));
  grpc_op o = op_send(c->out);
  c->left--;
  c->unsent += c->size;
  if (c->left > 0 && c->unsent < FLUSH_BYTES)
    o.flags = GRPC_WRITE_BUFFER_HINT;
  else
    c->unsent = 0;
  run(c, &o, 1, sent);
}

static void finish_exec(call *c) {
  finish(c, message(0, NULL, 0, 6, EXIT_CODE));
}

static void finish_stream(call *c) {
  if (c->total)
    finish(c, NULL);
  else
    finish_exec(c);
}

static void sent(call *c, bool ok) {
  c->batches--;
  if (!ok || c->left == 0)
    finish_stream(c);
  else
    send_next(c);
}

/* total: what DownloadFileChunk has beside the data; 0: an ExecChunk. */
static void stream_out(call *c, uint64_t n, size_t size, bool download) {
  c->left = n;
  c->size = size;
  c->total = download ? n * size : 0;
  c->out = message(download ? 2 : 1, NULL, size, download, c->total);
  c->chunk = grpc_slice_ref(c->out->data.raw.slice_buffer.slices[0]);
  if (n == 0)
    finish_stream(c);
  else
    send_next(c);
}

/* ---- streams in ---- */

static void counted(call *c, bool ok);

static void receive(call *c, step *next) {
  grpc_op o = op(GRPC_OP_RECV_MESSAGE);
  c->in = NULL;
  o.data.recv_message.recv_message = &c->in;
  run(c, &o, 1, next);
}

static void counted(call *c, bool ok) {
  c->batches--;
  if (ok && c->in) {
    c->counted += payload(c->in, c->uploads ? 4 : 1);
    grpc_byte_buffer_destroy(c->in);
    receive(c, counted);
  } else if (c->uploads) {
    finish(c, message(0, NULL, 0, 1, c->counted));
  } else {
    finish_exec(c);
  }
}

static void held(call *c, bool ok) {
  (void)ok;
  c->batches--;
  receive(c, counted);
}

/* ---- dispatch ---- */

static void exec(call *c) {
  char command[64];
  unsigned long long n = 0, size = 0;
  read_text(c, 4, command, sizeof command);
  grpc_byte_buffer_destroy(c->in);
  c->in = NULL;
  if (strcmp(command, "hold") == 0) {
    c->out = message(1, "hello\n", 6, 0, 0);
    grpc_op o = op_send(c->out);
    run(c, &o, 1, held);
  } else if (sscanf(command, "%llu %llu", &n, &size) == 2) {
    stream_out(c, n, (size_t)size, false);
  } else {
    receive(c, counted);
  }
}

static void download(call *c) {
  char path[64];
  unsigned long long n = 0, size = 0;
  read_text(c, 2, path, sizeof path);
  if (sscanf(path, "%llu %llu", &n, &size) == 2)
    stream_out(c, n, (size_t)size, true);
  else
    finish(c, NULL);
}

static bool is(call *c, const char *name) {
  grpc_slice m = c->details.method;
  size_t n = strlen(name), len = GRPC_SLICE_LENGTH(m);
  const uint8_t *end = GRPC_SLICE_END_PTR(m);
  return len > n && end[-(ptrdiff_t)n - 1] == '/' &&
         memcmp(end - n, name, n) == 0;
}

static void got_first(call *c, bool ok) {
  char id[64];
  c->batches--;
  if (!ok || !c->in)
    finish(c, NULL);
  else if (is(c, "GetVm")) {
    read_text(c, 1, id, sizeof id);
    finish(c, box(id, strlen(id)));
  } else if (is(c, "Whoami"))
    finish(c, message(1, "user-1", 6, 0, 0));
  else if (is(c, "ListVms"))
    finish(c, to_buffer(grpc_slice_ref(boxes)));
  else if (is(c, "Exec"))
    exec(c);
  else if (is(c, "UploadFile"))
    finish(c, message(0, NULL, 0, 1, payload(c->in, 3)));
  else
    download(c);
}

static void accept_next(void);

static void accepted(call *c, bool ok) {
  grpc_op ops[2] = {op(GRPC_OP_RECV_CLOSE_ON_SERVER)};
  if (!ok) {
    free(c);
    return;
  }
  accept_next();
  c->uploads = is(c, "UploadFileStream");
  c->streams = c->uploads || is(c, "Exec") || is(c, "DownloadFileStream");
  ops[0].data.recv_close_on_server.cancelled = &c->cancelled;
  c->end = (tag){ended, c};
  c->batches++;
  if (grpc_call_start_batch(c->call, ops, 1, &c->end, NULL)) abort();
  ops[0] = op(GRPC_OP_RECV_MESSAGE);
  ops[0].data.recv_message.recv_message = &c->in;
  ops[1] = op(GRPC_OP_SEND_INITIAL_METADATA);
  run(c, ops, c->streams ? 2 : 1, c->uploads ? counted : got_first);
}

static void accept_next(void) {
  call *c = calloc(1, sizeof *c);
  c->chunk = grpc_empty_slice();
  grpc_call_details_init(&c->details);
  grpc_metadata_array_init(&c->metadata);
  c->main = (tag){accepted, c};
  grpc_server_request_call(server, &c->call, &c->details, &c->metadata, queue,
                           queue, &c->main);
}

static void *watch_stdin(void *arg) {
  char byte;
  (void)arg;
  while (read(STDIN_FILENO, &byte, 1) > 0) continue;
  _exit(0);
}

int main(void) {
  grpc_arg args[] = {
      {.type = GRPC_ARG_INTEGER, .key = GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
       .value.integer = MESSAGE_MAX},
      {.type = GRPC_ARG_INTEGER, .key = GRPC_ARG_ALLOW_REUSEPORT,
       .value.integer = 0}};
  grpc_channel_args all = {2, args};
  pthread_t watcher;
  grpc_init();
  server = grpc_server_create(&all, NULL);
  queue = grpc_completion_queue_create_for_next(NULL);
  grpc_server_register_completion_queue(server, queue, NULL);
  grpc_server_credentials *creds = grpc_insecure_server_credentials_create();
  int port = grpc_server_add_http2_port(server, "127.0.0.1:0", creds);
  grpc_server_credentials_release(creds);
  if (port <= 0) return 1;
  grpc_server_start(server);
  boxes = make_boxes();
  printf("%d %d\n", port, (int)getpid());
  fflush(stdout);
  pthread_create(&watcher, NULL, watch_stdin, NULL);
  accept_next();
  for (;;) {
    grpc_event ev = grpc_completion_queue_next(
        queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    tag *t = ev.tag;
    if (ev.type == GRPC_OP_COMPLETE) t->fire(t->call, ev.success != 0);
  }
}
