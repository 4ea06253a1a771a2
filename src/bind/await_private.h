/*
** await_private: what the parts of await share. await_state.c has the state and
** the reasons that end a wait, await_pump.c waits in place, await_guest.c has a
** host's coroutines and hooks, await.c yields and resumes.
*/
#ifndef LBX_AWAIT_PRIVATE_H
#define LBX_AWAIT_PRIVATE_H

#include "await.h"

/* Why what a context waits for is to end, in the order in which they are
** raised. */
typedef enum lbx_reason {
  LBX_GO_ON,
  LBX_LEAVE,   /* os.exit in a task: the main context leaves */
  LBX_CANCEL,  /* task:cancel */
  LBX_SIGNAL,  /* for the main context */
  LBX_TIMEOUT, /* of a with_timeout */
} lbx_reason;

lbx_reason lbx_reason_to_end(lbx_context *c);

/* Raises it, after w's cancel. Returns for LBX_GO_ON only. */
void lbx_raise_reason(lua_State *L, lbx_context *c, const lbx_wait *w);

/* Was one raised since then, by S->raises, that is for the context as a whole
** or for a with_timeout still under way? */
bool lbx_was_ended(const lbx_context *c, unsigned since);

static inline bool lbx_is_signalled(const lbx_state *S) {
  return lbx_is_due(S->signal);
}

/* The context of a coroutine that a host's scheduler resumes. */
typedef struct lbx_guest {
  lbx_context context; /* first */
  lua_State *co;
  bool parked;         /* in the host's hook, for this: */
  lbx_wait wait;
  lua_KFunction k;     /* goes on then */
  lua_KContext ctx;
} lbx_guest;

void lbx_open_guest(lua_State *L);

/* Pushes a hook, or nil. */
bool lbx_push_hook(lua_State *L, lbx_hook hook);

/* Marks the guest, which runs, as parked and keeps its coroutine from being
** collected, until lbx_unpark or lbx_release. */
void lbx_mark_parked(lua_State *L, lbx_guest *g);

/* Takes the mark off again, and drops the guest's waiter and timer. */
void lbx_unpark(lua_State *L, lbx_guest *g);

/* Pushes a parked guest's coroutine, which may be collected from here on. */
void lbx_push_released(lua_State *L, lbx_guest *g);

/* A parked guest may go on: calls the wake hook. False: it raised, and the error
** is on the stack. In await.c. */
bool lbx_wake(lua_State *L, lbx_guest *g);

void lbx_open_pump(lua_State *L);

/* Waits in place, by pumping the loop. Raises what the pumping raised, but not
** the reason that ended it. */
void lbx_block(lua_State *L, lbx_state *S, const lbx_wait *w);

#endif
