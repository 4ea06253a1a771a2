/*
** lease: ../core/lease.h for lua/boxd/lease.lua.
*/
#ifndef LBX_LEASE_H
#define LBX_LEASE_H

#include <lua.h>

/* core.lease(compute, box id, seconds) -> Lease. Raises what keeps it from being
   renewed. */
int lbx_lease(lua_State *L);

void lbx_open_lease(lua_State *L);

#endif
