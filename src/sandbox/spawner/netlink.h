/*
** netlink: requests to the kernel about links, addresses, routes and rules,
** over a NETLINK_ROUTE socket, which keeps the network namespace that it was
** opened in. A request is built in place: bx_nl_begin, then attributes, then
** bx_nl_ask or bx_nl_dump. Functions return 0 or an errno.
*/
#ifndef BX_NETLINK_H
#define BX_NETLINK_H

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct bx_nl_request {
  union {
    struct nlmsghdr head;
    char data[512];
  };
  bool full; /* an attribute did not fit: EMSGSIZE when asked */
} bx_nl_request;

/* A socket that also gets messages of `groups` (RTMGRP_...), or -1 and errno.
** With groups it does not block. */
int bx_nl_open(uint32_t groups);

/* Begins a request with the body `body` of its type, like a struct rtmsg. */
void bx_nl_begin(bx_nl_request *r, int type, int flags, const void *body,
                 size_t size);
void bx_nl_put(bx_nl_request *r, int type, const void *data, size_t size);
void bx_nl_put_u32(bx_nl_request *r, int type, uint32_t value);

/* Begins an attribute that holds what follows, with a body of its own where
** `size` is not 0; bx_nl_close ends it. */
size_t bx_nl_nest(bx_nl_request *r, int type, const void *body, size_t size);
void bx_nl_close(bx_nl_request *r, size_t nest);

/* Sends the request and waits until the kernel has carried it out. */
int bx_nl_ask(int fd, bx_nl_request *r);

/* Sends a request for a list, and gives each of its messages to `take`. */
int bx_nl_dump(int fd, bx_nl_request *r,
               void (*take)(void *to, const struct nlmsghdr *m), void *to);

#endif
