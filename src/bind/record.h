/*
** record: objects that are a message of the service: Box, Disk, Template, ...
** A userdata holds the message as it came, its wire form, and a field is read
** from there on demand. So an object costs one allocation, as
** long as its message, and a list of 10,000 makes 10,000 and nothing else.
**
** User value 1 is the Compute. User value 2 is what differs from the message,
** once something does: what methods have set since (status after stop), and the
** tables of fields that have been read, so that box.labels is the same twice.
** Fields have the names of names.h. They are read-only; methods change them.
**
** A type is static data. Services (c.box) and Compute have one too, with no
** messages. object.c has the parts that they share.
*/
#ifndef LBX_RECORD_H
#define LBX_RECORD_H

#include <lua.h>
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lbx_method;

#define LBX_UV_COMPUTE 1

/* A field that a method written in Lua changes. */
typedef struct lbx_setter {
  const char *field, *method;
} lbx_setter;

/* A field that is made of others: `push` puts its value in the place of the
** message's own, on the top. */
typedef struct lbx_derived {
  const char *field;
  void (*push)(lua_State *L, int idx);
} lbx_derived;

typedef struct lbx_type {
  const char *name;      /* "Box", for messages */
  const char *metatable; /* "boxd.Box", its __name too */
  /* What one may be made of; fields that none has are errors. */
  const ProtobufCMessageDescriptor *const *messages;
  const char *const *shown; /* by tostring, after each other */
  const struct lbx_method *methods;
  const char *module; /* the Lua file with the methods `composed`, or NULL */
  const char *const *composed;
  const char *const *kept; /* numbers that a later message may lack */
  /* Pushes what else the object at 1 has under the name at 2, one of `more`;
  ** 0: nothing. NULL: nothing else. */
  int (*other)(lua_State *L);
  const char *const *more;
  lbx_derived derived; /* field NULL: none */
  const lbx_setter *setters; /* ends with a NULL field; or NULL */
} lbx_type;

typedef struct lbx_record {
  const lbx_type *type;
  const ProtobufCMessageDescriptor *message;
  const uint8_t *bytes; /* here, or in the string that user value 2 has */
  size_t len;
  uint8_t own[];
} lbx_record;

/* Makes the metatable. Pushes nothing. */
void lbx_type_open(lua_State *L, const lbx_type *t);

/* The type of the object of ours at idx; NULL: it is none. */
const lbx_type *lbx_type_of(lua_State *L, int idx);

/* Is it an object with fields? */
bool lbx_is_record(lua_State *L, int idx);

/* Raises unless the value at 1, the self of t's method, has that type. */
void lbx_type_check(lua_State *L, const lbx_type *t, const char *method);

/* What messages call the type of the value at idx: "boxd.Box", "nil". */
const char *lbx_type_name(lua_State *L, int idx);

/* Pushes "Box" of a value of ours; false: it is none. */
bool lbx_push_type(lua_State *L, int idx);

/* Names that are no methods of the type, which has methods alone, are errors. */
void lbx_refuse_unknown(lua_State *L, const char *metatable);

/* Has the type a field of that name? */
bool lbx_has_field(const lbx_type *t, const char *name);

/* In a method of t: pushes its upvalue 1, the function of its name that t's
** module has, which is loaded first if need be. */
void lbx_push_composed(lua_State *L, const lbx_type *t);

/* Raises: objects of the type have no such name. The nearest of theirs is
** named, or what the contract's field of that name is called here. */
int lbx_no_field(lua_State *L, const lbx_type *t, const char *name);

/* The same for a type with its methods in a table at idx and those fields. */
int lbx_no_method(lua_State *L, const char *type, const char *name, int idx,
                  const char *const *fields);

/* Pushes the Compute of the object of ours at idx (of a Compute: itself). */
void lbx_push_compute(lua_State *L, int idx);

/* Pushes an object with no message: a service. */
void lbx_push_service(lua_State *L, int compute, const lbx_type *t);

/* Pushes an object of type t. False, and nothing pushed: the bytes are not such
** a message. They are copied, and may be in a userdata of the caller's. */
bool lbx_push_record(lua_State *L, int compute, const lbx_type *t,
                     const ProtobufCMessageDescriptor *d, const uint8_t *bytes,
                     size_t len);

/* Pushes a list of them: the repeated field f of a valid message. */
void lbx_push_records(lua_State *L, int compute, const lbx_type *t,
                      const ProtobufCFieldDescriptor *f, const uint8_t *bytes,
                      size_t len);

/* Pushes the record at idx as one of another type. */
bool lbx_push_as(lua_State *L, int idx, const lbx_type *t);

/* Puts a later message in the place of the object's; fields that it can't have
** keep their value. False: the bytes are not such a message. */
bool lbx_record_refresh(lua_State *L, int idx,
                        const ProtobufCMessageDescriptor *d,
                        const uint8_t *bytes, size_t len);

/* Pushes a field, nil where it is unset; raises where the type has none. */
void lbx_record_get(lua_State *L, int idx, const char *name);

/* The same; f is the field of that name in the type's first message, which most
** records have. NULL: not known. */
void lbx_record_field(lua_State *L, int idx, const char *name,
                      const ProtobufCFieldDescriptor *f);

/* Gives a field the value on the top, which is popped. */
void lbx_record_set(lua_State *L, int idx, const char *name);

/* Pushes a new table of all fields that are set. */
void lbx_record_table(lua_State *L, int idx);

/* boxd.type(v), boxd.has(v, name) */
int lbx_type_value(lua_State *L);
int lbx_has(lua_State *L);

/* Add what our Lua files need to the core table on top. */
void lbx_open_object_core(lua_State *L);
void lbx_open_record_core(lua_State *L);

#endif
