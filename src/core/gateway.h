/*
** gateway: where a process inside a boxd machine gets its token: from the
** gateway, which gives one to any process.
*/
#ifndef BX_MACHINE_H
#define BX_MACHINE_H

#include <stdbool.h>

#define BX_MACHINE_URL_MAX 64

/* Where the default gateway (of IPv4) would give tokens. False: there is no
** such gateway. */
bool bx_machine_url(char url[BX_MACHINE_URL_MAX]);

#endif
