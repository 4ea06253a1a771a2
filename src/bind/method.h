/*
** method: methods as static data. A row says which RPC is made, which field of
** its request the object's id and each argument and option go into, and what of
** the reply is returned. What a value has to be is the field's own type, unless
** the row says more. One C function runs them all.
*/
#ifndef LBX_METHOD_H
#define LBX_METHOD_H

#include <lua.h>
#include <stdbool.h>

#include "record.h"

/* What an argument may be, where it is not what the field's type says. */
typedef enum lbx_sort {
  LBX_PLAIN = 0,
  LBX_PORT,     /* 0 to 65535 */
  LBX_SIZE,     /* "4G", or bytes */
  LBX_OBJECT,   /* of the row's `of`: its id; or text, an id or a name */
  LBX_VARIABLES, /* a map, sent as a list of key and value */
} lbx_sort;

typedef struct lbx_param {
  const char *name;  /* of an option; of an argument, for messages */
  const char *field; /* of the request; NULL: it is not sent */
  lbx_sort sort;
  const lbx_type *of;
  /* Of a table: what may be in it; ends with a NULL name. */
  const struct lbx_param *fields;
  const ProtobufCMessageDescriptor *in; /* has the field; NULL: its message */
  const char *either[2]; /* the two texts it may be, if it may be no other */
  bool optional;         /* the last argument: it may be left out */
  bool needed, on;       /* may not be left out; true where it is */
  int type;              /* LUA_T...: of an option that is not sent itself */
  bool any;              /* such an option, of no one type */
  /* An option that asks for more than the row's one call: where it is given (of
  ** booleans: true), the method of the same name that is written in Lua is called
  ** with all that was read. */
  bool wider;
  /* Checks the value at idx and puts its wire form in its place; or NULL. */
  void (*read)(lua_State *L, int idx, const char *method);
  /* Moves fields of the table on top that belong beside it into that of
  ** the request's fields at idx; or NULL. */
  void (*place)(lua_State *L, int idx, const ProtobufCMessageDescriptor *d);
} lbx_param;

/* Pushes how messages show the value at idx: text quoted and short. */
const char *lbx_push_shown(lua_State *L, int idx);

/* Replaces the table on the top by one of d's fields, checked. Raises an
** InvalidArgumentError that names the field by its path. */
struct lbx_path;
void lbx_read_record(lua_State *L, const lbx_param *params,
                     const ProtobufCMessageDescriptor *d,
                     const struct lbx_path *at);

typedef enum lbx_result {
  LBX_NOTHING = 0,
  LBX_FIELD,   /* the value of the reply's `field` */
  LBX_WHOLE,   /* all of the reply */
  LBX_RECORD,  /* an object of type `of`, made of the reply or its `field` */
  LBX_RECORDS, /* a list of them, the reply's `field` */
  LBX_FOUND,   /* the one of them with the id or the name of the argument */
  LBX_REFRESH, /* the object itself, with the reply in its message's place */
} lbx_result;

typedef struct lbx_set {
  const char *field;   /* of the object made, or else of the method's own, */
  const char *request; /* from the request's field, "a" or "a.b", */
  const char *given;   /* or from a field of the object given first, */
  const char *reply;   /* or from the reply's field, */
  const char *value;   /* or this text, */
  bool empty;          /* or a list of nothing */
} lbx_set;

#define LBX_SETS_MAX 4
#define LBX_ARGS_MAX 3

/* An option: where it is true, what is not there is no error. */
#define LBX_MISSING_OK "missing_ok"

typedef struct lbx_method {
  const char *name, *rpc;
  const char *self; /* the request's field for the object's id, or NULL */
  const char *self_name; /* ... for its name, too */
  lbx_param args[LBX_ARGS_MAX];
  const lbx_param *options; /* beside timeout; ends with a NULL name */
  struct { const char *field, *value; } fixed;
  lbx_result result;
  const char *field, *also; /* also: a second one that is returned */
  const lbx_type *of;
  lbx_set sets[LBX_SETS_MAX];
  const struct lbx_method *otherwise; /* made when the RPC says NOT_FOUND */
  /* ... when it is not known, but that of another era of the contract is: the
  ** Compute goes on with those of the era that its service knows. */
  bool era;
  const struct lbx_method *before; /* made where an argument is text that names an
                                      object: it gives the one whose id is sent */
  bool late; /* ... only once the RPC has said NOT_FOUND of the text itself */
  const struct lbx_method *disks;  /* made where the RPC does not know a disk of
                                      the config: it gives the ids of names */
  /* Checks arguments, and options at their index, before they are read; the row
  ** to go on with, itself or another; or NULL. */
  const struct lbx_method *(*choose)(lua_State *L, const struct lbx_method *m,
                                     int options);
  /* Checks what has been read, all of it, and adds the fields of the request that
  ** follow from it to the options, which are a table then; or NULL. */
  void (*complete)(lua_State *L);
  /* Does the object ask for more than the row's one call, as an option that is
  ** `wider` does? Or NULL. The options are a table then. */
  bool (*more)(lua_State *L);
  /* A boolean option: where it is true, the method of the same name that is
  ** written in Lua is called with all as it was given; or NULL. */
  const char *instead;
  /* Changes what is returned, on the top, or sets what no `sets` can; or NULL. */
  void (*done)(lua_State *L);
  /* The Lua function "boxd.internal.FILE" that gets the new object and the
  ** options as they are read, once the row's call has ended; or NULL. */
  const char *after;
  bool (*keep)(lua_State *L, int options, int record); /* of a list; or NULL */
  int (*lua)(lua_State *L); /* in C by itself: the row has only the name */
} lbx_method;

/* Pushes the function of a row of type t. */
void lbx_push_method(lua_State *L, const lbx_type *t, const lbx_method *m);

/* Is the value at idx the function of a row that may go on in Lua? */
bool lbx_is_wider(lua_State *L, int idx);

/* core.call(object, rpc, request, seconds or nil) -> the reply by the contract's
** names */
int lbx_core_call(lua_State *L);

#endif
