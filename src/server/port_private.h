/*
** port_private: what port.c (listening) and port_connection.c (one HTTP
** connection) share.
*/
#ifndef BX_PORT_PRIVATE_H
#define BX_PORT_PRIVATE_H

#include <sys/socket.h>

#include "../core/buf.h"
#include "../core/io.h"
#include "port.h"

typedef enum bx_port_step {
  BX_PORT_PEEK,   /* which protocol? */
  BX_PORT_READ,   /* a request comes in */
  BX_PORT_HANDLE, /* it is taken */
  BX_PORT_WRITE,  /* the answer goes out */
  BX_PORT_LINGER  /* so that the client reads it before the reset */
} bx_port_step;

struct bx_port_connection {
  bx_port *port;
  bx_port_connection *prev, *next; /* oldest first */
  bx_watch watch;
  bx_timer timer;
  bx_port_step step;
  bx_buf buf;          /* the bytes read, then those to write */
  size_t need, done;   /* bytes before the next parse; bytes written */
  bx_request *request; /* while it is taken */
  char peer[BX_PEER_MAX];
};

struct bx_port {
  bx_loop *loop;
  bx_server *server;
  bx_watch watch;
  bool closed;
  double seconds; /* a connection has */
  bx_timer retry; /* when accepting failed for want of descriptors */
  char address[BX_PEER_MAX];
  int number;
  bx_port_connection *first, *last;
  unsigned count, max;
  bx_request *requests, *requests_last;
  bx_event requested;
};

/* Takes the connected socket over; closes it when that fails. */
void bx_port_connect(bx_port *p, int fd, const char *peer);

/* Ends the connection now; its request, if any, goes unanswered. */
void bx_port_disconnect(bx_port_connection *c);

/* Queues a complete request. */
void bx_port_push(bx_port *p, bx_request *r);

#endif
