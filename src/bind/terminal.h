/*
** terminal: the script's terminal in raw mode, for boxd.attach. A Terminal owns
** the mode, the handler of SIGWINCH and its descriptor until it is closed; what
** was before comes back then, at the end of the process, or by
** lbx_terminal_restore.
*/
#ifndef LBX_TERMINAL_H
#define LBX_TERMINAL_H

#include <lua.h>

/* Ends raw mode if it is on. A signal handler may call it. */
void lbx_terminal_restore(void);

/* Adds `terminal` and `screen` to the core table on top. */
void lbx_open_terminal(lua_State *L);

#endif
