/*
** seccomp: what a process gives up before it is a box's: capabilities beyond
** a container's usual ones, and system calls that only serve to get out. Both
** pass to every child, and to root by sudo: it gains no more than these.
*/
#ifndef BX_CONFINE_H
#define BX_CONFINE_H

/* Keeps only the container set, in every capability set. 0 or an errno. */
int bx_confine_capabilities(void);

/* The filter. Without no_new_privs, which would be the end of sudo, so the
** caller still needs CAP_SYS_ADMIN. 0 or an errno. */
int bx_confine_syscalls(void);

#endif
