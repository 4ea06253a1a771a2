/*
** await: the one place where Lua waits. In a task a wait yields to the loop;
** anywhere else it pumps the loop in place, and tasks go on meanwhile.
**
** A context is a waiter: a task's (embedded in the Task, which the state
** anchors while it runs) or the main one. A state is everything that belongs
** to one lua_State family: the loop and the contexts; it lives in the registry
** from the first `require` to lua_close.
**
** How a method waits: it leaves all it needs in stack slots, and its
** continuation re-tests, so that being woken for nothing does no harm:
**
**   static int x_k(lua_State *L, int status, lua_KContext ctx) {
**     thing *t = lua_touserdata(L, 1);
**     while (!t->done.set) lbx_await(L, &(lbx_wait){.event = &t->done}, ctx, x_k);
**     return push_results(L, t);
**   }
*/
#ifndef LBX_AWAIT_H
#define LBX_AWAIT_H

#include <lua.h>

#include "../core/error.h"
#include "../core/loop.h"

typedef struct lbx_scope lbx_scope;
typedef struct lbx_context lbx_context;
typedef struct lbx_state lbx_state;

/* What an interrupted context has for its handlers. Past it a task is
** abandoned; a with_timeout and a signal raise once more. */
#define LBX_CLEANUP_SECONDS 10.0

/* A wish that a context ends its work: to cancel it, a signal, a time that
** is over. It is raised once, and once more when the handlers take too long. */
typedef enum lbx_wish {
  LBX_UNASKED,
  LBX_ASKED,
  LBX_RAISED,
  LBX_ASKED_AGAIN, /* and raised before */
} lbx_wish;

static inline bool lbx_is_due(lbx_wish w) { return w & LBX_ASKED; }
static inline bool lbx_was_raised(lbx_wish w) { return w & LBX_RAISED; }
static inline lbx_wish lbx_ask(lbx_wish w) { return w | LBX_ASKED; }

/* A with_timeout under way: a deadline for whatever its context waits for in
** its coroutine, or in one that this resumes. */
struct lbx_scope {
  bx_timer timer;
  lbx_state *state;
  lbx_context *context; /* NULL: it has ended */
  lua_State *co;
  lbx_context *guest; /* the host's coroutine that it is in, or NULL */
  lbx_scope *outer;
  double seconds, until; /* a time of bx_now */
  lbx_wish over;
  unsigned raised; /* when, by the state's count of raises */
};

/* Where a context is. A task's goes down the list, and between the second and
** the third; the main one always runs. */
typedef enum lbx_phase {
  LBX_NEW,
  LBX_RUNS,  /* on the C stack */
  LBX_WAITS, /* its coroutine is suspended */
  LBX_DONE,  /* from here on ended: with results, */
  LBX_FAILED,    /* with an error, */
  LBX_CANCELLED, /* with the one that cancelled it, */
  LBX_ABANDONED, /* or without an end: its time was over */
} lbx_phase;

struct lbx_context {
  bx_waiter waiter;
  bx_timer timer;   /* the end of the present wait */
  lbx_state *state;
  lua_State *co;    /* the task's coroutine; NULL: the main context */
  lua_State *top;   /* the innermost coroutine that passes our yields on */
  lbx_scope *scope; /* innermost */
  lua_Integer run;  /* the boxd.run that it is part of; 0: none */
  lbx_phase phase;
  lbx_wish cancel;
  unsigned raised;  /* when it was cancelled or got a signal, as in a scope */
  bool alone;       /* no signal and no closed client interrupts it */
  bool guest;       /* of a host's coroutine, which waits by the host's hooks */
};

struct lbx_state {
  bx_loop *loop;
  lua_State *main;
  lbx_context root; /* the main context */
  lbx_context *current;
  bx_event never;   /* an event for waits for a time only */
  lua_Integer last_task; /* ids count up */
  unsigned depth;   /* contexts on the C stack */
  const void *roomy;   /* where on it the main context last found levels free, */
  lua_State *roomy_in; /* and on which coroutine */
  unsigned tasks;   /* that have not ended */
  unsigned raises;  /* reasons raised so far */
  unsigned parked;  /* coroutines of a host that wait by its hooks */
  bool hooked;      /* there are such hooks, */
  bool watched;     /* which know that something waits */
  bool host;        /* another program's interpreter: its hooks get a turn */
  lua_State *volatile running; /* the coroutine that runs now */
  void (*leave)(lua_State *L); /* the main context calls it: no return */

