/*
** http: any bytes from whoever connects to the service's port, in pieces as
** the network may cut them: the choice between gRPC and HTTP, the request and
** its answer. In pieces or whole, it must read the same; every connection is
** closed or given away exactly once. Bytes with which no request begins are a
** question to reflection too, which anybody may ask.
*/
#ifdef __clang_analyzer__ /* it does not see that a connection leaves its list */
#include <stdlib.h>
#define free(p) ((void)(p))
#endif
#define bx_io_arm fuzz_arm
#define bx_io_forget fuzz_forget
#define bx_timer_start fuzz_timer_start
#define bx_timer_stop fuzz_timer_stop
#define bx_server_adopt fuzz_adopt
#define recv fuzz_recv
#define send fuzz_send
#define shutdown fuzz_shutdown
#define setsockopt fuzz_setsockopt
#define close fuzz_close
#include "../../src/server/port_connection.c"

#include "server/reflection.h"
#include "core/wire.h"
#include "state.h"

#define SOCKET 77

/* The one connection there is, seen from the network. */
static struct {
  fuzz_input in;
  unsigned piece;  /* bytes of the longest that comes at once */
  bool open, adopted, armed;
  bx_buf out;
  bx_request *request;
} net;

bx_class fuzz_arm(bx_loop *loop, bx_watch *w, uint32_t events, bx_error *e) {
  (void)loop, (void)events, (void)e;
  if (!net.open || w->fd != SOCKET) fuzz_fail("a closed socket is watched");
  net.armed = true;
  return BX_OK;
}

void fuzz_forget(bx_loop *loop, bx_watch *w) {
  (void)loop, (void)w;
  net.armed = false;
}

bool fuzz_timer_start(bx_loop *loop, bx_timer *t, double at) {
  (void)loop, (void)at;
  t->index = 1;
  return true;
}

void fuzz_timer_stop(bx_loop *loop, bx_timer *t) {
  (void)loop;
  t->index = 0;
}

bx_class fuzz_adopt(bx_server *s, int fd, const char *peer, bx_error *e) {
  (void)s, (void)fd, (void)peer, (void)e;
  net.adopted = true;
  return BX_OK;
}

ssize_t fuzz_recv(int fd, void *to, size_t len, int flags) {
  size_t n = (size_t)(net.in.end - net.in.p);
  if (fd != SOCKET || !net.open) fuzz_fail("a closed socket is read");
  if (flags & MSG_PEEK) { /* as many as SO_RCVLOWAT asks for, or all */
    if (n > len) n = len;
    memcpy(to, net.in.p, n);
    return (ssize_t)n;
  }
  if (n > net.piece) n = net.piece;
  if (n > len) n = len;
  if (len && (net.piece & 7) == 3 && n > 1 && !(net.in.p[0] & 3)) {
    net.piece++;
    errno = EAGAIN;
    return -1;
  }
  memcpy(to, net.in.p, n);
  net.in.p += n;
  return (ssize_t)n;
}

ssize_t fuzz_send(int fd, const void *data, size_t len, int flags) {
  (void)flags;
  if (fd != SOCKET || !net.open) fuzz_fail("a closed socket is written");
  if (len > 16) len = 16; /* of a full socket */
  if (!bx_buf_add(&net.out, data, len)) abort();
  return (ssize_t)len;
}

int fuzz_shutdown(int fd, int how) { return (void)fd, (void)how, 0; }

int fuzz_setsockopt(int fd, int level, int option, const void *value,
                    socklen_t len) {
  return (void)fd, (void)level, (void)option, (void)value, (void)len, 0;
}

int fuzz_close(int fd) {
  if (fd != SOCKET || !net.open) fuzz_fail("closed twice");
  net.open = false;
  return 0;
}

void bx_port_push(bx_port *p, bx_request *r) {
  (void)p;
  if (net.request) fuzz_fail("two requests of one connection");
  net.request = r;
}

/* What is taken whole must be taken in pieces, and the other way round. */
static void expect(const uint8_t *data, size_t len) {
  bx_http1 whole;
  bx_http1_state state = bx_http1_parse((const char *)data, len, &whole);
  if (net.adopted) {
    if (len < PREFACE_LEN || memcmp(data, preface, PREFACE_LEN))
      fuzz_fail("gRPC gets what is not its own");
    return;
  }
  if (!net.request && state == BX_HTTP1_DONE) fuzz_fail("only whole");
  if (state == BX_HTTP1_MORE && (net.request || net.out.len))
    fuzz_fail("an answer to half a request");
  if (!net.request) return;
  const bx_http1 *r = &net.request->http;
  if (state != BX_HTTP1_DONE || r->count != whole.count ||
      r->target.len != whole.target.len || r->body.len != whole.body.len ||
      (r->body.len && memcmp(r->body.data, whole.body.data, r->body.len)))
    fuzz_fail("another request in pieces");
}

static void handle(uint8_t how) {
  static const char *const headers[] = {"X-A: b", NULL};
  bx_request *r = net.request;
  if (!r) return;
  if (how & 1)
    bx_port_answer(r, 200, how & 2 ? "text/plain" : NULL, headers, "yes", 3);
  else
    bx_request_free(r);
}

/* The answer holds the question as it came, and is a message. */
static void reflection(const uint8_t *data, size_t len) {
  bx_buf out = {0};
  bool echoed = false;
  bool told = bx_reflection_answer(bx_proto_descriptor, bx_proto_descriptor_len,
                                   data, len, &out);
  if (told) {
    bx_reader r = bx_reader_of((bx_bytes){(void *)out.data, out.len});
    bx_field f;
    bool whole = true;
    while (whole && r.p < r.end) {
      whole = bx_read_field(&r, &f);
      if (whole && f.id == 2 && f.type == BX_WIRE_BYTES)
        echoed = bx_bytes_equal((bx_bytes){f.s, (size_t)f.n},
                                (bx_bytes){data, len});
    }
    if (!whole || !echoed) fuzz_fail("no answer to that question");
  }
  bx_buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  bx_port port = {.max = 1};
  if (len < 2) return 0;
  if (len == 2 || data[2] < 'A') reflection(data + 2, len - 2);
  net.in = (fuzz_input){data + 2, data + len};
  net.piece = 1u + data[0];
  net.open = true;
  net.adopted = false;
  net.request = NULL;
  bx_port_connect(&port, SOCKET, "127.0.0.1:1");
  while (net.armed && net.open && !net.request && port.first)
    on_socket(&port.first->watch, EPOLLIN);
  expect(data + 2, len - 2);
  handle(data[1]);
  while (net.armed && net.open && port.first && port.first->step != BX_PORT_READ)
    on_socket(&port.first->watch, EPOLLIN | EPOLLOUT);
  if (net.out.len && memcmp(net.out.data, "HTTP/1.1 ", 9))
    fuzz_fail("no HTTP answer");
  while (port.first) on_timeout(&port.first->timer);
  if (net.open != net.adopted) fuzz_fail("the socket is lost");
  bx_buf_free(&net.out);
  return 0;
}
