/*
** signal: "something happened", for tasks that wait for it.
*/
#ifndef LBX_SERVE_SIGNAL_H
#define LBX_SERVE_SIGNAL_H

#include <lua.h>

/* Pushes the function serve.signal. */
void lbx_open_signal(lua_State *L);

#endif
