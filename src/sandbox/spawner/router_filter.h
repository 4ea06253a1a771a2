/*
** router_filter: the router's filter, which tracks connections: packets enter
** only in answer to a box's. nft(8) loads it once.
*/
#ifndef BX_ROUTER_FILTER_H
#define BX_ROUTER_FILTER_H

#include "router.h"

/* Sets the kernel's options of the router's namespace, loads the filter there
** and opens r->control. 0, or an errno with `e` filled. */
int bx_router_filter(const bx_host *h, bx_router *r, bx_error *e);

#endif
