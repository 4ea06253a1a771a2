/*
** spawner: the loop of the process that makes boxes. It owns every box's first
** process, link and mount namespace, and the children (jobs) that carry out
** work that is long or must be done elsewhere. One bx_hub, static, in this
** process only.
*/
#ifndef BX_SPAWNER_H
#define BX_SPAWNER_H

#include "host.h"
#include "router.h"
#include "../link.h"
#include "../spawn_private.h"

typedef enum bx_entry_state {
  BX_ENTRY_ASKED,   /* passed on, not answered */
  BX_ENTRY_EXEC,    /* the same, and it is a command */
  BX_ENTRY_RUNNING, /* a command */
  BX_ENTRY_EXITED   /* it has, but something of its group lives */
} bx_entry_state;

typedef struct bx_entry bx_entry;
struct bx_entry {
  bx_entry *next;
  uint64_t id;
  bx_entry_state state;
};

typedef struct bx_box bx_box;
struct bx_box {
  bx_box *next;
  uint64_t id;
  bx_link link;
  pid_t init;       /* 0: not known yet */
  int mounts;       /* its mount namespace, or -1 */
  int names;        /* its uts namespace, or -1 */
  bool told;        /* START was answered */
  bool dead;        /* init was reaped */
  bool failed;      /* START went wrong: never reported as gone */
  bool buried;      /* only its memory is left */
  uint64_t kill_id; /* the request that ends it, or 0 */
  bx_entry *entries;
  unsigned place;   /* at the router, counted from 1; 0: no network */
};

typedef struct bx_job bx_job;
struct bx_job {
  bx_job *next;
  pid_t pid;
  uint64_t id, box;
  bool start; /* makes a box */
  bx_link link;
};

/* The network of all boxes. */
typedef struct bx_net {
  bx_router router;
  char why[BX_MESSAGE_MAX]; /* why there is none, or "" */
  bool reported;            /* once is enough */
  unsigned last;            /* the place given last */
  pid_t pid;                /* of the process outside, or 0 */
  int alive, said;          /* pipes: ends it when closed; its errors; or -1 */
  int64_t started, again, delay; /* in milliseconds; again: 0, or when to start
                                    the process again */
} bx_net;

typedef struct bx_hub {
  bx_link service;
  bx_host host;
  int setup_err; /* why there are no boxes here */
  bx_error setup;
  bx_box *boxes;
  bx_job *jobs;
  int signals;
  bx_net net;
} bx_hub;

/* spawner_box.c */
bx_box *bx_hub_box(bx_hub *hub, uint64_t id);
void bx_hub_start(bx_hub *hub, bx_msg *m);
void bx_hub_kill(bx_hub *hub, bx_msg *m);
/* Passes a request on to its box. */
void bx_hub_forward(bx_hub *hub, bx_msg *m);
/* What a box said; -1: its link is gone. */
int bx_hub_hear(bx_hub *hub, bx_box *box);
/* Its first process was reaped. The box stays in the list, so that whoever goes
** through it may bury, until the loop frees it. */
void bx_hub_bury(bx_hub *hub, bx_box *box);
void bx_hub_free_buried(bx_hub *hub);

/* spawner_job.c */
void bx_hub_job(bx_hub *hub, bx_msg *m, bx_box *box);
/* Reads what a job said, if it did. */
void bx_hub_job_hear(bx_hub *hub, bx_job *job);
/* The job was reaped. Frees it. */
void bx_hub_job_end(bx_hub *hub, bx_job *job);
/* Its making went as `m` says. */
void bx_hub_made(bx_hub *hub, bx_box *box, bx_msg *m);

/* spawner_net.c. Makes the network where boxes are to have one. */
void bx_hub_net_open(bx_hub *hub);
void bx_hub_net_stop(bx_hub *hub);
/* A free place at the router for a box that starts, counted from 1; 0: there is
   no network, as was said. */
unsigned bx_hub_net_place(bx_hub *hub, uint64_t box);
/* A box could not be linked to it. */
void bx_hub_net_failed(bx_hub *hub, uint64_t box, const char *why);
/* Milliseconds until it needs tending, or -1; and that. `news`: the machine's
   addresses have changed. */
int bx_hub_net_wait(const bx_hub *hub);
void bx_hub_net_tend(bx_hub *hub, bool news);
/* Whether `pid`, reaped with `status`, was its process. */
bool bx_hub_net_ended(bx_hub *hub, pid_t pid, int status);

/* To the service. Takes m's descriptors. */
void bx_hub_say(bx_hub *hub, bx_msg *m);
void bx_hub_refuse(bx_hub *hub, uint64_t id, int err, const char *what);

#endif
