/*
** spawn_private: what the service, the spawner and the first processes of the
** boxes say to each other (see link.h), and the entry point of the spawner.
** The meaning of a request's fields is written where the client fills them,
** spawn_request.c.
*/
#ifndef BX_SPAWN_PRIVATE_H
#define BX_SPAWN_PRIVATE_H

#include "link.h"
#include "client/spawn.h"

/* The address of a box without a network, on an alias of its loopback. */
#define BX_ALONE_ADDRESS 0x0AD5FFFDu /* 10.213.255.253 */
#define BX_ALONE_INTERFACE "lo:0"

typedef enum bx_message {
  /* from the service */
  BX_M_START = 1,
  BX_M_KILL,
  BX_M_ATTACH,
  BX_M_DETACH,
  BX_M_HOSTNAME,
  BX_M_LIMIT,
  BX_M_COPY,
  BX_M_REMOVE,
  /* from the service, passed on to the box */
  BX_M_SUSPEND,
  BX_M_RESUME,
  BX_M_CONNECT,
  BX_M_SOCKETS,
  BX_M_EXEC,
  BX_M_SIGNAL,
  BX_M_DROP, /* n0 command; not answered */
  BX_M_FILE,
  /* answers */
  BX_M_READY, /* n0 errno, n1 class; s0 message, s1 limits */
  BX_M_REPLY, /* n0 errno, n1 class, n2 pid, n3 value; s0 message, s1 text */
  BX_M_EXIT,  /* n0 status */
  BX_M_GONE,
  BX_M_NOTE,  /* s1 text */
  BX_M_FORGET /* box to spawner: nothing of this command lives any more */
} bx_message;

struct bx_spawner {
  bx_link link;
  pid_t pid;   /* the spawner */
  pid_t owner; /* the process that started it */
  uint64_t last_id;
  bool lost, told;
};

/* Queues a request with the next number: that number, or 0 and e. */
uint64_t bx_spawner_request(bx_spawner *sp, bx_msg *m, bx_error *e);

/* The spawner's whole life. Closes all descriptors but `sock`. */
_Noreturn void bx_spawner_main(int sock, const bx_spawner_options *o);

#endif
