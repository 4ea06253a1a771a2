/*
** await: the one place where Lua waits. In a task a wait yields to the loop;
** anywhere else it pumps the loop in place, and tasks go on meanwhile.
**
** A context is who waits: a task's (embedded in the Task, which the state
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

/* A with_timeout under way: a deadline for whatever its context waits for. */
struct lbx_scope {
  bx_timer timer;
  lbx_state *state;
  lbx_context *context;
  lbx_scope *outer;
  double seconds;
  bool fired, raised;
};

struct lbx_context {
  bx_waiter waiter;
  bx_timer timer;   /* the end of the present wait */
  lbx_state *state;
  lua_State *co;    /* the task's coroutine; NULL: the main context */
  lua_State *top;   /* the innermost coroutine that passes our yields on */
  lbx_scope *scope; /* innermost */
  bool cancel;      /* asked for, */
  bool cancelled;   /* and raised */
  bool running;     /* on the C stack now */
};

struct lbx_state {
  bx_loop *loop;
  lua_State *main;
  lbx_context root; /* the main context */
  lbx_context *current;
  bx_event never;   /* an event for those who wait for a time only */
  lua_Integer last_task; /* ids count up */
  unsigned depth;   /* contexts on the C stack */
  unsigned tasks;   /* that have not ended */
  bool host;        /* another program's interpreter: its hooks get a turn */
  const char *interrupt; /* a signal's name: cancels the main context, once */
  bool interrupt_raised;
  void (*leave)(lua_State *L); /* the main context calls it: no return */
};

typedef struct lbx_wait {
  bx_event *event;
  double until;             /* a time of bx_now; 0: for ever */
  void (*cancel)(void *arg); /* ends what is waited for, before the raise */
  void *arg;
  bool turn; /* gives the others a turn even if there is nothing to wait for */
} lbx_wait;

/* The state; made on the first call by luaopen_boxd. */
lbx_state *lbx_state_get(lua_State *L);
void lbx_open_state(lua_State *L);

/* Waits once: returns when the event is set, the time is over, or for nothing.
** In a task it yields instead, and k runs with the same stack and ctx. Raises
** CancelledError or TimeoutError when the context was told to end. */
void lbx_await(lua_State *L, const lbx_wait *w, lua_KContext ctx,
               lua_KFunction k);

/* Resumes a task's coroutine with nargs values from its stack, until it waits
** or ends. True: it has ended, with its results on its stack. */
bool lbx_run(lua_State *L, lbx_context *c, int nargs);

/* Makes the context end at its wait, now or the next one. */
void lbx_interrupt(lbx_context *c);

/* boxd.resume and boxd.wrap: coroutine's, but a wait of the coroutine in a
** task is a wait of the task. */
int lbx_resume(lua_State *L);
int lbx_wrap(lua_State *L);

/* What a ready context does: run the task. Set by task.c. */
void lbx_task_step(lua_State *L, lbx_context *c);

#endif
