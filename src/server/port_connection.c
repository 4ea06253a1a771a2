#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../core/runtime.h"
#include "port_private.h"

#define OWNER(type, member, pointer) \
  ((type *)((char *)(pointer) - offsetof(type, member)))

/* How every HTTP/2 connection begins. No HTTP/1.1 request is shorter. */
static const char preface[] = "PRI * HTTP/2.0\r\n";
#define PREFACE_LEN (sizeof preface - 1)
#define LINGER_SECONDS 2.0
#define LINGER_BYTES_MAX (1 << 20)

static void on_socket(bx_watch *w, uint32_t events);
static void on_timeout(bx_timer *t);

static void link_last(bx_port *p, bx_port_connection *c) {
  c->prev = p->last;
  if (p->last)
    p->last->next = c;
  else
    p->first = c;
  p->last = c;
  p->count++;
}

static void unlink_connection(bx_port_connection *c) {
  bx_port *p = c->port;
  if (c->prev)
    c->prev->next = c->next;
  else
    p->first = c->next;
  if (c->next)
    c->next->prev = c->prev;
  else
    p->last = c->prev;
  p->count--;
}

static void tell_gone(bx_loop *loop, bx_request *r) {
  r->left = true;
  if (r->gone) bx_event_set(loop, r->gone);
}

/* Frees all but the socket. */
static void forget(bx_port_connection *c) {
  bx_timer_stop(c->port->loop, &c->timer);
  bx_io_forget(c->port->loop, &c->watch);
  unlink_connection(c);
  if (c->request) {
    tell_gone(c->port->loop, c->request);
    c->request->connection = NULL;
  }
  bx_buf_free(&c->buf);
  free(c);
}

void bx_port_disconnect(bx_port_connection *c) {
  int fd = c->watch.fd;
  forget(c);
  close(fd);
}

static void wait_for(bx_port_connection *c, uint32_t events) {
  bx_error e;
  if (bx_io_arm(c->port->loop, &c->watch, events, &e)) bx_port_disconnect(c);
}

static bool set_option(int fd, int level, int option, int value) {
  return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

/* Makes room by ending the oldest that is not being answered. */
static bool make_room(bx_port *p) {
  if (p->count < p->max) return true;
  for (bx_port_connection *c = p->first; c; c = c->next) {
    if (c->step == BX_PORT_HANDLE || c->step == BX_PORT_WRITE) continue;
    bx_port_disconnect(c);
    return true;
  }
  return false;
}

void bx_port_connect(bx_port *p, int fd, const char *peer) {
  bx_port_connection *c = make_room(p) ? calloc(1, sizeof *c) : NULL;
  if (!c) {
    close(fd);
    return;
  }
  c->port = p;
  c->watch.fd = fd;
  c->watch.fire = on_socket;
  c->timer.fire = on_timeout;
  c->step = BX_PORT_PEEK;
  snprintf(c->peer, sizeof c->peer, "%s", peer);
  link_last(p, c);
  /* Else a first byte that stays alone would wake us again and again. */
  if (!set_option(fd, SOL_SOCKET, SO_RCVLOWAT, (int)PREFACE_LEN) ||
      !bx_timer_start(p->loop, &c->timer, bx_now() + p->seconds))
    bx_port_disconnect(c);
  else
    wait_for(c, EPOLLIN);
}

/* A half-closed connection has sent all it will. */
static void linger(bx_port_connection *c) {
  c->step = BX_PORT_LINGER;
  c->done = 0;
  shutdown(c->watch.fd, SHUT_WR);
  if (bx_timer_start(c->port->loop, &c->timer, bx_now() + LINGER_SECONDS))
    wait_for(c, EPOLLIN);
  else
    bx_port_disconnect(c);
}

static void drain(bx_port_connection *c) {
  char scrap[16384];
  ssize_t n = recv(c->watch.fd, scrap, sizeof scrap, 0);
  if (n > 0) c->done += (size_t)n;
  if (n == 0 || (n < 0 && errno != EAGAIN) || c->done > LINGER_BYTES_MAX)
    bx_port_disconnect(c);
  else
    wait_for(c, EPOLLIN);
}

static void write_some(bx_port_connection *c) {
  while (c->done < c->buf.len) {
    ssize_t n = send(c->watch.fd, c->buf.data + c->done, c->buf.len - c->done,
                     MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN) {
      wait_for(c, EPOLLOUT);
      return;
    }
    if (n < 0) {
      bx_port_disconnect(c);
      return;
    }
    c->done += (size_t)n;
  }
  linger(c);
}

/* Without a body only its length is sent. */
static bool compose(bx_buf *b, int status, const char *type,
                    const char *const *headers, const void *body, size_t len) {
  char line[128];
  snprintf(line, sizeof line,
           "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Length: %zu\r\n",
           status, bx_http1_reason(status), len);
  bool ok = bx_buf_adds(b, line);
  if (type)
    ok = ok && bx_buf_adds(b, "Content-Type: ") && bx_buf_adds(b, type) &&
         bx_buf_adds(b, "\r\n");
  for (; headers && *headers; headers++)
    ok = ok && bx_buf_adds(b, *headers) && bx_buf_adds(b, "\r\n");
  return ok && bx_buf_adds(b, "\r\n") &&
         (!body || bx_buf_add(b, body, len));
}

static void answer(bx_port_connection *c, int status, const char *type,
                   const char *const *headers, const void *body, size_t len) {
  bx_buf_free(&c->buf);
  c->step = BX_PORT_WRITE;
  c->done = 0;
  if (compose(&c->buf, status, type, headers, body, len) &&
      bx_timer_start(c->port->loop, &c->timer, bx_now() + c->port->seconds))
    write_some(c);
  else
    bx_port_disconnect(c);
}

static void answer_error(bx_port_connection *c, int status, const char *why) {
  char body[160];
  int n = snprintf(body, sizeof body, "{\"error\":\"%s\"}\n", why);
  answer(c, status, "application/json", NULL, body, (size_t)n);
}

/* Gives the socket to gRPC as it is, the preface still unread. */
static void give_to_server(bx_port_connection *c) {
  bx_error e;
  bx_port *p = c->port;
  int fd = c->watch.fd;
  char peer[BX_PEER_MAX];
  memcpy(peer, c->peer, sizeof peer);
  forget(c);
  if (!set_option(fd, SOL_SOCKET, SO_RCVLOWAT, 1) ||
      !set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1) ||
      bx_server_adopt(p->server, fd, peer, &e))
    close(fd);
}

