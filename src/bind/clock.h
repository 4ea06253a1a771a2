/*
** clock: what a script does with time: sleep, now, with_timeout. A with_timeout
** is a scope (await.h) in a userdata on the stack, which takes itself off its
** context when the function ends, or its coroutine is closed or collected.
*/
#ifndef LBX_CLOCK_H
#define LBX_CLOCK_H

#include <lua.h>

#include "await.h"

/* The context has ended: what with_timeout is left in a generator has no force
** any more. */
void lbx_end_scopes(lbx_context *c);

/* Adds sleep, now and with_timeout to the module table on top. */
void lbx_open_clock(lua_State *L);

#endif
