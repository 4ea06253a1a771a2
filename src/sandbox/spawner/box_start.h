/*
** box_start: makes the namespaces of one box and its first process, in a child
** of the spawner. The mounts are made with the spawner's rights and belong to
** its user namespace; the box's processes live in a user namespace below, and
** so have no rights over their own mounts.
*/
#ifndef BX_BOX_START_H
#define BX_BOX_START_H

#include "host.h"
#include "router.h"
#include "../link.h"

/* Carries out the START request `m` and fills the reply: pid, and as
   descriptors the box's mount and uts namespace; and as text why it has no
   network, where m's n3 gives it a place at the router, counted from 1. The
   first process, a child of the caller's parent, waits at *go for a byte; agent
   is its link to the spawner. */
void bx_box_make(const bx_host *h, const bx_router *r, const bx_msg *m,
                 int agent, bx_msg *reply, int *go);

/* With the reply sent, lets the first process run. */
void bx_box_go(int go);

#endif
