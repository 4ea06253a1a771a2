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
  LBX_OPTIONAL, /* an argument that may be left out */
  LBX_PORT,     /* 0 to 65535 */
  LBX_SIZE,     /* "4G", or bytes */
  LBX_OBJECT,   /* of the row's `of`: its id; or text, an id or a name */
} lbx_sort;

typedef struct lbx_param {
  const char *name;  /* of an option; of an argument, for messages */
  const char *field; /* of the request; NULL: it is not sent */
  lbx_sort sort;
  const lbx_type *of;
  /* Checks the value at idx and puts what is sent in its place; or NULL. */
  void (*read)(lua_State *L, int idx, const char *method);
} lbx_param;

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
  const char *request; /* from the request's argument of this field, */
  const char *reply;   /* or from the reply's field, */
  const char *value;   /* or this text, */
  bool empty;          /* or a list of nothing */
} lbx_set;

#define LBX_SETS_MAX 4

typedef struct lbx_method {
  const char *name, *rpc;
  const char *self; /* the request's field for the object's id, or NULL */
  lbx_param args[3];
  const lbx_param *options; /* beside timeout; ends with a NULL name */
  struct { const char *field, *value; } fixed;
  lbx_result result;
  const char *field, *also; /* also: a second one that is returned */
  const lbx_type *of;
  lbx_set sets[LBX_SETS_MAX];
  const struct lbx_method *otherwise; /* made when the RPC says NOT_FOUND */
  bool ends; /* the object: a temporary box is not to be destroyed any more */
  bool (*keep)(lua_State *L, int options, int record); /* of a list; or NULL */
  int (*lua)(lua_State *L); /* in C by itself: the row has only the name */
} lbx_method;

/* Pushes the function of a row of type t. */
void lbx_push_method(lua_State *L, const lbx_type *t, const lbx_method *m);

/* Pushes the registry's set of temporary boxes that are to be destroyed. */
void lbx_push_living(lua_State *L);

/* core.call(object, rpc, request, seconds or nil [, type or record]) -> the
** reply by the contract's names; an object of the type made of it; or the
** record, refreshed by it. */
int lbx_core_call(lua_State *L);

#endif
