/*
** task_private.h: between one task (task.c) and what is done with many
** (task_run.c).
*/
#ifndef LBX_TASK_PRIVATE_H
#define LBX_TASK_PRIVATE_H

#include <lua.h>

#include "await.h"

typedef struct lbx_task {
  lbx_context context;
  bx_event ended;
  bx_timer cleanup;
  struct lbx_task *joins; /* the task it joins */
  lua_Integer id;         /* counts up */
  int results;
  bool joined;
} lbx_task;

/* Pushes the table that has each Task, by its address, while it has not ended. */
void lbx_push_anchor(lua_State *L);

/* boxd.spawn without its look for a signal. */
int lbx_task_spawn(lua_State *L);

/* t:join{ timeout= } */
int lbx_task_join(lua_State *L);

/* Pushes the results of the task at 1, which has ended, or raises its error.
** Returns how many. */
int lbx_task_results(lua_State *L, lbx_task *t);

/* boxd.run(fn, ...) */
int lbx_task_run(lua_State *L);

#endif
