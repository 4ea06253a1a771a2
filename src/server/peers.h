/*
** peers: by which adopted socket a call came. gRPC 1.51 names the socket,
** "fd:7", newer ones the client's address, "ipv4:127.0.0.1:4000". Newer ones also
** close a socket while calls of its connection live, so its descriptor may be
** another connection's by then: each connection has a number of its own.
*/
#ifndef BX_PEERS_H
#define BX_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BX_PEER_MAX 64 /* "127.0.0.1:40000", "[::1]:40000" */

typedef struct bx_peer bx_peer;

typedef struct bx_peers {
  bx_peer *of; /* by descriptor */
  size_t len;
  uint64_t last; /* the newest connection's number */
} bx_peers;

/* Notes a connected socket under the name text. The number of its connection,
** or 0 with errno: ENOMEM, or EADDRINUSE when there is another connection from
** the same address and port (to another address of this machine). */
uint64_t bx_peers_add(bx_peers *all, int fd, const char *text);

/* The number of the connection that gRPC calls `told`, 0 when it is none of
** ours, and the client's address for people. */
uint64_t bx_peers_find(const bx_peers *all, const char *told,
                       char text[BX_PEER_MAX]);

/* Breaks that connection. False: it has gone already. */
bool bx_peers_break(const bx_peers *all, uint64_t connection);

void bx_peers_free(bx_peers *all);

#endif
