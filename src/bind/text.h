/*
** text: core/text for our Lua files.
*/
#ifndef LBX_TEXT_H
#define LBX_TEXT_H

#include <lua.h>

/* Adds to the table on top, all raising InvalidArgumentError:
**   size(v)       "4G" or an integer of bytes -> integer
**   endpoint(s)   -> { tls=, host=, port=, target= }
**   quote(s)      one word for a POSIX shell
**   command(what, env, cwd)
**                 what: a list of arguments, or a command line -> string
**   nearest(word, list) -> the likely one, or nil
**   options(t, what, list)
**                 refuses keys of t that the list does not have */
void lbx_open_text(lua_State *L);

#endif
