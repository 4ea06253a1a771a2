/*
** host_edit: the line editor of the prompt, on libedit. The library is loaded
** when the prompt opens: a script that needs none starts without it. There is
** one terminal, so there is one editor; it owns libedit's objects and, through
** host_history, the file of lines typed before.
*/
#ifndef BOXD_HOST_EDIT_H
#define BOXD_HOST_EDIT_H

#include <stdbool.h>

#include <lua.h>

/* False: no terminal that can be edited on, or no libedit. */
bool host_edit_open(lua_State *L);

/*
** Reads a line while tasks go on. Pushes it, without its newline, and returns
** true; false at the end of input. Raises what ended the wait (an interrupt);
** the terminal is then as it was.
*/
bool host_edit_line(lua_State *L, const char *prompt);

/* Waits until there is something to read on stdin, which needs no editor;
** raises as host_edit_line does. */
void host_edit_wait(lua_State *L);

/* Idempotent. */
void host_edit_close(void);

/* ---- history.c: $XDG_STATE_HOME/boxd/history, its owner's only ---- */

/* Calls add for each of the latest lines of the file, oldest first. */
void host_history_load(void (*add)(void *arg, const char *line), void *arg);

/* Adds a line to the file, unless a key or token seems to be in it. */
void host_history_append(const char *line);

#endif
