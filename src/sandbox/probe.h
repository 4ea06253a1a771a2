/*
** probe: what a box is made of, and whether this machine can make one. A box
** is a set of namespaces over a copy-on-write view of this machine; spawn.h
** is how the service asks for one. Everything here but bx_sandbox_probe runs
** in the spawner or in children of it.
*/
#ifndef BX_SANDBOX_H
#define BX_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

#define BX_PROBE_MAX 12

typedef struct bx_probe_line {
  const char *name; /* "user namespaces", "overlay", "idmapped mounts",
                       "proc", "user ids", "processes limit", "memory limit",
                       "disk limit", "network", "systemd" */
  bool ok;
  bool needed;    /* without it no box can be made */
  char text[200]; /* the finding, or what to do about it */
} bx_probe_line;

/* Tries, in children that end with it, what local boxes need; fills up to
** BX_PROBE_MAX lines, returns how many. Takes milliseconds. Changes nothing;
** may be called with threads about. */
size_t bx_sandbox_probe(bx_probe_line *lines);

#endif
