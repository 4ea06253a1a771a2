/*
** method_private: the parts of a method: what a script gave it is read
** (arguments.c), its calls are made (method.c, each by unary.c), and the reply
** becomes what it returns and sets (reply.c).
*/
#ifndef LBX_METHOD_PRIVATE_H
#define LBX_METHOD_PRIVATE_H

#include "../core/call.h"
#include "../core/rpc.h"
#include "method.h"

/* The stack of a method: the object, its arguments, and then its options as
** fields of the request, its object's argument (or else its first) as it was
** given, ... */
enum {
  LBX_OPTIONS = LBX_ARGS_MAX + 2,
  LBX_GIVEN,
  LBX_COMPUTE,
  LBX_CALL,
  LBX_FIRST_ERROR
};

int lbx_count_args(const lbx_method *m);

/* The index of the argument that is an object, or else of the first. */
int lbx_object_at(const lbx_method *m);

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

/* Raises unless the value on the top is a map from text to text. */
void lbx_check_map(lua_State *L, const struct lbx_path *at);

/* Is the option, as it was read, true? */
bool lbx_option_on(lua_State *L, const char *name);

/* ---- calls ---- */

/* What is looked up before the row's own RPC is made (again). */
typedef enum lbx_look {
  LBX_NO_LOOK = 0,
  LBX_LOOK_OBJECT, /* the object of a name */
  LBX_LOOK_DISKS,  /* the disks of names in the config */
} lbx_look;

/* A unary call on the stack: cancelled when it is collected. */
typedef struct lbx_unary {
  bx_call *call;
  const bx_rpc *rpc;
  double deadline;
  const lbx_method *m; /* the row whose RPC is made: the method's, or another */
  int first;           /* where its first argument is */
  lbx_look look;
  bool looked, named_disks, turned; /* each is done once */
  bool gone; /* what was not there is no error */
} lbx_unary;

/* The bytes of a message; of none: NULL, 0. */
typedef struct lbx_bytes {
  const uint8_t *s;
  size_t len;
} lbx_bytes;

/* Pushes one whose calls end within that time. */
lbx_unary *lbx_unary_new(lua_State *L, double seconds);

/* Makes the call of an RPC, of the client at LBX_COMPUTE; a request is to
** follow. */
void lbx_unary_prepare(lua_State *L, lbx_unary *u, const bx_rpc *rpc);

/* Waits for its end, in continuation k. */
void lbx_unary_wait(lua_State *L, const lbx_unary *u, lua_KContext ctx,
                    lua_KFunction k);

/* The reply's bytes in one piece, which the call has; of an error: none. */
lbx_bytes lbx_unary_reply(lbx_unary *u);

/* Raises its error, and names the replacement of an RPC that is gone. */
_Noreturn int lbx_unary_throw(lua_State *L, const lbx_unary *u);

/* Raises: the reply is no such message. */
_Noreturn int lbx_unary_malformed(lua_State *L, const lbx_unary *u);

void lbx_unary_release(lbx_unary *u);

/* ---- the reply ---- */

/* Pushes what the row returns; false: the message is malformed. An object that
** is not there: nil. */
bool lbx_reply_push(lua_State *L, const lbx_unary *u, lbx_bytes b);

/* Sets what the row does; the result is on the top. */
void lbx_reply_set(lua_State *L, const lbx_unary *u, lbx_bytes b);

/* The message of the list f with the id, or else the first with the name, at
** idx; its `s` is NULL: there is none. */
lbx_bytes lbx_reply_find(lua_State *L, const ProtobufCFieldDescriptor *f,
                         lbx_bytes b, int idx);

#endif
