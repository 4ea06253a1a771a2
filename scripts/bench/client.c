/*
** The limit: what the bench's work costs on gRPC core (and, for a list of
** boxes, protobuf-c, which boxd for Lua has too) alone. One completion queue on
** one thread, batches as large as they can be, nothing checked that need not
** be.
**
**   client PORT WORK [ARGS]     prints numbers, as client.lua does
*/
#include <fcntl.h>
#include <grpc/grpc_security.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "boxd.pb-c.h"
#include "wire.h"

#define MESSAGE_MAX (64 << 20)
#define CHUNK (1 << 20)
#define METHOD(name) "/boxd.api.v1.BoxdApi/" name

typedef struct call {
  grpc_call *call;
  grpc_metadata_array initial, trailing;
  grpc_status_code status;
  grpc_slice details;
  grpc_byte_buffer *in;
} call;

static grpc_channel *channel;
static grpc_completion_queue *queue;
static grpc_metadata bearer;

static double now(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static void check(bool ok, const char *what) {
  if (ok) return;
  fprintf(stderr, "client: %s\n", what);
  exit(1);
}

static void connect_to(const char *port) {
  char target[32];
  grpc_arg args[] = {
      {.type = GRPC_ARG_INTEGER, .key = GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
       .value.integer = MESSAGE_MAX},
      {.type = GRPC_ARG_INTEGER, .key = GRPC_ARG_ENABLE_HTTP_PROXY,
       .value.integer = 0}};
  grpc_channel_args all = {2, args};
  snprintf(target, sizeof target, "127.0.0.1:%s", port);
  grpc_init();
  queue = grpc_completion_queue_create_for_next(NULL);
  grpc_channel_credentials *creds = grpc_insecure_credentials_create();
  channel = grpc_channel_create(target, creds, &all);
  grpc_channel_credentials_release(creds);
  bearer.key = grpc_slice_from_static_string("authorization");
  bearer.value = grpc_slice_from_static_string("Bearer bench");
}

static grpc_op op(grpc_op_type type) { return (grpc_op){.op = type}; }

static grpc_op op_headers(void) {
  grpc_op o = op(GRPC_OP_SEND_INITIAL_METADATA);
  o.data.send_initial_metadata.count = 1;
  o.data.send_initial_metadata.metadata = &bearer;
  return o;
}

static grpc_op op_send(grpc_byte_buffer *b) {
  grpc_op o = op(GRPC_OP_SEND_MESSAGE);
  o.data.send_message.send_message = b;
  return o;
}

static grpc_op op_initial(call *c) {
  grpc_op o = op(GRPC_OP_RECV_INITIAL_METADATA);
  o.data.recv_initial_metadata.recv_initial_metadata = &c->initial;
  return o;
}

static grpc_op op_recv(call *c) {
  grpc_op o = op(GRPC_OP_RECV_MESSAGE);
  c->in = NULL;
  o.data.recv_message.recv_message = &c->in;
  return o;
}

static grpc_op op_status(call *c) {
  grpc_op o = op(GRPC_OP_RECV_STATUS_ON_CLIENT);
  o.data.recv_status_on_client.trailing_metadata = &c->trailing;
  o.data.recv_status_on_client.status = &c->status;
  o.data.recv_status_on_client.status_details = &c->details;
  return o;
}

static void batch(call *c, const grpc_op *ops, size_t n, void *tag) {
  check(grpc_call_start_batch(c->call, ops, n, tag, NULL) == GRPC_CALL_OK,
        "a batch was refused");
}

static void *next(void) {
  return grpc_completion_queue_next(queue,
                                    gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL)
      .tag;
}

static void begin(call *c, const char *method) {
  *c = (call){.details = grpc_empty_slice()};
  grpc_metadata_array_init(&c->initial);
  grpc_metadata_array_init(&c->trailing);
  c->call = grpc_channel_create_call(
      channel, NULL, GRPC_PROPAGATE_DEFAULTS, queue,
      grpc_slice_from_static_string(method), NULL,
      gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
}

static void end(call *c) {
  check(c->status == GRPC_STATUS_OK, "a call failed");
  if (c->in) grpc_byte_buffer_destroy(c->in);
  grpc_metadata_array_destroy(&c->initial);
  grpc_metadata_array_destroy(&c->trailing);
  grpc_slice_unref(c->details);
  grpc_call_unref(c->call);
}

/* ---- unary ---- */

/* Takes the request. The call is the tag. */
static void start_unary(call *c, const char *method, grpc_byte_buffer *b) {
  begin(c, method);
  grpc_op ops[] = {op_headers(),  op_send(b),
                   op(GRPC_OP_SEND_CLOSE_FROM_CLIENT),
                   op_initial(c), op_recv(c), op_status(c)};
  batch(c, ops, 6, c);
  grpc_byte_buffer_destroy(b);
}

static void unary(call *c, const char *method, grpc_byte_buffer *b) {
  start_unary(c, method, b);
  next();
}

static grpc_byte_buffer *get_vm(void) { return message(1, "vm-1", 4, 0, 0); }

/* Reads every field of a reply; its number. */
static unsigned parse(grpc_byte_buffer *b) {
  unsigned n = 0;
  field f;
  check(b != NULL, "no message");
  for (size_t i = 0; i < b->data.raw.slice_buffer.count; i++) {
    grpc_slice s = b->data.raw.slice_buffer.slices[i];
    const uint8_t *p = GRPC_SLICE_START_PTR(s), *stop = GRPC_SLICE_END_PTR(s);
    if (b->data.raw.slice_buffer.count > 1) return 1; /* only bytes are long */
    while (get_field(&p, stop, &f)) n++;
  }
  return n;
}

static void one(void) {
  call c;
  unary(&c, METHOD("GetVm"), get_vm());
  check(parse(c.in) > 0, "an empty box");
  end(&c);
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* p50 us, p99 us, calls a second */
static void work_unary(size_t n) {
  double *took = calloc(n, sizeof *took), start = now();
  for (size_t i = 0; i < n; i++) {
    double t = now();
    one();
    took[i] = now() - t;
  }
  double all = now() - start;
  qsort(took, n, sizeof *took, by_size);
  printf("%.2f %.2f %.0f\n", took[n / 2] * 1e6, took[n * 99 / 100] * 1e6,
         (double)n / all);
  free(took);
}

/* calls a second */
static void work_many(size_t n, size_t width) {
  call *calls = calloc(width, sizeof *calls);
  double start = now();
  size_t begun = 0, done = 0;
  for (; begun < width; begun++)
    start_unary(&calls[begun], METHOD("GetVm"), get_vm());
  for (; done < n; done++) {
    call *c = next();
    check(parse(c->in) > 0, "an empty box");
    end(c);
    if (begun++ < n) start_unary(c, METHOD("GetVm"), get_vm());
  }
  printf("%.0f\n", (double)n / (now() - start));
  free(calls);
}

/* ---- streams ---- */

static int receive_tag, send_tag, status_tag;

static void start_stream(call *c, const char *method, grpc_byte_buffer *first,
                         bool half_close) {
  begin(c, method);
  grpc_op status[] = {op_initial(c), op_status(c)};
  batch(c, status, 2, &status_tag);
  grpc_op ops[3] = {op_headers()};
  size_t n = 1;
  if (first) ops[n++] = op_send(first);
  if (half_close) ops[n++] = op(GRPC_OP_SEND_CLOSE_FROM_CLIENT);
  batch(c, ops, n, &send_tag);
  if (first) grpc_byte_buffer_destroy(first);
}

static void receive(call *c) {
  grpc_op o = op_recv(c);
  batch(c, &o, 1, &receive_tag);
}

/* The message in one piece, where the network had split it. */
static void join(call *c) {
  grpc_byte_buffer_reader reader;
  check(grpc_byte_buffer_reader_init(&reader, c->in), "no message");
  grpc_slice s = grpc_byte_buffer_reader_readall(&reader);
  grpc_byte_buffer_reader_destroy(&reader);
  grpc_byte_buffer_destroy(c->in);
  c->in = to_buffer(s);
}

/* Where the bytes of chunks go: a file, memory, or nowhere. */
typedef struct sink {
  int fd; /* -1: no file */
  uint8_t *to;
} sink;

static const sink nowhere = {.fd = -1};

static void put(sink *s, const uint8_t *p, size_t n) {
  if (s->fd >= 0) check(write(s->fd, p, n) == (ssize_t)n, "can't write");
  if (!s->to) return;
  memcpy(s->to, p, n);
  s->to += n;
}

/* The bytes of a chunk's data field. */
static uint64_t take_chunk(call *c, unsigned id, sink *s) {
  uint64_t len = 0;
  grpc_slice_buffer *sb = &c->in->data.raw.slice_buffer;
  if (sb->count > 1 && GRPC_SLICE_LENGTH(sb->slices[0]) < 16) {
    join(c);
    sb = &c->in->data.raw.slice_buffer;
  }
  for (size_t i = 0; i < sb->count; i++) {
    const uint8_t *p = GRPC_SLICE_START_PTR(sb->slices[i]);
    const uint8_t *stop = GRPC_SLICE_END_PTR(sb->slices[i]);
    while (i == 0 && p < stop) {
      uint64_t key = get_varint(&p, stop), n = get_varint(&p, stop);
      if (key == (id << 3 | 2)) {
        len = n;
        break;
      }
    }
    if (p < stop) put(s, p, (size_t)(stop - p));
  }
  grpc_byte_buffer_destroy(c->in);
  c->in = NULL;
  return len;
}

/* Bytes of all chunks. */
static uint64_t read_all(call *c, unsigned id, sink s) {
  uint64_t bytes = 0;
  int pending = 3; /* the status, the first send, a receive */
  receive(c);
  while (pending > 0) {
    void *tag = next();
    if (tag == &receive_tag && c->in) {
      bytes += take_chunk(c, id, &s);
      receive(c);
    } else {
      pending--;
    }
  }
  end(c);
  return bytes;
}

static grpc_byte_buffer *command(const char *line) {
  grpc_slice s = grpc_slice_malloc(strlen(line) + 16);
  wire w = {GRPC_SLICE_START_PTR(s)};
  put_text(&w, 4, line);
  put_text(&w, 5, "vm-1");
  size_t used = (size_t)(w.p - GRPC_SLICE_START_PTR(s));
  grpc_byte_buffer *b = to_buffer(grpc_slice_sub(s, 0, used));
  grpc_slice_unref(s);
  return b;
}

/* seconds */
static void work_exec(size_t n, size_t size) {
  char line[64];
  call c;
  snprintf(line, sizeof line, "%zu %zu", n, size);
  double start = now();
  start_stream(&c, METHOD("Exec"), command(line), true);
  check(read_all(&c, 1, nowhere) == (uint64_t)n * size, "bytes are missing");
  printf("%.6f\n", now() - start);
}

/* seconds; as many messages of `size` a call each */
static void work_upload(size_t n, size_t size) {
  char *data = malloc(size);
  check(data != NULL, "not enough memory");
  memset(data, 'x', size); /* unwritten, all of it is one page of zeros */
  double start = now();
  for (size_t i = 0; i < n; i++) {
    call c;
    unary(&c, METHOD("UploadFile"), message(3, data, size, 0, 0));
    check(parse(c.in) > 0, "no count");
    end(&c);
  }
  printf("%.6f\n", now() - start);
  free(data);
}

static void start_download(call *c, size_t n, size_t size) {
  char from[64];
  snprintf(from, sizeof from, "%zu %zu", n, size);
  start_stream(c, METHOD("DownloadFileStream"),
               message(2, from, strlen(from), 0, 0), true);
}

/* Files of `size` bytes in chunks of a quarter, each wanted in one piece. */
static void work_download(size_t n, size_t size) {
  double start = now();
  for (size_t i = 0; i < n; i++) {
    call c;
    uint8_t *file = malloc(size);
    check(file != NULL, "not enough memory");
    start_download(&c, 4, size / 4);
    check(read_all(&c, 2, (sink){-1, file}) == size, "bytes are missing");
    free(file);
  }
  printf("%.6f\n", now() - start);
}

/* A file, in chunks of 1 MiB, each read into the message that goes out. */
static void work_upstream(const char *path) {
  call c;
  int fd = open(path, O_RDONLY | O_CLOEXEC), pending = 3;
  double start = now();
  check(fd >= 0, "can't open the file");
  start_stream(&c, METHOD("UploadFileStream"), NULL, false);
  receive(&c);
  while (next() != &send_tag) continue;
  for (;;) {
    grpc_slice s = grpc_slice_malloc(CHUNK + 16);
    wire w = {GRPC_SLICE_START_PTR(s)};
    put_head(&w, 4, CHUNK);
    ssize_t n = read(fd, w.p, CHUNK);
    if (n <= 0) break;
    check(n == CHUNK, "the file is no multiple of 1 MiB");
    w.p += n;
    grpc_byte_buffer *b = to_buffer(grpc_slice_sub(
        s, 0, (size_t)(w.p - GRPC_SLICE_START_PTR(s))));
    grpc_slice_unref(s);
    grpc_op o = op_send(b);
    batch(&c, &o, 1, &send_tag);
    grpc_byte_buffer_destroy(b);
    check(next() == &send_tag, "the server ended the stream");
  }
  grpc_op o = op(GRPC_OP_SEND_CLOSE_FROM_CLIENT);
  batch(&c, &o, 1, &send_tag);
  while (pending-- > 0) next();
  check(parse(c.in) > 0, "no count");
  end(&c);
  close(fd);
  printf("%.6f\n", now() - start);
}

static void work_downstream(size_t n, size_t size, const char *path) {
  call c;
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  check(fd >= 0, "can't open the file");
  double start = now();
  start_download(&c, n, size);
  check(read_all(&c, 2, (sink){.fd = fd}) == (uint64_t)n * size, "bytes are missing");
  close(fd);
  printf("%.6f\n", now() - start);
}

/* ---- many streams at once ---- */

static long resident_kib(void) {
  long pages = 0;
  FILE *f = fopen("/proc/self/statm", "re");
  check(f && fscanf(f, "%*d %ld", &pages) == 1, "no /proc/self/statm");
  fclose(f);
  return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* KiB at rest (after a call), KiB more a stream, seconds */
static void work_streams(size_t n) {
  call *calls = calloc(n, sizeof *calls);
  size_t chunks = 0, ended = 0;
  one();
  long rest = resident_kib();
  double start = now();
  for (size_t i = 0; i < n; i++) {
    start_stream(&calls[i], METHOD("Exec"), command("hold"), false);
    receive(&calls[i]);
  }
  while (chunks < n) chunks += next() == &receive_tag;
  long full = resident_kib();
  for (size_t i = 0; i < n; i++) {
    sink s = nowhere;
    check(take_chunk(&calls[i], 1, &s) > 0, "an empty chunk");
    grpc_op o = op(GRPC_OP_SEND_CLOSE_FROM_CLIENT);
    batch(&calls[i], &o, 1, &send_tag);
    receive(&calls[i]);
  }
  while (ended < n) ended += next() == &status_tag;
  for (size_t i = 0; i < n; i++) end(&calls[i]);
  printf("%ld %.2f %.4f\n", rest, (double)(full - rest) / (double)n,
         now() - start);
  free(calls);
}

/* The boxes of a reply, as protobuf-c has them. */
static size_t unpack_boxes(grpc_slice s) {
  const ProtobufCMessageDescriptor *d =
      &boxd__api__v1__list_vms_response__descriptor;
  ProtobufCMessage *m = protobuf_c_message_unpack(
      d, NULL, GRPC_SLICE_LENGTH(s), GRPC_SLICE_START_PTR(s));
  check(m != NULL, "no list");
  size_t n = ((Boxd__Api__V1__ListVmsResponse *)m)->n_vms;
  protobuf_c_message_free_unpacked(m, NULL);
  return n;
}

/* seconds */
static void work_list(size_t n) {
  double start = now();
  for (size_t i = 0; i < n; i++) {
    call c;
    unary(&c, METHOD("ListVms"), to_buffer(grpc_empty_slice()));
    join(&c);
    check(unpack_boxes(c.in->data.raw.slice_buffer.slices[0]) == 10000,
          "boxes are missing");
    end(&c);
  }
  printf("%.6f\n", now() - start);
}

static void run(const char *work, char **args) {
  const char *path = args[0] ? args[0] : "1";
  size_t n = (size_t)atoll(path);
  size_t m = args[0] && args[1] ? (size_t)atoll(args[1]) : 0;
  if (strcmp(work, "streams") != 0) one();
  if (strcmp(work, "unary") == 0) work_unary(n);
  else if (strcmp(work, "many") == 0) work_many(n, m);
  else if (strcmp(work, "exec") == 0) work_exec(n, m);
  else if (strcmp(work, "upload") == 0) work_upload(n, m);
  else if (strcmp(work, "download") == 0) work_download(n, m);
  else if (strcmp(work, "upstream") == 0) work_upstream(path);
  else if (strcmp(work, "downstream") == 0) work_downstream(n, m, args[2]);
  else if (strcmp(work, "streams") == 0) work_streams(n);
  else if (strcmp(work, "list") == 0) work_list(n);
  else check(strcmp(work, "once") == 0, "unknown WORK");
}

int main(int argc, char **argv) {
  check(argc >= 3, "PORT and WORK expected");
  connect_to(argv[1]);
  run(argv[2], argv + 3);
  grpc_channel_destroy(channel);
  grpc_completion_queue_shutdown(queue);
  while (grpc_completion_queue_next(queue, gpr_inf_future(GPR_CLOCK_MONOTONIC),
                                    NULL).type != GRPC_QUEUE_SHUTDOWN) continue;
  grpc_completion_queue_destroy(queue);
  grpc_shutdown();
  return 0;
}
