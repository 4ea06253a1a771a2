/*
** command: the one shell command string that the service runs, from what a
** script gave: arguments or a command line, and the options env and cwd. All
** of it is pushed as one Lua string; see core/text.h for its form.
*/
#ifndef LBX_COMMAND_H
#define LBX_COMMAND_H

#include <lua.h>

/* Pushes the command that runs the strings (or numbers) in the stack slots
** first..last, each as it is. opts: the slot of a table that may hold env (a
** map of strings) and cwd, or of nil, or 0. Raises InvalidArgumentError for
** no argument, a NUL, a key of env that is not a shell identifier, an empty
** cwd. */
void lbx_push_command(lua_State *L, int first, int last, int opts);

/* The same for a command line, taken as it is, in the slot `line`. */
void lbx_push_line(lua_State *L, int line, int opts);

#endif
