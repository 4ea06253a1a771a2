/*
** router_filter: the filter of the router, which remembers connections: only
** what answers a box comes in. Loaded once, by nft(8).
*/
#ifndef BX_ROUTER_FILTER_H
#define BX_ROUTER_FILTER_H

#include "router.h"

/* Sets the kernel's options of the router's namespace, loads the filter there
** and opens r->control. 0, or an errno with `e` filled. */
int bx_router_filter(const bx_host *h, bx_router *r, bx_error *e);

#endif
