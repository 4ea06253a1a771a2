#include "peers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define OCTETS_MAX 18 /* an IPv6 address and a port */

typedef struct {
  unsigned char octets[OCTETS_MAX]; /* all 0: none */
} address;

struct bx_peer {
  uint64_t connection; /* 0: none yet */
  address from;
  char text[BX_PEER_MAX];
};

static address join(const struct in6_addr *ip, in_port_t port) {
  address a;
  memcpy(a.octets, ip, sizeof *ip);
  memcpy(a.octets + sizeof *ip, &port, sizeof port);
  return a;
}

static bool same(const address *a, const address *b) {
  return memcmp(a->octets, b->octets, OCTETS_MAX) == 0;
}

static struct in6_addr mapped(struct in_addr ip) {
  struct in6_addr all = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
  memcpy(all.s6_addr + 12, &ip, sizeof ip);
  return all;
}

/* Where the other end of a socket is now; none if there is no other end. */
static address other_end(int fd) {
  union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
  } sa = {0};
  socklen_t len = sizeof sa;
  address none = {{0}};
  if (getpeername(fd, &sa.any, &len) != 0) return none;
  if (sa.any.sa_family == AF_INET6)
    return join(&sa.v6.sin6_addr, sa.v6.sin6_port);
  if (sa.any.sa_family != AF_INET) return none;
  struct in6_addr ip = mapped(sa.v4.sin_addr);
  return join(&ip, sa.v4.sin_port);
}

/* "ipv6:%5B::1%5D:4000", gRPC's name of a client, as people write it. */
static void spell(const char *told, char text[BX_PEER_MAX]) {
  size_t n = 0;
  if (strncmp(told, "ipv", 3) == 0 && told[3]) told += 5;
  for (; *told && n < BX_PEER_MAX - 1; told++) {
    unsigned code;
    bool escaped = sscanf(told, "%%%2x", &code) == 1;
    text[n++] = escaped ? (char)code : *told;
    if (escaped) told += 2;
  }
  text[n] = '\0';
}

/* Of "127.0.0.1:4000" or "[fe80::1%2]:4000"; none for anything else. */
static address read_address(const char *text) {
  char host[INET6_ADDRSTRLEN];
  struct in6_addr ip;
  struct in_addr v4;
  unsigned port;
  address none = {{0}};
  const char *colon = strrchr(text, ':');
  if (!colon || sscanf(colon + 1, "%5u", &port) != 1) return none;
  if (*text == '[') text++;
  snprintf(host, sizeof host, "%.*s", (int)strcspn(text, "]%"), text);
  if (colon - text < (ptrdiff_t)strlen(host)) host[colon - text] = '\0';
  if (inet_pton(AF_INET, host, &v4) == 1)
    ip = mapped(v4);
  else if (inet_pton(AF_INET6, host, &ip) != 1)
    return none;
  return join(&ip, htons((uint16_t)port));
}

static bool reserve(bx_peers *all, size_t n) {
  size_t len = all->len ? all->len : 64;
  if (n <= all->len) return true;
  while (len < n) len *= 2;
  bx_peer *of = realloc(all->of, len * sizeof *of);
  if (!of) return false;
  memset(of + all->len, 0, (len - all->len) * sizeof *of);
  all->of = of;
  all->len = len;
  return true;
}

/* The descriptor of the connection from there, or -1. */
static int from_there(const bx_peers *all, const address *from) {
  static const address none;
  for (size_t i = 0; i < all->len && !same(from, &none); i++)
    if (all->of[i].connection && same(&all->of[i].from, from)) return (int)i;
  return -1;
}

uint64_t bx_peers_add(bx_peers *all, int fd, const char *text) {
  if (!reserve(all, (size_t)fd + 1)) {
    errno = ENOMEM;
    return 0;
  }
  all->of[fd].connection = 0;
  address from = other_end(fd);
  int other = from_there(all, &from);
  if (other >= 0) {
    address now = other_end(other);
    if (same(&now, &from)) {
      errno = EADDRINUSE;
      return 0;
    }
    all->of[other].connection = 0;
  }
  bx_peer *p = &all->of[fd];
  p->connection = ++all->last;
  p->from = from;
  snprintf(p->text, sizeof p->text, "%s", text);
  return p->connection;
}

uint64_t bx_peers_find(const bx_peers *all, const char *told,
                       char text[BX_PEER_MAX]) {
  int fd;
  spell(told, text);
  if (sscanf(told, "fd:%d", &fd) != 1) {
    address from = read_address(text);
    fd = from_there(all, &from);
  }
  if (fd < 0 || (size_t)fd >= all->len || !all->of[fd].connection) return 0;
  memcpy(text, all->of[fd].text, BX_PEER_MAX);
  return all->of[fd].connection;
}

bool bx_peers_break(const bx_peers *all, uint64_t connection) {
  for (size_t i = 0; i < all->len && connection; i++) {
    if (all->of[i].connection != connection) continue;
    address now = other_end((int)i);
    return same(&now, &all->of[i].from) && shutdown((int)i, SHUT_RDWR) == 0;
  }
  return false;
}

void bx_peers_free(bx_peers *all) {
  free(all->of);
  *all = (bx_peers){0};
}
