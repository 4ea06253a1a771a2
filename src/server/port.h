/*
** port: one listening port for gRPC and for HTTP/1.1. A connection that begins
** like HTTP/2 is given to the server; any other is read as exactly one HTTP
** request, answered and closed. Slow, silent or talking nonsense, it has 10 s
** and blocks no other.
**
** The port owns its connections until it gives them away. A request belongs to
** its taker, until bx_port_answer or bx_request_free; it may outlive the
** port's closing, and then goes unanswered. Closing and freeing are apart, for
** the sake of waiters for `requested`.
*/
#ifndef BX_PORT_H
#define BX_PORT_H

#include "../core/error.h"
#include "http1.h"
#include "server.h"

/* That gRPC does not have, but at most a quarter of the process's descriptors;
** for one more the oldest idle one goes. */
#define BX_PORT_CONNECTIONS_MAX 256
#define BX_PORT_SECONDS 10.0 /* to send a request, and again for an answer */

typedef struct bx_port bx_port;
typedef struct bx_port_connection bx_port_connection;

typedef struct bx_request bx_request;
struct bx_request {
  bx_request *next;
  bx_port_connection *connection; /* NULL: gone, an answer is dropped */
  bx_http1 http;                  /* points into bytes */
  char *bytes;
  bx_event *gone; /* the owner's, or NULL: set when the client has left, */
  bool left;      /* ... as it has, perhaps before there was an owner */
  char peer[BX_PEER_MAX];
};

/* Listens at "127.0.0.1:0", "[::1]:9443" or "localhost:0" and starts the
** server. NULL and e filled on failure (a bad address, one in use). */
bx_port *bx_port_open(bx_loop *loop, bx_server *server, const char *address,
                      bx_error *e);

/* Instead of BX_PORT_SECONDS, for connections from now on. */
void bx_port_set_seconds(bx_port *p, double seconds);

/* Closes the listener and every connection that gRPC does not have. Must be
** called before the server is stopped. Idempotent. */
void bx_port_close(bx_port *p);

/* Closes it first if need be; before the loop is freed. */
void bx_port_free(bx_port *p);

/* "127.0.0.1:40123": where it listens. */
const char *bx_port_address(const bx_port *p);
int bx_port_number(const bx_port *p);

/* Set while a request can be taken, and once the port is closed. */
bx_event *bx_port_requested(bx_port *p);

/* The next request, of which the caller becomes the owner, or NULL. */
bx_request *bx_port_take(bx_port *p);

/* Answers and frees the request; it goes out in the background (without the
** body to a HEAD). type: the Content-Type, or NULL. headers: "Name: value"
** texts, NULL at the end, or NULL; values must hold no line ends
** (bx_http1_is_value). */
void bx_port_answer(bx_request *r, int status, const char *type,
                    const char *const *headers, const void *body, size_t len);

/* Frees the request and returns its client's socket, which is the caller's from
** here on; -1: the client is gone. */
int bx_port_take_socket(bx_request *r);

/* The owner's goodbye to one it has not answered: 500 goes out. */
void bx_request_free(bx_request *r);

#endif
