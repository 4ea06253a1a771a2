/*
** link: messages over one AF_UNIX SOCK_SEQPACKET socket, between the service,
** the spawner and the first process of each box. A message is a type, the
** number of the request it belongs to, a few integers, a few byte strings and
** a few descriptors. Strings too long for a packet travel in a memfd.
**
** A link owns its socket and the messages queued on it. A message being sent
** is copied and its descriptors are moved into the link, whatever happens; a
** message received owns its strings and descriptors until bx_msg_clear. Without
** memory or free descriptors a message still comes and goes, if need be without
** its strings or descriptors: what waits for it would wait for ever.
*/
#ifndef BX_LINK_H
#define BX_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../core/error.h"

#define BX_MSG_NUMS 6
#define BX_MSG_STRS 4
#define BX_MSG_FDS 12

typedef struct bx_bytes {
  const char *p; /* received: never NULL, NUL-terminated beyond n */
  size_t n;
} bx_bytes;

typedef struct bx_msg {
  uint32_t type;
  uint32_t nfd;
  uint64_t id;  /* the request's number */
  uint64_t box; /* the box it is for, 0: none */
  int64_t n[BX_MSG_NUMS];
  bx_bytes s[BX_MSG_STRS];
  int fd[BX_MSG_FDS];
  char *body; /* received: where the strings are */
  int lost;   /* received, but not whole: ENOMEM, its strings are ""; EMFILE, it
                 has no descriptors */
} bx_msg;

typedef struct bx_queued bx_queued;

typedef struct bx_link {
  int fd;
  bx_queued *first, **last;
} bx_link;

/* Takes over a socket, non-blocking from now on. */
void bx_link_open(bx_link *l, int fd);
/* Closes it and drops queued messages. Idempotent. */
void bx_link_close(bx_link *l);

/* Sends now or queues. 0, or EPIPE and the like: not sent; ENOMEM: nor is the
** other side about to read. */
int bx_link_send(bx_link *l, const bx_msg *m);
/* Sends queued messages, as far as it goes. 0, or the errno of a lost link. */
int bx_link_flush(bx_link *l);
bool bx_link_pending(const bx_link *l);

/* 1: *m is filled; 0: nothing now; -1: the other side is gone. */
int bx_link_recv(bx_link *l, bx_msg *m);

void bx_msg_clear(bx_msg *m);
/* Takes descriptor i out of m; -1 if there is none. */
int bx_msg_take(bx_msg *m, unsigned i);

/* Fills the answer of a failed request: an errno and "WHAT: strerror". */
void bx_msg_fail(bx_msg *m, int err, const char *what);
/* The same from an error already worded. */
void bx_msg_fail_with(bx_msg *m, int err, const bx_error *e);

/* Makes an answer whose strings were lost a failed one. */
void bx_msg_check(bx_msg *m);

static inline bx_bytes bx_bytes_of(const char *p, size_t n) {
  return (bx_bytes){p, n};
}
/* A C string with its NUL, so that the receiver has one, too. */
bx_bytes bx_bytes_str(const char *s);

#endif
