/*
** clean: removes what boxes have in the user's cache, most of which has other
** owners than the user, so that rm(1) cannot.
*/
#ifndef BX_CLEAN_H
#define BX_CLEAN_H

#include <stddef.h>

/*
** Forks, so call it before any thread exists. 0: gone, or never there; else an
** errno: EBUSY while a service uses it. Either way `message` (size bytes) says
** which, and of which folder.
*/
int bx_sandbox_clean(char *message, size_t size);

#endif
