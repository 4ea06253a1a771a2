/*
** module: `require "boxd"`. What users see is C for what waits or touches
** bytes, and Lua (lua/boxd, found by require) for what composes that. The C
** parts that only our Lua may call are in the module "boxd.core".
*/
#ifndef LBX_MODULE_H
#define LBX_MODULE_H

#include <lua.h>

#include "../boxd.h" /* luaopen_boxd, for other programs too */

/* The registry's list of functions that core.at_exit was given. */
#define LBX_AT_EXIT "boxd.at_exit"

/* The registry's function that core.at_close was given. */
#define LBX_AT_CLOSE "boxd.at_close"

#endif
