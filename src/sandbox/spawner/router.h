/*
** router: the network between boxes and the one process that passes their
** connections on. It is a network namespace of its own, which the machine does
** not see, with a pair of linked devices for each box. Every packet of a box,
** also a raw frame, enters the router, which forwards or drops it: boxes reach
** neither each other nor this machine's own addresses, and only answers reach
** them.
**
** The network is a /16. Its last /24 lies between the router and the process
** outside: .100 is the router's device wan0, .2 the gateway, .3 the resolver.
** The rest is given to boxes, four addresses each: the second is the router's,
** the third the box's.
*/
#ifndef BX_ROUTER_H
#define BX_ROUTER_H

#include "host.h"

#define BX_ROUTER_PLACES 16320u /* boxes at a time */
#define BX_ROUTER_MTU 65520

typedef struct bx_prefix {
  uint32_t address; /* host byte order */
  unsigned length;
} bx_prefix;

typedef struct bx_prefixes {
  bx_prefix *list;
  size_t n, max;
  int err; /* ENOMEM: it lacks some */
} bx_prefixes;

typedef struct bx_router {
  uint32_t network;    /* of all boxes, in host byte order */
  int user, net;       /* its namespaces, or -1 */
  int control;         /* a netlink socket in it, or -1 */
  int watch;           /* readable when the machine's addresses change, or -1 */
  bx_prefixes refused; /* destinations, as the router has them */
} bx_router;

#define BX_NO_ROUTER .user = -1, .net = -1, .control = -1, .watch = -1

/* The resolver's address, in host byte order, and as text in a buffer of 16. */
uint32_t bx_router_resolver(uint32_t network);
void bx_router_dotted(uint32_t address, char *text);

/* A /16 that this machine has no route to, in host byte order. */
uint32_t bx_router_network(void);

/* Makes the router, with `r->network` set and its descriptors -1. 0, or an
** errno with `e` filled; then bx_router_drop is still due. */
int bx_router_make(const bx_host *h, bx_router *r, bx_error *e);
void bx_router_drop(bx_router *r);

/* Reads what `watch` has, and refuses the addresses that the machine has now.
** */
int bx_router_refresh(bx_router *r);

/* Links the network namespace `box` to the router at `place`, below
** BX_ROUTER_PLACES, as its device eth0 with a default route. The caller is in
** that namespace afterwards, or in the router's. 0 or an errno. */
int bx_router_join(const bx_router *r, unsigned place, int box);

#endif
