/*
** names: what scripts call the fields of the contract's messages, where that is
** not what the contract calls them: the id of a thing is its `id`, and times in
** milliseconds are whole seconds, nil where there is none. Only what methods
** give and take has these names; c:call has the contract's.
*/
#ifndef LBX_NAMES_H
#define LBX_NAMES_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

/* f's name. */
const char *lbx_name_of(const ProtobufCMessageDescriptor *d,
                        const ProtobufCFieldDescriptor *f);

/* Is f a time in milliseconds, which scripts see in seconds? */
bool lbx_is_ms(const ProtobufCMessageDescriptor *d,
               const ProtobufCFieldDescriptor *f);

/* The field that scripts call so; NULL: there is none. */
const ProtobufCFieldDescriptor *lbx_named(const ProtobufCMessageDescriptor *d,
                                          const char *name);

#endif
