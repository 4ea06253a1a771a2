#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "port_private.h"

#define OWNER(type, member, pointer) \
  ((type *)((char *)(pointer) - offsetof(type, member)))
#define ACCEPT_BURST 64     /* connections before others get a turn */
#define RETRY_SECONDS 0.1   /* when descriptors or memory have run out */

static void on_connection(bx_watch *w, uint32_t events);
static void on_retry(bx_timer *t);

/* "127.0.0.1:80" or "[::1]:80". */
static int name_address(const struct sockaddr *sa, socklen_t len, char *out,
                        size_t size) {
  char host[NI_MAXHOST], port[NI_MAXSERV];
  if (getnameinfo(sa, len, host, sizeof host, port, sizeof port,
                  NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return -1;
  snprintf(out, size, sa->sa_family == AF_INET6 ? "[%.45s]:%.5s" : "%.45s:%.5s",
           host, port);
  return atoi(port);
}

/* Splits "host:port" or "[host]:port" in place. */
static bool split(char *address, char **host, char **port) {
  char *colon = strrchr(address, ':');
  if (!colon || colon[1] == '\0') return false;
  *colon = '\0';
  *port = colon + 1;
  *host = address;
  size_t n = strlen(address);
  if (address[0] != '[') return n > 0 && !strchr(address, ':');
  if (n < 3 || address[n - 1] != ']') return false;
  address[n - 1] = '\0';
  *host = address + 1;
  return true;
}

static struct addrinfo *resolve(const char *address, bx_error *e) {
  char copy[300], *host, *port;
  struct addrinfo *found = NULL;
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                           .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
  if (strlen(address) >= sizeof copy ||
      !split(strcpy(copy, address), &host, &port)) {
    bx_error_set(e, BX_INVALID_ARGUMENT,
                 "can't listen on '%.100s': give HOST:PORT, such as "
                 "127.0.0.1:9443 or [::1]:0", address);
    return NULL;
  }
  int rc = getaddrinfo(host, port, &hints, &found);
  if (rc == 0) return found;
  bx_error_set(e, BX_INVALID_ARGUMENT, "can't listen on '%.100s': %s", address,
               gai_strerror(rc));
  return NULL;
}

static int open_listener(const char *address, bx_error *e) {
  struct addrinfo *a = resolve(address, e);
  if (!a) return -1;
  int one = 1;
  int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  bool ok = fd >= 0 &&
            setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
            bind(fd, a->ai_addr, a->ai_addrlen) == 0 &&
            listen(fd, SOMAXCONN) == 0;
  int err = errno;
  freeaddrinfo(a);
  if (ok) return fd;
  bx_error_set(e, BX_CONNECTION, "can't listen on %s: %s", address,
               strerror(err));
  if (fd >= 0) close(fd);
  return -1;
}

static bool find_address(bx_port *p) {
  struct sockaddr_storage sa = {0};
  socklen_t len = sizeof sa;
  if (getsockname(p->watch.fd, (struct sockaddr *)&sa, &len) != 0) return false;
  p->number = name_address((struct sockaddr *)&sa, len, p->address,
                           sizeof p->address);
  return p->number > 0;
}

bx_port *bx_port_open(bx_loop *loop, bx_server *server, const char *address,
                      bx_error *e) {
  bx_port *p = calloc(1, sizeof *p);
  if (!p) {
    bx_error_set(e, BX_BOXD, "not enough memory");
    return NULL;
  }
  p->loop = loop;
  p->server = server;
  p->seconds = BX_PORT_SECONDS;
  p->max = bx_io_share(BX_PORT_CONNECTIONS_MAX, 4);
  p->watch.fire = on_connection;
  p->retry.fire = on_retry;
  p->watch.fd = open_listener(address, e);
  if (p->watch.fd < 0) {
    free(p);
    return NULL;
  }
  if (!find_address(p))
    bx_error_errno(e, BX_CONNECTION, errno, "cannot read the socket's address");
  else if (bx_io_arm(loop, &p->watch, EPOLLIN, e) == BX_OK) {
    bx_server_start(server);
    return p;
  }
  bx_port_free(p);
  return NULL;
}

void bx_port_close(bx_port *p) {
  if (p->closed) return;
  p->closed = true;
  bx_timer_stop(p->loop, &p->retry);
  bx_io_forget(p->loop, &p->watch);
  close(p->watch.fd);
  while (p->first) bx_port_disconnect(p->first);
  for (bx_request *r; (r = bx_port_take(p));) bx_request_free(r);
  bx_event_set(p->loop, &p->requested);
}

void bx_port_free(bx_port *p) {
  if (!p) return;
  bx_port_close(p);
  free(p);
}

void bx_port_set_seconds(bx_port *p, double seconds) { p->seconds = seconds; }

const char *bx_port_address(const bx_port *p) { return p->address; }

int bx_port_number(const bx_port *p) { return p->number; }

bx_event *bx_port_requested(bx_port *p) { return &p->requested; }

/* Later, not at once: the connection that can't be had stays readable. */
static void pause_accepting(bx_port *p) {
  if (!bx_timer_start(p->loop, &p->retry, bx_now() + RETRY_SECONDS))
    on_retry(&p->retry);
}

static void listen_on(bx_port *p) {
  bx_error e;
  if (bx_io_arm(p->loop, &p->watch, EPOLLIN, &e)) pause_accepting(p);
}

static void on_retry(bx_timer *t) { listen_on(OWNER(bx_port, retry, t)); }

/* False: nothing can be accepted now, for the reason in errno. */
static bool accept_one(bx_port *p) {
  struct sockaddr_storage sa = {0};
  socklen_t len = sizeof sa;
  char peer[BX_PEER_MAX] = "";
  int fd = accept4(p->watch.fd, (struct sockaddr *)&sa, &len,
                   SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) return false;
  name_address((struct sockaddr *)&sa, len, peer, sizeof peer);
  bx_port_connect(p, fd, peer);
  return true;
}

static void on_connection(bx_watch *w, uint32_t events) {
  bx_port *p = OWNER(bx_port, watch, w);
  (void)events;
  for (int i = 0; i < ACCEPT_BURST; i++) {
    if (accept_one(p)) continue;
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
        errno == ENOMEM) {
      pause_accepting(p);
      return;
    }
    /* Others are of one connection that has failed already. */
    if (errno == EAGAIN) break;
  }
  listen_on(p);
}

void bx_port_push(bx_port *p, bx_request *r) {
  if (p->requests_last)
    p->requests_last->next = r;
  else
    p->requests = r;
  p->requests_last = r;
  bx_event_set(p->loop, &p->requested);
}

bx_request *bx_port_take(bx_port *p) {
  bx_request *r = p->requests;
  if (r) {
    p->requests = r->next;
    r->next = NULL;
  }
  if (!p->requests) {
    p->requests_last = NULL;
    if (!p->closed) bx_event_reset(&p->requested);
  }
  return r;
}
