/*
** lease: ../core/lease.h for lua/boxd/lease.lua.
*/
#ifndef LBX_LEASE_H
#define LBX_LEASE_H

#include <lua.h>
#include <stdbool.h>

/* core.lease(compute, box id, seconds) -> Lease. Raises when it can't be
   renewed. */
int lbx_lease(lua_State *L);

/* Pushes the Lease of the box at idx, or nil and returns false. */
bool lbx_push_lease(lua_State *L, int idx);

/* The box at idx is gone: so is its lease, if it has one. */
void lbx_end_lease(lua_State *L, int idx);

/* Adds `leases`, their table by Compute and then by the box's id, to the core
   table on top. */
void lbx_open_lease(lua_State *L);

#endif
