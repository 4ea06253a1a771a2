/*
** seccomp: what a process gives up before it is a box's: capabilities beyond
** a container's usual ones, gaining rights by setuid programs, and system
** calls that only serve to get out. All three pass to every child.
*/
#ifndef BX_CONFINE_H
#define BX_CONFINE_H

/* Keeps only the container set, in every capability set. 0 or an errno. */
int bx_confine_capabilities(void);

/* no_new_privs and the filter. 0 or an errno. */
int bx_confine_syscalls(void);

#endif
