/*
** spawn_private: what the parts of the spawner's binding share:
** spawn.c (the spawner, its events, requests, boxes), command.c
** (commands) and folder.c (files and folders).
*/
#ifndef LBX_SERVE_SPAWN_PRIVATE_H
#define LBX_SERVE_SPAWN_PRIVATE_H

#include <lua.h>

#include "../../core/buf.h"
#include "../../core/io.h"
#include "../../sandbox/client/spawn.h"

#define LBX_SPAWNER "boxd.Spawner"

/* What a request's answer becomes. */
typedef enum answer {
  AS_TRUE,
  AS_START,   /* handle, pid */
  AS_FD,      /* Fd, value */
  AS_BEGIN,   /* Fd, temporary path, final path */
  AS_ENTRIES, /* a list */
  AS_COMMAND,
  AS_VALUE
} answer;

/* A request or a command: what an event's number stands for. */
typedef struct numbered numbered;
struct numbered {
  uint64_t id;
  numbered *next;
};

typedef struct lbx_spawner {
  bx_spawner *sp;
  bx_loop *loop;
  bx_watch watch;
  numbered *requests, *commands;
  bx_event news;          /* of a box that is gone, or of readiness */
  bx_buf gone;            /* handles; those before gone_at are reported */
  size_t gone_at;
  bx_event ready;
  bx_error unable; /* class BX_OK: boxes can be made */
  char *limits;    /* lines */
  char note[512];  /* the last one said */
  bool lost;
} lbx_spawner;

typedef struct request {
  numbered n;
  lbx_spawner *owner;
  answer as;
  bx_event done;
  bx_spawn_event ev;
  bool exited; /* the command has ended before its Command was made */
  int status;
} request;

typedef struct command {
  numbered n;
  lbx_spawner *owner;
  uint64_t box;
  bx_event exited;
  int status, master;
} command;

/* The spawner at index 1, not stopped; raises. */
lbx_spawner *lbx_check_spawner(lua_State *L);

/* The handle of a box at index 2. */
uint64_t lbx_check_box(lua_State *L);

/* Pushes a request that is about to be made. 1: the spawner. */
request *lbx_new_request(lua_State *L, lbx_spawner *s, answer as);

/* The request on top was made under this number; 0: refused, as e says. Waits
** and pushes the answer, or nil, message and errno. */
int lbx_submit(lua_State *L, request *r, uint64_t id, const bx_error *e);

/* Pushes descriptor i of the answer as an Fd, or nil. */
void lbx_push_answer_fd(lua_State *L, request *r, int i);

void lbx_unlink_number(numbered **list, numbered *n);

/* Pushes the Command that the answer of an exec is. 1: the spawner. */
int lbx_push_exec_command(lua_State *L, request *r);
void lbx_open_command(lua_State *L);

/* Pushes the list that the answer of a look at files is. */
int lbx_push_entries(lua_State *L, request *r);

/* Methods of the spawner. */
int lbx_spawner_exec(lua_State *L);
int lbx_spawner_file(lua_State *L);
int lbx_spawner_copy(lua_State *L);
int lbx_spawner_remove(lua_State *L);

#endif
