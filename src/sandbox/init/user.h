/*
** user: boxd, as whom commands and file calls of a box run.
*/
#ifndef BX_USER_H
#define BX_USER_H

#include "../spawner/host.h"

/* Makes the calling child of the agent a process of boxd, without rights, and
** still closed to inspection: 0 or an errno. Its groups are those that the
** box's own /etc/group gives boxd. */
int bx_user_become(const bx_host *h);

#endif
