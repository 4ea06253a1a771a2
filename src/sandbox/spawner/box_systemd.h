/*
** box_systemd: systemd in a box. It must be the first process of its pid
** namespace, and the agent must answer at once and outlive whatever the box
** does. So the agent is the first process of an outer namespace, which nothing
** in the box sees, and makes an inner one for systemd and all else: commands
** too are born there, as children of the agent.
**
** systemd gets no rights that commands as root of the box do not have: all it
** would mount is there before it starts, and it divides a control group of its
** own (cgroup_tree.h). Its process starts with the spawner's rights, since
** these are needed to mount the inner namespace's /proc.
*/
#ifndef BX_BOX_SYSTEMD_H
#define BX_BOX_SYSTEMD_H

#include "host.h"
#include "../../core/error.h"

typedef struct bx_systemd {
  pid_t pid; /* a child of the agent's process, by its numbers */
  int link;  /* to it */
} bx_systemd;

/* What this machine lacks for it: 0, or an errno and `e` says what. */
int bx_systemd_check(const bx_host *h, bx_error *e);

/* In the agent's process, before its user namespace: makes the inner pid
** namespace, in which all later children are born, with its /proc in the box at
** `dir`. *proc: a /proc of the caller's own namespace, at no path. */
int bx_systemd_prepare(const bx_host *h, const char *dir, bx_systemd *s,
                       int *proc, bx_error *e);

/* After it has made the namespaces of `flags`: moves the child into them. 0 or
** an errno. */
int bx_systemd_move(const bx_systemd *s, int flags);

/* Once all is in place: lets it become systemd, with at most so many processes
** a user. Closes the link. */
void bx_systemd_go(bx_systemd *s, uint32_t processes);

#endif
