/*
** method_private: between reading what a script gave a method (arguments.c) and
** making its calls (method.c).
*/
#ifndef LBX_METHOD_PRIVATE_H
#define LBX_METHOD_PRIVATE_H

#include "method.h"

/* The stack of a method: the object, its arguments, and then its options as
** fields of the request, the first argument as it was given, ... */
enum {
  LBX_OPTIONS = LBX_ARGS_MAX + 2,
  LBX_GIVEN,
  LBX_COMPUTE,
  LBX_CALL,
  LBX_FIRST_ERROR
};

int lbx_count_args(const lbx_method *m);

/* Replaces the options at idx by a table of d's fields, and of options that are
** not sent themselves; nil stays. number: as which argument messages count them.
** Returns the timeout in seconds; 0: none was given. */
double lbx_read_options(lua_State *L, const lbx_method *m,
                        const ProtobufCMessageDescriptor *d, int idx,
                        int number);

/* Checks the script's arguments and puts their wire forms in their place, up to
** LBX_GIVEN. Options may choose another row, which *m is then. Returns the
** timeout in seconds; 0: none was given. */
double lbx_read_arguments(lua_State *L, const lbx_method **m);

#endif
