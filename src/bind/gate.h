/*
** gate: a port of this machine whose connections Lua takes.
*/
#ifndef LBX_GATE_H
#define LBX_GATE_H

#include <lua.h>

/* core.gate(port [, host]) -> Gate on the address, in numbers (127.0.0.1); port
   0: any that is free. Or nil, message */
int lbx_gate(lua_State *L);

void lbx_open_gate(lua_State *L);

#endif
