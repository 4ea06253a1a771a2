/*
** names: what scripts call the fields of the contract's messages, where that is
** not what the contract calls them: the id of a thing is its `id`, times in
** milliseconds are whole seconds, and a zero that means none is nil. Only what
** methods give and take has these names; c:call has the contract's.
*/
#ifndef LBX_NAMES_H
#define LBX_NAMES_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

/* f's name. */
const char *lbx_name_of(const ProtobufCMessageDescriptor *d,
                        const ProtobufCFieldDescriptor *f);

typedef enum lbx_form {
  LBX_AS_IS = 0,
  LBX_SECONDS,  /* of milliseconds; nil for 0 */
  LBX_NOT_ZERO, /* nil for 0 */
} lbx_form;

/* How scripts see the value of f. */
lbx_form lbx_form_of(const ProtobufCMessageDescriptor *d,
                     const ProtobufCFieldDescriptor *f);

/* The field that scripts call so; NULL: there is none. */
const ProtobufCFieldDescriptor *lbx_named(const ProtobufCMessageDescriptor *d,
                                          const char *name);

#endif