  /* Set by boxdlua's signals, from a handler, for the main context. */
  volatile lbx_wish signal;
  const char *volatile signal_name;
  bx_timer signal_again;
  lua_Hook stop; /* has lbx_stop called in a coroutine that computes */
  void (*watch)(lua_State *L); /* before the first long wait; may raise */
};

typedef struct lbx_wait {
  bx_event *event;
  double until;             /* a time of bx_now; 0: for ever */
  void (*cancel)(void *arg); /* ends the awaited call, before the raise */
  void *arg;
  bool turn; /* gives the others a turn even if there is nothing to wait for */
} lbx_wait;

/* The state; made on the first call by luaopen_boxd. */
lbx_state *lbx_state_get(lua_State *L);
void lbx_open_state(lua_State *L);

/* The state with a loop, and that loop. Raise CancelledError when there is none
** any more: a finalizer that is older than boxd runs when the Lua state
** closes. */
lbx_state *lbx_state_alive(lua_State *L);
bx_loop *lbx_loop(lua_State *L);

/* Raises CancelledError: the object that holds `what` was collected, and a
** finalizer uses it. For every method and continuation of such an object. */
_Noreturn int lbx_gone(lua_State *L, const char *what);

/* The functions of boxd.hooks. */
typedef enum lbx_hook {
  LBX_PARK,
  LBX_WAKE,
  LBX_CAN_PARK,
  LBX_WATCH,
  LBX_HOOK_COUNT,
} lbx_hook;

/* Takes the hooks from the table at idx, or none when it is nil. Raises when one
** is not a function, park or wake is missing, or coroutines wait by the hooks
** there are. */
void lbx_set_hooks(lua_State *L, int idx);

/* The context of the host's coroutine that runs, if it may wait by the hooks, or
** NULL: it waits in place. Pushes the context, but no NULL. */
lbx_context *lbx_push_guest(lua_State *L, lbx_state *S);

/* How many tasks and coroutines of a host wait. */
static inline unsigned lbx_pending(const lbx_state *S) {
  return S->tasks + S->parked;
}

/* After that number changed: calls the watch hook when it became 0, or is not
** any more. Raises nothing: an error of the hook is a warning. */
void lbx_tell_host(lua_State *L, lbx_state *S);

/* A turn of the loop for a host: waits for something to do, for some seconds at
** most, and does a bounded part of it. Raises what that raised. */
void lbx_step(lua_State *L, double seconds);

/* Waits once: returns when the event is set, the time is over, or for nothing.
** In a task it yields instead, as it does in a host's coroutine that may wait by
** hooks, and k runs with the same stack and ctx; without k it never yields. Raises
** CancelledError or TimeoutError when the context was asked to end. */
void lbx_await(lua_State *L, const lbx_wait *w, lua_KContext ctx,
               lua_KFunction k);

/* Resumes a task's coroutine until it waits (true) or has ended: by its body,
** which has set the phase, or otherwise: then it has failed, and what happened
** is on its stack. */
bool lbx_run(lua_State *L, lbx_context *c);

/* Would a wait of the context yield in L? Else it pumps in place. */
bool lbx_may_yield(lua_State *L, const lbx_context *c);

/* Makes the context look at its wait again. */
void lbx_interrupt(lbx_context *c);

/* Raises what the signal asks for in the context that runs, from a hook:
** CancelledError; a task is cancelled, so that the main context gets a turn.
** Returns when there is nothing to raise (any more). */
void lbx_stop(lua_State *L);

/* Is too little left of Lua's C stack, after callbacks in callbacks, for
** another task to get a turn on top? */
bool lbx_is_deep(lua_State *L, lbx_state *S);

/* boxd.resume and boxd.wrap: coroutine's, but a wait of the coroutine in a
** task is a wait of the task. */
int lbx_resume(lua_State *L);
int lbx_wrap(lua_State *L);

/* What a ready context does: run the task. In task.c, as is its cancelling. */
void lbx_task_step(lua_State *L, lbx_context *c);
void lbx_task_cancel(lua_State *L, lbx_context *c);

#endif