static void hand_out(bx_port_connection *c, const bx_http1 *found) {
  bx_request *r = calloc(1, sizeof *r);
  if (!r) {
    bx_port_disconnect(c);
    return;
  }
  bx_timer_stop(c->port->loop, &c->timer);
  r->http = *found;
  r->bytes = c->buf.data;
  c->buf = (bx_buf){0};
  memcpy(r->peer, c->peer, sizeof r->peer);
  r->connection = c;
  c->request = r;
  c->step = BX_PORT_HANDLE;
  bx_port_push(c->port, r);
  wait_for(c, EPOLLRDHUP);
}

static void read_some(bx_port_connection *c) {
  bx_http1 found;
  if (!bx_buf_reserve(&c->buf, 4096)) {
    bx_port_disconnect(c);
    return;
  }
  ssize_t n = recv(c->watch.fd, c->buf.data + c->buf.len,
                   c->buf.cap - c->buf.len, 0);
  if (n == 0 || (n < 0 && errno != EAGAIN)) {
    bx_port_disconnect(c);
    return;
  }
  if (n > 0) c->buf.len += (size_t)n;
  if (c->buf.len < c->need || n < 0) {
    wait_for(c, EPOLLIN);
    return;
  }
  bx_http1_state state = bx_http1_parse(c->buf.data, c->buf.len, &found);
  c->need = found.need;
  if (state == BX_HTTP1_MORE)
    wait_for(c, EPOLLIN);
  else if (state == BX_HTTP1_DONE)
    hand_out(c, &found);
  else
    answer_error(c, found.status, found.why);
}

static void peek(bx_port_connection *c) {
  char start[PREFACE_LEN];
  ssize_t n = recv(c->watch.fd, start, sizeof start, MSG_PEEK);
  if (n < 0 && errno == EAGAIN) {
    wait_for(c, EPOLLIN);
    return;
  }
  if (n <= 0) {
    bx_port_disconnect(c);
    return;
  }
  if ((size_t)n == PREFACE_LEN && memcmp(start, preface, PREFACE_LEN) == 0) {
    give_to_server(c);
    return;
  }
  c->step = BX_PORT_READ;
  if (set_option(c->watch.fd, SOL_SOCKET, SO_RCVLOWAT, 1))
    read_some(c);
  else
    bx_port_disconnect(c);
}

static void on_socket(bx_watch *w, uint32_t events) {
  bx_port_connection *c = OWNER(bx_port_connection, watch, w);
  (void)events;
  switch (c->step) {
    case BX_PORT_PEEK: peek(c); break;
    case BX_PORT_READ: read_some(c); break;
    case BX_PORT_WRITE: write_some(c); break;
    case BX_PORT_LINGER: drain(c); break;
    case BX_PORT_HANDLE: tell_gone(c->port->loop, c->request); break;
  }
}

static void on_timeout(bx_timer *t) {
  bx_port_connection *c = OWNER(bx_port_connection, timer, t);
  if (c->step == BX_PORT_READ)
    answer_error(c, 408, "the request took too long");
  else
    bx_port_disconnect(c);
}

static void free_request(bx_request *r) {
  if (r->connection) r->connection->request = NULL;
  free(r->bytes);
  free(r);
}

void bx_port_answer(bx_request *r, int status, const char *type,
                    const char *const *headers, const void *body, size_t len) {
  bx_port_connection *c = r->connection;
  if (r->http.method.len == 4 && memcmp(r->http.method.data, "HEAD", 4) == 0)
    body = NULL;
  free_request(r);
  if (c) answer(c, status, type, headers, body, len);
}

int bx_port_take_socket(bx_request *r) {
  bx_port_connection *c = r->connection;
  int fd = c ? c->watch.fd : -1;
  free_request(r);
  if (c) forget(c);
  return fd;
}

void bx_request_free(bx_request *r) {
  bx_error e;
  bx_port_connection *c = r->connection;
  free_request(r);
  /* A forked child shares the socket; the answer is its parent's. */
  if (c && bx_runtime_check(&e) == BX_OK)
    answer_error(c, 500, "the handler ended without an answer");
}
