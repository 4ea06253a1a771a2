/*
** clock: what a script does with time: sleep, now, with_timeout. A with_timeout
** is a scope (await.h) in a userdata on the stack, which takes itself off its
** context when the function ends or the coroutine is collected.
*/
#ifndef LBX_CLOCK_H
#define LBX_CLOCK_H

#include <lua.h>

/* Adds sleep, now and with_timeout to the module table on top. */
void lbx_open_clock(lua_State *L);

#endif
